"""Queries whose SQL Django makes once. Making that of a join of eight tables takes it ten times as long as the database needs to answer,
and every report asks the same.

    find = Prepared(lambda: Job.objects.select_related("environment").filter(account=Given("account"), name=Given("name")))
    jobs = find(account=1, name="nightly")
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Expression, Field, QuerySet
from django.db.models.query import ModelIterable, get_related_populators
from django.db.models.sql.compiler import SQLCompiler

from runbell.server.db import ids

Row = TypeVar("Row")


class Given(Expression):
    """In place of a value that comes with each call. `field` is needed where SQLite keeps another type, such as times."""

    def __init__(self, name: str, field: "Field[Any, Any] | None" = None) -> None:
        super().__init__(output_field=field)
        self.name, self.kept_as = name, field

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)

    def stored(self, values: dict[str, Any]) -> Any:
        value = values[self.name]
        return self.kept_as.get_db_prep_value(value, connection) if self.kept_as else value


class GivenIds(Given):
    """Any number of ids, behind ``__in``: one parameter, so that the SQL stays the same."""

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return ids.sql(connection.vendor), (self,)

    def stored(self, values: dict[str, Any]) -> Any:
        return ids.parameter(values[self.name], connection.vendor)


def planned_once() -> CursorWrapper:
    """A cursor for statements that the database may plan once for all (db/postgres/base.py)."""
    backend: Any = connection
    cursor: CursorWrapper = backend.planned_once()
    return cursor


class Prepared(Generic[Row]):
    """Rows as the query set would give them: models with what `select_related` names, or tuples of `values_list`. No prefetching.

    `grows`: asks a table that every run makes longer. A plan of when it was short would not do a minute later: PostgreSQL makes one each time.
    """

    def __init__(self, make: Callable[[], "QuerySet[Any, Row]"], *, grows: bool = False) -> None:
        self._make, self._grows = make, grows
        self._statements: dict[str, _Statement] = {}

    def __call__(self, **values: Any) -> list[Row]:
        statement = self._statements.get(connection.vendor)
        if statement is None:
            statement = self._statements[connection.vendor] = _Statement(self._make())
        with connection.cursor() if self._grows else planned_once() as cursor:
            cursor.execute(statement.sql, [value.stored(values) if isinstance(value, Given) else value for value in statement.values])
            return statement.rows(cursor.fetchall())

    def first(self, **values: Any) -> Row | None:
        return next(iter(self(**values)), None)


def _with_literals(sql: str, values: Iterable[Any]) -> tuple[str, list[Any]]:
    """Numbers and texts that stay the same become part of the SQL. As parameters they would make SQLite compile a statement anew for
    each call, since their values may decide whether a partial index fits (https://sqlite.org/c3ref/prepare.html): that takes it five
    times as long as to answer."""
    first, *rest = sql.split("%s")
    kept = []
    for value, text in zip(values, rest, strict=True):
        literal = _literal(value)
        if literal is None:
            kept.append(value)
        first += (literal or "%s") + text
    return first, kept


def _literal(value: object) -> str | None:
    if isinstance(value, str):
        return "'" + value.replace("'", "''").replace("%", "%%") + "'"
    return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else None


class _Statement:
    """What django.db.models.query.ModelIterable works out anew for each query."""

    def __init__(self, queryset: "QuerySet[Any, Any]") -> None:
        self._compiler = compiler = queryset.query.get_compiler(connection=connection)
        self.sql, self.values = _with_literals(*compiler.as_sql())
        self._converters = compiler.get_converters([column[0] for column in compiler.select])
        self._model = queryset.model
        self._is_of_models = queryset._iterable_class is ModelIterable
        if self._is_of_models:
            places = compiler.klass_info["select_fields"]
            self._own = slice(places[0], places[-1] + 1)
            self._names = [column[0].target.attname for column in compiler.select[self._own]]
            self._related = get_related_populators(compiler.klass_info, compiler.select, connection.alias)  # type: ignore[call-arg]  # the stubs are Django 6.1's

    def rows(self, found: Iterable[Sequence[Any]]) -> list[Any]:
        if self._converters:
            found = self._compiler.apply_converters(found, self._converters)
        return [self._instance(row) for row in found] if self._is_of_models else [tuple(row) for row in found]

    def _instance(self, row: Sequence[Any]) -> Any:
        instance = self._model.from_db(connection.alias, self._names, row[self._own])
        for populator in self._related:
            populator.populate(row, instance)
        return instance
