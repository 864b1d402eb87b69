"""Leaves dbt's own files with a run that was reported, where `send_artifacts` is on. What does not get there in time is lost, and said:
the report alone is kept for later."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from runbell.cli.gather import WORDS, read_file
from runbell.cli.say import say
from runbell.cli.send import API, Unreachable, error_message, request
from runbell.cli.settings import Settings
from runbell.cli.waits import within
from runbell.core.because import Because
from runbell.core.kept import LOG, cleaned

LIMIT = 20.0  # seconds for all of them, after the report
MAX_FILE = 64 * 1024 * 1024
MAX_LOG = 4 * 1024 * 1024
OF_ALL = ("manifest.json", "catalog.json")  # large, and of the project rather than of a step: the last one of a run will do


@dataclass(frozen=True, slots=True)
class File:
    """As dbt wrote it: it is masked on its way."""

    step: int
    name: str
    data: bytes


def files_of(step: int, paths: Iterable[Path]) -> list[File]:
    """Those that are there, read before the next step writes over them."""
    read = [(path, data) for path in paths if (data := read_file(path, limit=MAX_FILE)) is not None]
    return [File(step, path.name, data) for path, data in read]


def log_of(step: int, path: Path, begin: int) -> list[File]:
    """What the step wrote, of a long one the end: from byte `begin` on, whole lines."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(begin, size - MAX_LOG))
            if file.tell() > begin:
                file.readline()
            data = file.read(MAX_LOG)
    except OSError:
        return []
    return [File(step, LOG, data)] if data else []


def last_ones(files: Iterable[File]) -> list[File]:
    """In the order in which they are sent: small ones first."""
    last: Mapping[tuple[int, str], File] = {(0 if file.name in OF_ALL else file.step, file.name): file for file in files}
    return sorted(last.values(), key=lambda file: (file.name in OF_ALL, file.step))


def leave(key: str, files: Iterable[File], *, settings: Settings, is_stopped: Callable[[], bool]) -> None:
    """Says what could not be left, in a line each. `is_stopped` cuts it short."""
    waiting = last_ones(files)
    if within(LIMIT, lambda: _leave_each(key, waiting, settings), is_stopped) is None:
        say(f"no time left for {', '.join(_named(file) for file in waiting)}")


def _leave_each(key: str, waiting: list[File], settings: Settings) -> bool:
    """Takes out of `waiting` what it is through with."""
    while waiting:
        why, is_over = _leave(key, waiting[0], settings)
        if why:
            say(f"{_named(waiting[0])} is not kept: {why}")
        if is_over:
            break
        waiting.pop(0)
    return True


def _leave(key: str, file: File, settings: Settings) -> tuple[str, bool]:
    """Why it was not taken, and whether that goes for the others too."""
    clean = cleaned(file.name, file.data)
    if isinstance(clean, Because):
        return WORDS[clean.code], False
    path = f"{API}/runs/{quote(key, safe='')}/artifacts/{file.step}/{file.name}"
    try:
        status, answer = request(settings, "PUT", path, clean, timeout=2 * LIMIT)  # whoever waits for us gives up before
    except Unreachable as trouble:
        return str(trouble), True
    return (
        ("", False) if status in (200, 201) else (error_message(answer) or f"the server answers HTTP {status}", status in (401, 403, 404))
    )


def _named(file: File) -> str:
    return f"{file.name} of step {file.step}"
