"""Beside SQLite there is one worker: only then may it take over, at its start, what the last one had claimed."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO

AGAIN = 0.1  # seconds


@contextmanager
def held(path: Path, patience: timedelta) -> Iterator[bool]:
    """Whether the lock is ours until the end of the block, after waiting so long. The kernel gives it up with the process, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a") as file:
        path.chmod(0o600)
        end = time.monotonic() + patience.total_seconds()
        while not (is_ours := _lock(file)) and time.monotonic() < end:
            time.sleep(AGAIN)
        yield is_ours


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
