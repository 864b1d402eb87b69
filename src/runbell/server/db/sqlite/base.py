"""Django's SQLite, made for many small transactions from several threads: they take turns, and their SQL is translated once.

SQLite lets one write at a time, and whoever finds it busy looks again after a while: the longer it has waited, the seldomer, up to every
0.1 s (https://sqlite.org/c3ref/busy_timeout.html). Of many threads that write without a pause, one may then wait until it gives up.
"""

from collections import defaultdict
from functools import lru_cache
from typing import Any

from django.db.backends.sqlite3 import base

from runbell.server.db.sqlite.turns import Turns

_turns: dict[str, Turns] = defaultdict(Turns)
"""One for each file. Other processes take no part in it: with them, SQLite's own lock decides."""


class Cursor(base.SQLiteCursorWrapper):
    """Statements of ours are few and long; Django looks for the marks of their parameters anew each time."""

    def convert_query(self, query: str, *, param_names: list[str] | None = None) -> str:
        if param_names is not None:
            return str(super().convert_query(query, param_names=param_names))
        return _with_question_marks(query)


@lru_cache(maxsize=500)
def _with_question_marks(query: str) -> str:
    return base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


class DatabaseWrapper(base.DatabaseWrapper):
    """A transaction has its turn from BEGIN on until it has ended."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._has_turn = False

    def create_cursor(self, name: str | None = None) -> Any:
        return self.connection.cursor(factory=Cursor)

    def planned_once(self) -> Any:
        """As with PostgreSQL. Python's module keeps the last 128 statements of a connection compiled anyway."""
        return self.cursor()

    def set_autocommit(self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False) -> None:
        """`atomic` calls it before a transaction, and there alone the second is True; and after it, before what waits for the commit."""
        self._end_turn()
        if force_begin_transaction_with_broken_autocommit:
            self._take_turn()
        try:
            super().set_autocommit(autocommit, force_begin_transaction_with_broken_autocommit)
        except BaseException:
            self._end_turn()
            raise

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._end_turn()

    def _take_turn(self) -> None:
        """Waits as long as SQLite would, and then lets SQLite have its word: what is in the way may be of this very thread."""
        patience: float = self.settings_dict["OPTIONS"].get("timeout", 5)
        self._has_turn = _turns[self.settings_dict["NAME"]].take(patience)

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            _turns[self.settings_dict["NAME"]].end()
