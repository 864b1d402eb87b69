"""New rows, many at a time, as `bulk_create` stores them. It makes a model of each, and works out SQL and fields anew for each call, which
takes several times as long as the database needs; every report fills seven tables.

    [pk] = insert(RunKey, [new_rows.RunKey(account_id=1, key="nightly:7", run_id=9)])
"""
# ruff: noqa: S608  # what is put into the SQL are names and defaults of our tables and columns

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any

from django.db import connection, models
from django.db.backends.base.base import BaseDatabaseWrapper

from runbell.server.db.prepared import literal, planned_once

MOST = 500  # rows of one statement
FEW = 10  # every number of rows has a SQL of its own, and a connection keeps a hundred plans
AS_THEY_ARE = (models.BooleanField, models.CharField, models.FloatField, models.ForeignKey, models.IntegerField, models.TextField)
Row = Mapping[str, Any]


def insert(model: type[models.Model], rows: Iterable[Row]) -> list[int]:
    """Their ids, which come from the database. All rows name the same columns; the others get the defaults of their fields.
    What rows refer to is stored already; their values fit, and nothing checks it."""
    rows, ids = list(rows), list[int]()
    if not rows:
        return ids
    statement = _statement(model, tuple(rows[0]), connection.vendor)
    with planned_once() as cursor:
        for start in range(0, len(rows), statement.most):
            cursor.execute(*statement.of(rows[start : start + statement.most]))
            ids += [pk for (pk,) in cursor.fetchall()]
    return ids


def row_of(instance: models.Model) -> Row:
    """Of a model that was made because it is needed anyway."""
    return {field.attname: getattr(instance, field.attname) for field in instance._meta.concrete_fields if not field.primary_key}


class _Statement:
    """One parameter for each value."""

    def __init__(self, model: type[models.Model], names: Sequence[str]) -> None:
        by_name = {field.attname: field for field in model._meta.concrete_fields if not field.primary_key}
        self.fields = [by_name.pop(name) for name in names]
        self.defaults = [_default(field) for field in by_name.values()]
        columns = ", ".join(f'"{field.column}"' for field in (*self.fields, *by_name.values()))
        self.head = f"INSERT INTO {model._meta.db_table} ({columns}) "
        self.tail = f" RETURNING {model._meta.pk.column}" if model._meta.pk else ""
        self.most = min(MOST, connection.ops.bulk_batch_size(self.fields, [None] * MOST))
        self._marks = f"({', '.join([*['%s'] * len(names), *self.defaults])})"
        self._stored = [(itemgetter(name), _stored(field)) for name, field in zip(names, self.fields, strict=True)]

    def of(self, rows: Sequence[Row]) -> tuple[str, list[Any]]:
        """SQL and parameters."""
        values = [stored(of(row), connection) if stored else of(row) for row in rows for of, stored in self._stored]
        return f"{self.head}VALUES {', '.join([self._marks] * len(rows))}{self.tail}", values


class _JsonStatement(_Statement):
    """One parameter for many rows: PostgreSQL plans it once, however many there are. Of few it reads values faster than JSON."""

    def __init__(self, model: type[models.Model], names: Sequence[str]) -> None:
        super().__init__(model, names)
        columns = ", ".join(f'"{field.attname}" {field.db_type(connection)}' for field in self.fields)
        values = ", ".join([*(f'"{field.attname}"' for field in self.fields), *self.defaults])
        self._sql = f"{self.head}SELECT {values} FROM json_to_recordset(%s::json) AS row({columns}){self.tail}"
        self._binary = [field for field in self.fields if isinstance(field, models.BinaryField)]

    def of(self, rows: Sequence[Row]) -> tuple[str, list[Any]]:
        if len(rows) <= FEW:
            return super().of(rows)
        if self._binary:
            rows = [{**row, **{field.attname: _hex(field, row[field.attname]) for field in self._binary}} for row in rows]
        return self._sql, [_encode(rows)]


_encode = json.JSONEncoder(default=datetime.isoformat, ensure_ascii=False).encode


@cache
def _statement(model: type[models.Model], names: tuple[str, ...], vendor: str) -> _Statement:
    return (_JsonStatement if vendor == "postgresql" else _Statement)(model, names)


@lru_cache(maxsize=64)
def _moment(at: datetime, vendor: str) -> Any:
    """Most rows of a report tell of the same few."""
    return connection.ops.adapt_datetimefield_value(at)


def _default(field: "models.Field[Any, Any]") -> str:
    value = field.get_default()
    if value is None:
        return "NULL"
    fixed = literal(json.dumps(value) if type(field) is models.JSONField else value)
    assert fixed is not None, f"rows have to name {field.name}"
    return fixed


def _hex(field: "models.Field[Any, Any]", value: bytes | None) -> str | None:
    """As PostgreSQL reads bytes."""
    stored = field.get_db_prep_save(value, connection)
    return stored and "\\x" + bytes(stored.obj).hex()


def _stored(field: "models.Field[Any, Any]") -> Callable[[Any, BaseDatabaseWrapper], Any] | None:
    """What makes the database's value of ours."""
    if isinstance(field, AS_THEY_ARE):
        return None
    if isinstance(field, models.DateTimeField):
        return lambda at, database: at and _moment(at, database.vendor)
    if type(field) is models.JSONField:
        return lambda value, database: None if value is None else json.dumps(value)
    return field.get_db_prep_save
