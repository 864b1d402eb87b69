"""Django's PostgreSQL, with a cursor whose statements PostgreSQL plans once for each connection.

Planning a join of eight tables takes it ten times as long as to answer, and every report asks the same. A plan that is kept is made without
looking at values, and stays until the tables were analyzed anew (https://www.postgresql.org/docs/current/sql-prepare.html): it fits what
looks rows up by a unique key, and tables that grow no faster than people write. All else keeps Django's cursor.

Django asks a kept connection for 1 before each request, which is a round trip. One that has just been used is only looked at: a server that
ends a connection says so, and its word waits to be read.
"""

import select
from time import monotonic
from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.postgresql.operations import DatabaseOperations

JUST_USED = 1.0  # seconds; a server that vanished without a word is found after such a rest
SERVER_BINDING: Any = base.ServerBindingCursor  # the stubs know that of psycopg 2


class Operations(DatabaseOperations):
    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> Any:
        """For debugging and tests. Values that were sent beside the SQL are put into it here."""
        return super().last_executed_query(cursor, sql, params) or self.compose_sql(sql, params)


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = Operations
    health_check_done: bool  # Django's
    _used_at = 0.0  # monotonic

    def get_connection_params(self) -> dict[str, Any]:
        """From the first time on, and never what goes through Django's cursor, which puts values into the SQL."""
        return {**super().get_connection_params(), "prepare_threshold": 0}

    def init_connection_state(self) -> None:
        """PostgreSQL compiles queries that it expects to be long, which takes 20 ms and more each time. None of ours is: the recursive
        ones, which every turn of the worker asks, only look so before they are run."""
        super().init_connection_state()
        with self.cursor() as cursor:
            cursor.execute("SET jit = off")

    def close_if_health_check_failed(self) -> None:
        """Django calls it before each statement that is not in a transaction."""
        now = monotonic()
        if now - self._used_at < JUST_USED and not self.health_check_done and not _has_word_from(self.connection):
            self.health_check_done = True
        super().close_if_health_check_failed()
        self._used_at = now

    def planned_once(self) -> Any:
        """A cursor, as `cursor()` makes it."""
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            cursor = SERVER_BINDING(self.connection)
        return self.make_debug_cursor(cursor) if self.queries_logged else self.make_cursor(cursor)


def _has_word_from(connection: Any) -> bool:
    """Between two statements a server has none, except the last."""
    if connection is None or connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
