"""What a step left behind: its artifacts and the end of its log. Trouble with a file is one line, never more."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from runbell.cli.places import ARTIFACTS
from runbell.cli.say import say
from runbell.core.artifacts import Artifact, is_stale, read_artifact
from runbell.core.because import Because
from runbell.core.redact import redact, without_colours
from runbell.core.runs import MAX_LOG_END, last_bytes

WORDS = {
    "artifact_not_text": "it is not UTF-8 text",
    "artifact_not_json": "it is not whole JSON",
    "artifact_unknown_shape": "it does not look like a dbt artifact",
}


def read_artifacts(
    folder: Path, *, since: datetime | None, is_new: Callable[[str], bool] = lambda _: True, names: Sequence[str] = ARTIFACTS
) -> list[Artifact]:
    """The artifacts written at or after `since`, of the files whose name `is_new`. A missing one is no news: dbt often writes none."""
    paths = [folder / name for name in names]
    found = _readable([path for path in paths if is_new(path.name)])
    return [artifact for artifact in found if not is_stale(artifact, since=since)]


def _readable(paths: Sequence[Path]) -> Iterator[Artifact]:
    for path in paths:
        data = read_file(path)
        artifact = read_artifact(data) if data is not None else None
        if isinstance(artifact, Because):
            say(f"{path} is not used: {WORDS[artifact.code]}")
        elif artifact is not None:
            yield artifact


def read_file(path: Path, *, limit: int | None = None) -> bytes | None:
    """None when it is not there, or cannot be read, which is said, or has more bytes than `limit`."""
    try:
        if not path.exists():
            return None
        if not path.is_file():  # reading a FIFO would wait for ever
            say(f"{path} is not used: it is not a file")
            return None
        if limit and path.stat().st_size > limit:
            say(f"{path} is not used: it has more than {limit} bytes")
            return None
        return path.read_bytes()
    except OSError as error:
        say(f"{path} is not used: {error.strerror}")
        return None


def read_log_end(path: Path, begin: int) -> str:
    """What the log holds from byte `begin` on, masked, at most `MAX_LOG_END` bytes from its end."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(begin, path.stat().st_size - 2 * MAX_LOG_END))
            if file.tell() > begin:
                file.readline()  # half a line could hide half a secret from the mask
            text = file.read(2 * MAX_LOG_END).decode("utf-8", "replace")
    except OSError:
        return ""
    return last_bytes(redact(without_colours(text)), MAX_LOG_END)
