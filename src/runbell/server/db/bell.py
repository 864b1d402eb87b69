"""What wakes the worker: `ring` after a commit, and the worker's end, something to select on. A Unix datagram socket beside SQLite,
NOTIFY and LISTEN on PostgreSQL.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import connection

LONGEST_ADDRESS = 103
_CHANNEL = "runbell_outbox"
_LISTEN = f"LISTEN {_CHANNEL}"


def ring() -> None:
    """Never fails and never waits: it is a hint, the timer to the next due delivery is the truth."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {_CHANNEL}")
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.setblocking(False)
        try:
            with _socket_address() as address:
                bell.sendto(b"!", address)
        except OSError:
            return  # nobody listens, or its buffer is full: then it is awake already


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
            with _socket_address() as address:
                asker.connect(address)
        except OSError:
            return False  # no such file, or nobody behind it
    return True


class SocketBell:
    """Only for who holds the worker's lock: it takes the path over from a worker that died."""

    def __init__(self) -> None:
        path = _socket_path()
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            with _socket_address() as address:
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
        _socket_path().unlink(missing_ok=True)


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


def _socket_path() -> Path:
    return Path(settings.RUNBELL_HOME) / "worker.sock"


@contextmanager
def _socket_address() -> Iterator[str]:
    """The path, or a short name for it: the kernel takes 107 bytes, macOS 103 (unix(7))."""
    path = _socket_path()
    if len(bytes(path)) <= LONGEST_ADDRESS:
        yield str(path)
        return
    home = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{home}/{path.name}"
    finally:
        os.close(home)
