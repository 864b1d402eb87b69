"""A second database beside the configured one, for as long as something is moved between the two."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

ALIAS = "second"


@contextmanager
def second_database(entry: dict[str, Any]) -> Iterator[str]:
    """The alias of the database that a DATABASES entry describes. Nothing is routed to it by itself."""
    connections.settings[ALIAS] = connections.configure_settings({DEFAULT_DB_ALIAS: {}, ALIAS: entry})[ALIAS]
    try:
        yield ALIAS
    finally:
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.settings[ALIAS]
