"""The keys as a backup carries them, and the files in RUNBELL_HOME that hold them while the environment does not."""

import os
from pathlib import Path

from django.conf import settings

from runbell.server.environment import read

FILES = {"RUNBELL_SECRET_KEY": "secret_key", "RUNBELL_ENCRYPTION_KEYS": "encryption_keys"}


def all_keys() -> dict[str, str]:
    """Each setting's comma list, the present key first."""
    return {
        "RUNBELL_SECRET_KEY": ",".join([settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]),
        "RUNBELL_ENCRYPTION_KEYS": ",".join(settings.RUNBELL_ENCRYPTION_KEYS),
    }


def is_from_environment(name: str) -> bool:
    return bool(read(name))


def are_in(note: dict[str, str]) -> bool:
    return FILES.keys() <= note.keys()


def usable(note: dict[str, str]) -> list[str]:
    """The keys of a backup that `add` would make ours."""
    name = "RUNBELL_ENCRYPTION_KEYS"
    return note[name].split(",") if name in note and not is_from_environment(name) else []


def add(note: dict[str, str]) -> None:
    """The backup's keys first, ours behind them: whichever database is there when this machine dies, its keys are too."""
    for name, file in FILES.items():
        if name in note and not is_from_environment(name):
            path = settings.RUNBELL_HOME / file
            _write(path, note[name].split(",") + [key.strip() for key in path.read_text().split(",")])


def _write(path: Path, keys: list[str]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(",".join(dict.fromkeys(keys)))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
