"""New rows, many at a time, as `bulk_create` stores them. It works out SQL and fields anew for each call, which takes several times as long as
the database needs, and every report fills seven tables."""
# ruff: noqa: S608  # what is put into the SQL are names of our tables and columns

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from runbell.server.db.prepared import planned_once

MOST = 500  # rows of one statement
FEW = 10  # every number of rows has a SQL of its own, and a connection keeps a hundred plans
AS_THEY_ARE = (models.BooleanField, models.CharField, models.FloatField, models.ForeignKey, models.IntegerField, models.TextField)


def insert(rows: Iterable[models.Model]) -> None:
    """Rows of one table, whose ids come from the database. What they refer to is stored already; their values fit, and nothing checks it."""
    rows = list(rows)
    if not rows:
        return
    database = connections[DEFAULT_DB_ALIAS]
    statement = _statement(type(rows[0]), database.vendor)
    with planned_once() if len(rows) <= FEW else database.cursor() as cursor:
        for start in range(0, len(rows), statement.most):
            part = rows[start : start + statement.most]
            cursor.execute(statement.sql(len(part)), [value for row in part for value in statement.values(row, database)])
            for row, (pk,) in zip(part, cursor.fetchall(), strict=True):
                row.pk = pk
                row._state.adding, row._state.db = False, database.alias


class _Statement:
    def __init__(self, model: type[models.Model]) -> None:
        fields = [field for field in model._meta.concrete_fields if not field.primary_key]
        names = ", ".join(f'"{field.column}"' for field in fields)
        self.most = min(MOST, connections[DEFAULT_DB_ALIAS].ops.bulk_batch_size(fields, [None] * MOST))
        self._head = f"INSERT INTO {model._meta.db_table} ({names}) VALUES "
        self._marks = f"({', '.join(['%s'] * len(fields))})"
        self._tail = f" RETURNING {model._meta.pk.column}" if model._meta.pk else ""
        self._of = attrgetter(*(field.attname for field in fields))
        self._stored = [_stored(field) for field in fields]

    def sql(self, count: int) -> str:
        return self._head + ", ".join([self._marks] * count) + self._tail

    def values(self, row: models.Model, database: BaseDatabaseWrapper) -> list[Any]:
        return [stored(value, database) if stored else value for stored, value in zip(self._stored, self._of(row), strict=True)]


@cache
def _statement(model: type[models.Model], vendor: str) -> _Statement:
    return _Statement(model)


@lru_cache(maxsize=64)
def _moment(at: datetime, vendor: str) -> Any:
    """Most rows of a report tell of the same few."""
    return connections[DEFAULT_DB_ALIAS].ops.adapt_datetimefield_value(at)


def _stored(field: "models.Field[Any, Any]") -> Callable[[Any, BaseDatabaseWrapper], Any] | None:
    """What makes the database's value of ours."""
    if isinstance(field, AS_THEY_ARE):
        return None
    if isinstance(field, models.DateTimeField):
        return lambda at, database: at and _moment(at, database.vendor)
    if type(field) is models.JSONField:
        return lambda value, database: None if value is None else json.dumps(value)
    return field.get_db_prep_save
