"""Queries whose SQL Django makes once. Making that of a join of eight tables takes it ten times as long as the database needs to answer,
and every report asks the same.

    find = Prepared(lambda: Job.objects.select_related("environment").filter(account=Given("account"), name=Given("name")))
    jobs = find(account=1, name="nightly")
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Expression, Field, QuerySet
from django.db.models.base import ModelState
from django.db.models.query import ModelIterable
from django.db.models.sql.compiler import SQLCompiler

from runbell.server.db import ids

Row = TypeVar("Row")
Known = dict[tuple["_Part", Any], Any]
"""Instances of a result that are made already, by their place in a row and their primary key."""


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
        fixed = literal(value)
        if fixed is None:
            kept.append(value)
        first += (fixed or "%s") + text
    return first, kept


def literal(value: object) -> str | None:
    """None: it stays a parameter."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''").replace("%", "%%") + "'"
    return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else None


class _Statement:
    """What django.db.models.query.ModelIterable works out anew for each query."""

    def __init__(self, queryset: "QuerySet[Any, Any]") -> None:
        self._compiler = compiler = queryset.query.get_compiler(connection=connection)
        self.sql, self.values = _with_literals(*compiler.as_sql())
        self._converters = compiler.get_converters([column[0] for column in compiler.select])
        is_of_models = queryset._iterable_class is ModelIterable
        self._part = _Part(compiler.klass_info, compiler, self._converters) if is_of_models else None

    def rows(self, found: Iterable[Sequence[Any]]) -> list[Any]:
        if self._part:
            known: Known = {}
            return [self._part.instance(row, known) for row in found]
        if self._converters:
            found = self._compiler.apply_converters(found, self._converters)
        return [tuple(row) for row in found]


class _Part:
    """The columns of a row that are one model's, and the models that it leads to. What many rows lead to is made once for all of them."""

    def __init__(self, info: dict[str, Any], compiler: SQLCompiler, converters: dict[int, Any]) -> None:
        first, last = info["select_fields"][0], info["select_fields"][-1]
        self._model, self._columns, self._connection = info["model"], slice(first, last + 1), compiler.connection
        self._names = [column[0].target.attname for column in compiler.select[self._columns]]
        self._pk = first + self._names.index(self._model._meta.pk.attname)
        self._converted = [(place - first, *converters[place]) for place in info["select_fields"] if place in converters]
        related = info.get("related_klass_infos", ())
        self._related = [(_Part(below, compiler, converters), below["local_setter"], below["remote_setter"]) for below in related]

    def instance(self, row: Sequence[Any], known: Known) -> Any:
        """None where an outer join found nothing."""
        pk = row[self._pk]
        if pk is None:
            return None
        if (self, pk) not in known:
            known[self, pk] = self._made(row, known)
        return known[self, pk]

    def _made(self, row: Sequence[Any], known: Known) -> Any:
        values = list(row[self._columns])
        for place, converters, expression in self._converted:
            for convert in converters:
                values[place] = convert(values[place], expression, self._connection)
        instance = self._bare()
        instance.__dict__.update(zip(self._names, values, strict=True))
        for part, set_here, set_there in self._related:
            other = part.instance(row, known)
            set_here(instance, other)
            if other is not None:
                set_there(other, instance)
        return instance

    def _bare(self) -> Any:
        """As when a model is unpickled: what is in the database needs none of what `Model.__init__` does for new ones, value by value."""
        instance = self._model.__new__(self._model)
        instance._state = state = ModelState()
        state.adding, state.db = False, DEFAULT_DB_ALIAS
        return instance
