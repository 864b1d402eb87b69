"""Django's PostgreSQL, with a cursor whose statements PostgreSQL plans once for each connection.

Planning a join of eight tables takes it ten times as long as to answer, and every report asks the same. A plan that is kept is made without
looking at values, and stays until the tables were analyzed anew (https://www.postgresql.org/docs/current/sql-prepare.html): it fits what
looks rows up by a unique key, and tables that grow no faster than people write. All else keeps Django's cursor.
"""

from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.postgresql.operations import DatabaseOperations

SERVER_BINDING: Any = base.ServerBindingCursor  # the stubs know that of psycopg 2


class Operations(DatabaseOperations):
    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> Any:
        """For debugging and tests. Values that were sent beside the SQL are put into it here."""
        return super().last_executed_query(cursor, sql, params) or self.compose_sql(sql, params)


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = Operations

    def get_connection_params(self) -> dict[str, Any]:
        """From the first time on, and never what goes through Django's cursor, which puts values into the SQL."""
        return {**super().get_connection_params(), "prepare_threshold": 0}

    def init_connection_state(self) -> None:
        """PostgreSQL compiles queries that it expects to be long, which takes 20 ms and more each time. None of ours is: the recursive
        ones, which every turn of the worker asks, only look so before they are run."""
        super().init_connection_state()
        with self.cursor() as cursor:
            cursor.execute("SET jit = off")

    def planned_once(self) -> Any:
        """A cursor, as `cursor()` makes it."""
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            cursor = SERVER_BINDING(self.connection)
        return self.make_debug_cursor(cursor) if self.queries_logged else self.make_cursor(cursor)
