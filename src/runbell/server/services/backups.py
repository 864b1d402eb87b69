"""A backup is one SQLite database, whichever database it was made of: all tables, and one more that says what it is.

    SQLite      ──online backup───> draft ──note, check, name──> FILE ──> working copy ──up to date──> this home's database
    PostgreSQL  ──copy_database───>                                                     (or copy_database into PostgreSQL)

Secrets stay encrypted in it. The keys go along on request alone.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import DEFAULT_DB_ALIAS, connection

from runbell.core.fields import BadField
from runbell.server.db.fields import decrypt, encrypt
from runbell.server.db.second import second_database
from runbell.server.services import key_files, schema
from runbell.server.services.database_copy import Tell, copy_database, has_data
from runbell.server.settings import database

NOTE = "runbell_backup"
"""The table beside ours: name and value."""
PROOF = "runbell"  # encrypted and signed into each backup: shows whether the keys at hand are those of then


@dataclass(frozen=True, slots=True)
class Restored:
    made_at: str
    version: str
    has_keys: bool
    is_signed_by_us: bool  # else links in mails already sent are void


def back_up(file: Path, *, with_keys: bool, may_replace: bool, now: datetime, tell: Tell) -> None:
    """Makes FILE, mode 600, whole or not at all; the server goes on meanwhile. Raises `BadField`."""
    if file.exists() and not may_replace:
        raise BadField("FILE", f"{file} is there already; --force replaces it")
    schema.demand_up_to_date()
    with _draft(file) as draft:
        if connection.vendor == "sqlite":
            _copy_file(settings.DATABASES[DEFAULT_DB_ALIAS]["NAME"], draft)
        else:
            with second_database(_sqlite(draft)) as second:
                schema.bring_up_to_date(second)
                copy_database(DEFAULT_DB_ALIAS, second, may_replace=False, tell=tell)
        _write_note(draft, _note(with_keys=with_keys, now=now))
        _publish(draft, file, may_replace=may_replace)


def restore(file: Path, *, may_replace: bool, tell: Tell) -> Restored:
    """Nobody else may use the database meanwhile. Raises `BadField`; then nothing was changed."""
    with _working_copy(file) as work:
        note = _take_note(work, file)
        _check_keys(note, file)
        with second_database(_sqlite(work)) as second:
            if unknown := schema.unknown_migrations(second):
                said = f"{file} was made by a newer Runbell, {note['version']}: this is {settings.RUNBELL_VERSION} and does not know {unknown[0]}"
                raise BadField("FILE", said)
            if has_data(DEFAULT_DB_ALIAS) and not may_replace:
                raise BadField("RUNBELL_HOME", "there is data already; --force replaces it with the backup's")
            if connection.vendor == "postgresql":  # an SQLite file is replaced with its schema
                schema.demand_no_newer()
            schema.bring_up_to_date(second)
            key_files.add(note)
            if connection.vendor == "postgresql":
                schema.bring_up_to_date()
                copy_database(second, DEFAULT_DB_ALIAS, may_replace=may_replace, tell=tell)
        if connection.vendor == "sqlite":
            _copy_file(work, settings.DATABASES[DEFAULT_DB_ALIAS]["NAME"])
    return Restored(note["made_at"], note["version"], key_files.are_in(note), _is_signed_by_us(note))


def _sqlite(path: Path) -> dict[str, Any]:
    return {**database("", path.parent), "NAME": str(path)}


def _copy_file(source: Path | str, target: Path | str) -> None:
    """SQLite's own way: one state of the source, in one transaction of the target, which others may have open."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def _note(*, with_keys: bool, now: datetime) -> dict[str, str]:
    note = {
        "made_at": now.isoformat(timespec="seconds"),
        "made_of": connection.vendor,
        "version": settings.RUNBELL_VERSION,
        "encrypted": encrypt(PROOF.encode()).decode(),
        "signed": Signer(salt=NOTE).sign(PROOF),
    }
    return note | key_files.all_keys() if with_keys else note


def _write_note(draft: Path, note: dict[str, str]) -> None:
    with closing(sqlite3.connect(draft)) as written:
        written.execute("PRAGMA journal_mode=DELETE")  # one file, without others beside it
        with written:
            written.execute(f"CREATE TABLE {NOTE} (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
            written.executemany(f"INSERT INTO {NOTE} VALUES (?, ?)", note.items())  # noqa: S608  a name of ours


def _take_note(work: Path, file: Path) -> dict[str, str]:
    """Off the working copy: no table of a live database."""
    try:
        with closing(sqlite3.connect(work)) as read, read:
            [(found,)] = read.execute("PRAGMA quick_check(1)").fetchall()
            if found != "ok":
                raise BadField("FILE", f"{file} is damaged: {found}")
            note = dict(read.execute(f"SELECT name, value FROM {NOTE}").fetchall())  # noqa: S608  a name of ours
            read.execute(f"DROP TABLE {NOTE}")
    except sqlite3.DatabaseError:
        raise BadField("FILE", f"{file} is no backup of Runbell, or is damaged") from None
    return note


def _check_keys(note: dict[str, str], file: Path) -> None:
    """Refuses what nobody could read afterwards."""
    keys = [*settings.RUNBELL_ENCRYPTION_KEYS, *key_files.usable(note)]
    try:
        decrypt(note["encrypted"].encode(), keys=keys)
    except InvalidToken:
        said = f"the secrets in {file} were encrypted with a key that is not here: set the keys of then, comma list, the present first"
        raise BadField("RUNBELL_ENCRYPTION_KEYS", said) from None


def _is_signed_by_us(note: dict[str, str]) -> bool:
    try:
        Signer(salt=NOTE).unsign(note["signed"])
    except BadSignature:
        return key_files.are_in(note) and not key_files.is_from_environment("RUNBELL_SECRET_KEY")
    return True


@contextmanager
def _working_copy(file: Path) -> Iterator[Path]:
    """In the home, whose files are ours alone. What an earlier try left there goes first."""
    settings.RUNBELL_HOME.mkdir(parents=True, exist_ok=True, mode=0o700)
    work = settings.RUNBELL_HOME / "restore.sqlite3"
    _remove(work)
    try:
        _make(work)
        with file.open("rb") as read, work.open("wb") as written:
            while part := read.read(1 << 20):
                written.write(part)
        yield work
    except OSError as trouble:
        raise BadField("FILE", f"{file}: {trouble.strerror}") from None
    finally:
        _remove(work)


@contextmanager
def _draft(file: Path) -> Iterator[Path]:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        _make(draft)
        yield draft
    except (OSError, sqlite3.Error) as trouble:
        raise BadField("FILE", f"{file} cannot be written: {trouble}") from None
    finally:
        _remove(draft)


def _make(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
        path.with_name(name).unlink(missing_ok=True)


def _publish(draft: Path, file: Path, *, may_replace: bool) -> None:
    """Its name comes when its bytes are on disk."""
    _sync(draft)
    if may_replace:
        draft.replace(file)
    else:
        os.link(draft, file)  # unlike a rename, fails when somebody was faster
    _sync(file.parent)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
