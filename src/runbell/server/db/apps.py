from typing import Any

from django.apps import AppConfig
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


class RunbellConfig(AppConfig):
    """The one Django app with tables, and the one migration chain."""

    name = "runbell.server.db"
    label = "runbell"
    verbose_name = "Runbell"

    def ready(self) -> None:
        connection_created.connect(compile_nothing)


def compile_nothing(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """PostgreSQL compiles queries that it expects to be long, which takes 20 ms and more each time. None of ours is: the recursive ones, which
    every turn of the worker asks, only look so before they are run."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET jit = off")
