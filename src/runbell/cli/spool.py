"""Reports that could not be sent, one file each, oldest first by name.

    <spool>/<nanoseconds>-<pid>-<random>.json    mode 600; written beside, flushed, renamed: whole or not there
    <spool>/rejected/…                           refused by the server for good, kept for a look
    <spool>/lock                                 held while sending, so that two processes do not send the same at once

A file is the report as it is POSTed. It never holds the token. One spool is for one server and account.
"""

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MAX_FILES = 1_000
MAX_BYTES = 64 * 1024 * 1024
MAX_REJECTED = 100
FORGOTTEN = 3_600  # seconds


class Spool:
    def __init__(self, directory: Path, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> None:
        self.directory = directory
        self.rejected = directory / "rejected"
        self.max_files = max_files
        self.max_bytes = max_bytes

    def keep(self, body: bytes) -> list[str]:
        """Stores one report. Returns what had to be dropped for it, in words. Raises OSError when it cannot be kept."""
        _make(self.directory)
        _write(self.directory, body)
        return [_drop(path) for path in _surplus(self.directory, self.max_files, self.max_bytes)]

    def reject(self, body: bytes) -> Path:
        """Sets a report aside that the server will never take. Raises OSError."""
        _make(self.directory)
        _make(self.rejected)
        path = _write(self.rejected, body)
        for surplus in _surplus(self.rejected, MAX_REJECTED, self.max_bytes):
            _drop(surplus)
        return path

    def waiting(self) -> list[Path]:
        """The kept reports, oldest first."""
        return _reports(self.directory)

    @contextmanager
    def sending(self) -> Iterator[bool]:
        """Whether it is this process's turn to send. The lock goes with the process, however it ends."""
        try:
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            yield False
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
        finally:
            os.close(lock)


def _make(directory: Path) -> None:
    """In a temporary directory somebody else could have made it first; then it is not ours to write into."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.parent.stat().st_mode & stat.S_ISVTX and directory.stat().st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "belongs to another user", str(directory))
    for part in directory.glob("*.part"):  # of a writer that was killed
        if time.time() - _status(part).st_mtime > FORGOTTEN:
            part.unlink(missing_ok=True)


def _reports(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".json")
    except OSError:
        return []


def _write(directory: Path, body: bytes) -> Path:
    name = f"{time.time_ns():020d}-{os.getpid()}-{os.urandom(3).hex()}"
    part, whole = directory / f"{name}.part", directory / f"{name}.json"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        part.rename(whole)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return whole


def _surplus(directory: Path, max_files: int, max_bytes: int) -> list[Path]:
    """The oldest reports that have to go for the bounds to hold; the newest always stays."""
    reports = _reports(directory)
    size = sum(_status(path).st_size for path in reports)
    surplus: list[Path] = []
    for path in reports[:-1]:
        if len(reports) - len(surplus) <= max_files and size <= max_bytes:
            break
        surplus.append(path)
        size -= _status(path).st_size
    return surplus


def _status(path: Path) -> os.stat_result:
    """Another process may have sent and deleted it meanwhile; then it weighs nothing."""
    try:
        return path.stat()
    except OSError:
        return os.stat_result((0,) * 10)


def _drop(path: Path) -> str:
    """Deletes a report; returns what it was about."""
    try:
        report = json.loads(path.read_bytes())
        what = f"{report['job']['name']} of {report['started_at']}"
    except (OSError, ValueError, LookupError, TypeError):
        what = path.name
    with suppress(OSError):
        path.unlink()
    return what
