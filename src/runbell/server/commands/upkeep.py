"""Looking after an installation: the schema, backups, keys, and the move to another database."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from runbell.core.fields import BadField
from runbell.server.commands.words import Commands, command, group

PATIENCE = timedelta(minutes=5)  # for another process that brings the same SQLite database up to date
EVERY = 100_000  # rows between two lines about the same table


def add_upkeep(admin: "Commands[argparse.ArgumentParser]") -> None:
    made = command(admin, "backup", backup, "Write everything into one file; the server may go on.")
    made.add_argument("file", type=Path, metavar="FILE")
    made.add_argument("--with-keys", action="store_true", help="put the keys into FILE too: whoever reads it reads every secret")
    made.add_argument("--force", action="store_true", help="replace a FILE that is there")
    back = command(admin, "restore", restore, "Put a backup into an empty installation; no server may run.")
    back.add_argument("file", type=Path, metavar="FILE")
    back.add_argument("--force", action="store_true", help="replace the data that is there")
    keys = group(admin, "keys", "The keys that encrypt secrets at rest.")
    command(keys, "create", create_key, "Print a new key, for RUNBELL_ENCRYPTION_KEYS.")
    command(keys, "rotate", rotate_keys, "Encrypt every secret with the first of RUNBELL_ENCRYPTION_KEYS.")
    copy = command(group(admin, "database", "The database."), "copy", copy_database, "Copy everything to another, empty database.")
    copy.add_argument("--to", required=True, metavar="URL", help="as in RUNBELL_DATABASE_URL; - reads it from standard input")


def bring_up_to_date() -> int:
    from django.conf import settings
    from django.db import connections

    from runbell.server.services import schema
    from runbell.server.worker.lock import held

    settings.RUNBELL_HOME.mkdir(parents=True, exist_ok=True, mode=0o700)  # keys that come from the environment did not make it
    with held(settings.RUNBELL_HOME / "migrate.lock", PATIENCE) as is_ours:
        if not is_ours:
            raise BadField("RUNBELL_HOME", "another process is still bringing this database up to date")
        schema.bring_up_to_date()
    connections.close_all()  # `serve` itself asks nothing more; its children have their own
    return 0


def backup(options: argparse.Namespace) -> int:
    from django.utils import timezone

    from runbell.server.services import backups

    backups.back_up(options.file, with_keys=options.with_keys, may_replace=options.force, now=timezone.now(), tell=_tell)
    print(f"{options.file}: {options.file.stat().st_size:,} bytes.")
    print(WITH_KEYS if options.with_keys else WITHOUT_KEYS)
    return 0


WITH_KEYS = "The keys are in it: whoever can read this file can read every secret and sign in as anybody. Keep it accordingly."
WITHOUT_KEYS = """The keys are not in it. Keep RUNBELL_SECRET_KEY and RUNBELL_ENCRYPTION_KEYS, or the files secret_key and encryption_keys of
RUNBELL_HOME, in another safe place: a backup cannot be restored without them."""


def restore(options: argparse.Namespace) -> int:
    from runbell.server.services import backups

    with _alone():
        found = backups.restore(options.file, may_replace=options.force, tell=_tell)
    print(f"Restored the backup of {found.made_at}, made by Runbell {found.version}" + (", with its keys." if found.has_keys else "."))
    if not found.is_signed_by_us:
        print("It was signed with another RUNBELL_SECRET_KEY: people sign in anew, and unsubscribe links of earlier mails no longer work.")
    return 0


def create_key(options: argparse.Namespace) -> int:
    from runbell.server.services import key_rotation

    print(key_rotation.new_key())
    return 0


def rotate_keys(options: argparse.Namespace) -> int:
    """1 when something could not be read: then the other keys are still needed, or one is missing."""
    from runbell.server.services import key_rotation

    found = key_rotation.rotate()
    print(f"{found.changed} encrypted anew, {found.kept} had the first key already.")
    for place in found.unreadable:
        print(f"runbell: {place} fits none of the keys", file=sys.stderr)
    if not found.unreadable:
        print("Nothing needs the other keys of RUNBELL_ENCRYPTION_KEYS any more.")
    return int(bool(found.unreadable))


def copy_database(options: argparse.Namespace) -> int:
    from runbell.server.services import moves

    url = sys.stdin.readline().strip() if options.to == "-" else options.to
    with _alone():
        copied = moves.move_to(url, tell=_tell)
    print(f"{'table':<32}{'rows':>12}  checksum")
    for table, found in copied.items():
        print(f"{table:<32}{found.count:>12,}  {found.checksum:032x}")
    print("Every table reads the same in the target. Set RUNBELL_DATABASE_URL to it, keep the keys, and start the server.")
    return 0


@contextmanager
def _alone() -> Iterator[None]:
    """No worker beside us. Raises `BadField`."""
    from django.conf import settings
    from django.db import connection

    from runbell.server.services import readiness
    from runbell.server.worker.lock import held

    with held(settings.RUNBELL_HOME / "worker.lock", timedelta()) as is_ours:
        if not is_ours or (connection.vendor == "postgresql" and readiness.has_worker()):
            raise BadField("RUNBELL_HOME", "a server or worker is running; stop it first")
        yield


def _tell(table: str, rows: int) -> None:
    """Something to see while it takes long."""
    if rows and rows % EVERY == 0:
        print(f"  {table}: {rows:,} rows", file=sys.stderr, flush=True)
