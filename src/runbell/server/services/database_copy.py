"""Moves all rows from one database to another, SQLite or PostgreSQL, in one transaction of the target.

    refuse a target with rows ─> each table: read, sum, write ─> sequences ─> read back, sum, compare ─> commit

Killed at any moment, the target is as it was, so that one simply begins anew.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.apps import apps
from django.db import DatabaseError, connections, transaction

from runbell.server.db import rows
from runbell.server.db.rows import Model, Row

# Every database makes these by itself when its schema is made; ours go over them, so that ids agree.
MADE_BY_ITSELF = ("django_content_type", "auth_permission")
Tell = Callable[[str, int], None]
"""Hears the name of a table and how many of its rows are through, after every batch."""


class CannotCopy(RuntimeError):
    """Nothing was changed. The words hold nothing that a row holds."""


@dataclass
class Sum:
    """How many rows, and what they hold, in whatever order and whichever kind of database."""

    count: int = 0
    checksum: int = 0


def copy_database(source: str, target: str, *, may_replace: bool, tell: Tell) -> dict[str, Sum]:
    """Both are aliases of databases with the schema of this code. Returns what was copied, table by table. Raises `CannotCopy`."""
    with _snapshot(source), transaction.atomic(using=target):
        with rows.without_references(target):
            _empty(target, may_replace=may_replace)
            copied = {model: _copy(model, source, target, tell) for model in tables()}
        for model, found in copied.items():
            if _summed(model, rows.read_rows(model, target)) != found:
                raise CannotCopy(f"{model._meta.db_table} reads differently in the target; please report this")
    return {model._meta.db_table: found for model, found in copied.items()}


def tables() -> list[Model]:
    """The cache is left behind: what it counts is over within the hour."""
    return [model for model in apps.get_models(include_auto_created=True) if model._meta.managed and not model._meta.proxy]


def has_data(alias: str) -> bool:
    """Asked before its schema is brought up to date, too."""
    there = set(connections[alias].introspection.table_names()) - set(MADE_BY_ITSELF)
    ours = [model for model in tables() if model._meta.db_table in there]
    return any(model._base_manager.using(alias).values_list("pk").first() for model in ours)


@contextmanager
def _snapshot(alias: str) -> Iterator[None]:
    """One state from the first row to the last. On SQLite nobody writes meanwhile: what waits goes to whichever server is next."""
    with transaction.atomic(using=alias):
        if connections[alias].vendor == "postgresql":
            with connections[alias].cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def _empty(alias: str, *, may_replace: bool) -> None:
    names = ", ".join(model._meta.db_table for model in tables())
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "postgresql":  # with SQLite the transaction has it all to itself
            cursor.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
        if has_data(alias) and not may_replace:
            raise CannotCopy("the target has data already")
        if connections[alias].vendor == "postgresql":
            cursor.execute(f"TRUNCATE {names}")
            return
        for model in tables():
            cursor.execute(f"DELETE FROM {model._meta.db_table}")  # noqa: S608  a name of ours


def _copy(model: Model, source: str, target: str, tell: Tell) -> Sum:
    found = Sum()
    try:
        rows.write_rows(model, _counted(model, rows.read_rows(model, source), found, tell), target)
        rows.go_on_after(model, rows.last_id(model, source), target)
    except DatabaseError as trouble:
        raise CannotCopy(f"{model._meta.db_table}: {_words(trouble)}") from None  # the driver's own words quote the row
    return found


def _counted(model: Model, read: Iterable[Row], found: Sum, tell: Tell) -> Iterator[Row]:
    jsons = rows.json_places(model)
    for row in read:
        found.count += 1
        found.checksum = (found.checksum + rows.digest(row, jsons)) % 2**128
        if found.count % rows.BATCH == 0:
            tell(model._meta.db_table, found.count)
        yield row


def _summed(model: Model, read: Iterable[Row]) -> Sum:
    found = Sum()
    for _ in _counted(model, read, found, lambda table, count: None):
        pass
    return found


def _words(trouble: DatabaseError) -> str:
    said = getattr(trouble.__cause__, "diag", None)
    if said is None:
        return str(trouble)
    return f"{said.message_primary}" + (f" ({said.column_name})" if said.column_name else "")
