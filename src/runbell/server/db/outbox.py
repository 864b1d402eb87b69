"""The outbox's bell: after a commit, the worker is told that there is work. A hint; the timer to the next due delivery is the truth."""

import socket
from pathlib import Path

from django.conf import settings
from django.db import connection

CHANNEL = "runbell_outbox"


def socket_path() -> Path:
    return Path(settings.RUNBELL_HOME) / "worker.sock"


def wake() -> None:
    """Never fails and never waits: no listener means that a worker will look for itself when it starts."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.setblocking(False)
        try:
            bell.sendto(b"!", str(socket_path()))
        except OSError:
            return  # nobody listens, or its buffer is full: then it is awake already
