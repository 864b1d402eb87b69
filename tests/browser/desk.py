"""The server's side of a browser test: people, jobs and runs are put into its database, and what became of them is read out.

Playwright leaves a running event loop in the test's thread, in which Django refuses its database. So a thread of its own speaks with it,
on the very file that `runbell serve` has open.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.test.utils import override_settings
from pytest_django import DjangoDbBlocker

from runbell.server.settings import database

T = TypeVar("T")


class QuickHasher(PBKDF2PasswordHasher):
    """The server reads what it makes as its own; one round instead of a million."""

    iterations = 1


class Desk:
    def __init__(self, home: Path, blocker: DjangoDbBlocker) -> None:
        self.blocker = blocker
        self._home = home
        self._thread = ThreadPoolExecutor(1, initializer=self._open)

    def _open(self) -> None:
        connections["default"] = DatabaseWrapper({**connections.settings["default"], **database("", self._home)}, "default")

    def do(self, work: Callable[[], T]) -> T:
        """What `work` returns; it may use models and services."""
        return self._thread.submit(self._do, work).result()

    def _do(self, work: Callable[[], T]) -> T:
        with self.blocker.unblock(), override_settings(PASSWORD_HASHERS=["tests.browser.desk.QuickHasher"]):
            return work()

    def close(self) -> None:
        self._thread.submit(connections.close_all).result()
        self._thread.shutdown()
