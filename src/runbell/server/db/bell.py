"""The worker's end of `outbox.wake`: something to select on. A Unix datagram socket beside SQLite, LISTEN on PostgreSQL."""

import socket
from typing import Any, Protocol

from django.db import connection

from runbell.server.db.outbox import CHANNEL, socket_address, socket_path

_LISTEN = f"LISTEN {CHANNEL}"


class Bell(Protocol):
    def fileno(self) -> int: ...

    def drain(self) -> None:
        """Forgets all rings so far. Raises `OSError` or `django.db.Error` when the line is gone: open another bell."""

    def close(self) -> None: ...


def open_bell() -> Bell:
    return PostgresBell() if connection.vendor == "postgresql" else SocketBell()


def is_heard() -> bool:
    """Whether a worker listens. Asking rings nothing, and takes no lock that a worker just starting would want."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = %s)", [_LISTEN])
            return bool(cursor.fetchone()[0])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asker:
        try:
            with socket_address() as address:
                asker.connect(address)
        except OSError:
            return False  # no such file, or nobody behind it
    return True


class SocketBell:
    """Only for who holds the worker's lock: it takes the path over from a worker that died."""

    def __init__(self) -> None:
        path = socket_path()
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            with socket_address() as address:
                self._socket.bind(address)
            path.chmod(0o600)
        except OSError:
            self._socket.close()
            raise
        self.fileno = self._socket.fileno

    def drain(self) -> None:
        try:
            while self._socket.recv(64):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        self._socket.close()
        socket_path().unlink(missing_ok=True)


class PostgresBell:
    """A connection of its own: the dispatcher's is in transactions, and hears nothing meanwhile."""

    def __init__(self) -> None:
        parameters = connection.get_connection_params()
        self._line: Any = connection.get_new_connection(parameters)
        self._line.autocommit = True
        self._line.execute(_LISTEN)
        self.fileno = self._line.fileno

    def drain(self) -> None:
        for _ in self._line.notifies(timeout=0):
            pass

    def close(self) -> None:
        self._line.close()
