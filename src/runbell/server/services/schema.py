"""The state of a database's schema beside this code, and bringing it up to date, once, however many start at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.loader import MigrationLoader

from runbell.core.fields import BadField

LOCK = 0x72756E62656C6C  # "runbell", as PostgreSQL's advisory locks are numbered


def bring_up_to_date(alias: str = DEFAULT_DB_ALIAS) -> None:
    """On PostgreSQL whoever comes second waits, and then finds nothing to do. On SQLite the caller holds a file lock."""
    with _alone(alias):
        call_command("migrate", database=alias, interactive=False, verbosity=0)


@contextmanager
def _alone(alias: str) -> Iterator[None]:
    if connections[alias].vendor != "postgresql":
        yield
        return
    # The lock is the session's: it ends with this process, however that ends, and outlives the migrations' own transactions.
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    try:
        yield
    finally:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def unknown_migrations(alias: str = DEFAULT_DB_ALIAS) -> list[str]:
    """What a newer Runbell did to this database."""
    loader = MigrationLoader(connections[alias])
    applied = loader.applied_migrations or {}
    return [f"{app}.{name}" for app, name in sorted(applied) if app in loader.migrated_apps and (app, name) not in loader.disk_migrations]


def missing_migrations(alias: str = DEFAULT_DB_ALIAS) -> list[str]:
    """What this code needs, and the database has not had yet."""
    loader = MigrationLoader(connections[alias])
    applied = loader.applied_migrations or {}
    return [f"{app}.{name}" for app, name in sorted(loader.graph.nodes) if (app, name) not in applied]


def demand_up_to_date() -> None:
    """Raises `BadField`: only a database with the schema of this code can be read whole."""
    demand_no_newer()
    demand_all_migrations()


def demand_no_newer() -> None:
    if unknown := unknown_migrations():
        raise BadField("RUNBELL_DATABASE_URL", f"a newer Runbell was here: {unknown[0]} is not known to this one")


def demand_all_migrations() -> None:
    """Raises `BadField`. A newer schema is fine: migrations only add."""
    if missing_migrations():
        raise BadField("RUNBELL_DATABASE_URL", "the database is not up to date: run `runbell migrate` first")
