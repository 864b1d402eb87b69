"""Whole tables as plain rows: read from and written to SQLite or PostgreSQL, past the models, so that what is encrypted stays so."""
# ruff: noqa: S608  # what is put into the SQL are names of our tables and columns

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from itertools import islice
from typing import Any, TypeAlias

from django.db import connections, models
from django.db.backends.utils import CursorWrapper

BATCH = 2_000
Row = tuple[Any, ...]
Model = type[models.Model]
Field: TypeAlias = "models.Field[Any, Any]"


def read_rows(model: Model, alias: str) -> Iterator[Row]:
    """One value means one thing, whichever database it came from. Bounded memory."""
    plain = [_reader(field) for field in model._meta.concrete_fields]
    with connections[alias].chunked_cursor() as cursor:
        cursor.execute(f"SELECT {_names(model)} FROM {model._meta.db_table}")
        while rows := cursor.fetchmany(BATCH):
            for row in rows:
                yield tuple([value if value is None or read is None else read(value) for value, read in zip(row, plain, strict=True)])


def write_rows(model: Model, rows: Iterable[Row], alias: str) -> None:
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "postgresql":
            _write_postgres(cursor, model, rows)
        else:
            _write_sqlite(cursor, model, rows)


def digest(row: Row, jsons: frozenset[int]) -> int:
    """Equal for rows that mean the same. PostgreSQL keeps JSON in a form of its own, so that its text says nothing."""
    known = [_canonical(value) if place in jsons and value is not None else value for place, value in enumerate(row)]
    return int.from_bytes(blake2b(repr(known).encode(), digest_size=16).digest())


def json_places(model: Model) -> frozenset[int]:
    return frozenset(place for place, field in enumerate(model._meta.concrete_fields) if isinstance(field, models.JSONField))


def last_id(model: Model, alias: str) -> int:
    """The highest id ever given out, also when its row is gone: ids are never used again. 0: none, or the table numbers nothing."""
    if not isinstance(model._meta.pk, models.AutoField):
        return 0
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "postgresql":
            cursor.execute(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {_sequence(cursor, model)}")
        else:
            cursor.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = %s", [model._meta.db_table])
        return int(cursor.fetchone()[0])


def go_on_after(model: Model, number: int, alias: str) -> None:
    """The next id is above `number`."""
    if not number:
        return
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "postgresql":
            cursor.execute("SELECT setval(%s, %s)", [_sequence(cursor, model), number])
            return
        cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [model._meta.db_table])
        cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [model._meta.db_table, number])


@contextmanager
def without_references(alias: str) -> Iterator[None]:
    """Checks at the end, once, that every row's references lead somewhere. PostgreSQL would check row by row, and keep a list of
    them all in memory until the commit; SQLite merely counts."""
    if connections[alias].vendor != "postgresql":
        yield
        return
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"
        )
        found = cursor.fetchall()
        for table, name, _ in found:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        yield
        for table, name, definition in found:
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


def _names(model: Model) -> str:
    return ", ".join(f'"{field.column}"' for field in model._meta.concrete_fields)


def _reader(field: Field) -> Callable[[Any], Any] | None:
    """From what either driver returns to what both take. None: they agree by themselves."""
    kinds: list[tuple[type[Field], Callable[[Any], Any]]] = [
        (models.DateTimeField, _moment),
        (models.BooleanField, bool),
        (models.BinaryField, bytes),
        (models.GenericIPAddressField, str),
        (models.FloatField, float),
    ]
    return next((read for kind, read in kinds if isinstance(field, kind)), None)


def _moment(value: datetime | str) -> datetime:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _write_postgres(cursor: CursorWrapper, model: Model, rows: Iterable[Row]) -> None:
    copying = cursor.copy(f"COPY {model._meta.db_table} ({_names(model)}) FROM STDIN")
    with cursor.db.wrap_database_errors, copying as copy:
        for row in rows:
            copy.write_row(row)


def _write_sqlite(cursor: CursorWrapper, model: Model, rows: Iterable[Row]) -> None:
    marks = ", ".join("%s" for _ in model._meta.concrete_fields)
    sql = f"INSERT INTO {model._meta.db_table} ({_names(model)}) VALUES ({marks})"
    adapt = connections[cursor.db.alias].ops.adapt_datetimefield_value
    stored = ([adapt(value) if isinstance(value, datetime) else value for value in row] for row in rows)
    while batch := list(islice(stored, BATCH)):
        cursor.executemany(sql, batch)


def _sequence(cursor: CursorWrapper, model: Model) -> str:
    assert model._meta.pk
    cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", [model._meta.db_table, model._meta.pk.column])
    return str(cursor.fetchone()[0])


def _canonical(text: str) -> str:
    return _WRITTEN.encode(_READ.decode(text))


def _number(text: str) -> int | float:
    """1e2, 100.0 and 100 are one number to PostgreSQL."""
    exact = Decimal(text)
    return int(exact) if exact == exact.to_integral_value() else float(exact)


# Made once: json.loads and json.dumps would make new ones for every row.
_READ, _WRITTEN = json.JSONDecoder(parse_float=_number), json.JSONEncoder(sort_keys=True)
