"""Ids behind ``__in``: any number of them as one parameter, while SQLite takes some thousand parameters in a statement."""

import json
from collections.abc import Iterable
from typing import Any

from django.db.models import Expression
from django.db.models.sql.compiler import SQLCompiler


def sql(vendor: str) -> str:
    return "(SELECT unnest(%s::bigint[]))" if vendor == "postgresql" else "(SELECT value FROM json_each(%s))"


def parameter(ids: Iterable[int], vendor: str) -> Any:
    return list(ids) if vendor == "postgresql" else json.dumps(list(ids))


class Ids(Expression):
    """For `filter(pk__in=Ids(found))`. PostgreSQL sees how many there are, which it cannot guess of a query that has conditions on what is joined."""

    def __init__(self, ids: Iterable[int]) -> None:
        super().__init__()
        self.ids = tuple(ids)

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return sql(connection.vendor), (parameter(self.ids, connection.vendor),)
