"""Destinations that take one message at a time, many in one statement: Django's `bulk_update` works out a CASE for each row and takes as
long as sending does."""
# ruff: noqa: S608  # what is put into the SQL are marks for values

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from runbell.server.db.listed import item, items, listed, moment
from runbell.server.db.models import Destination
from runbell.server.db.prepared import GivenIds, Prepared


class Slot(NamedTuple):
    """Of a destination: when it can take the next message, and until when one is on its way there."""

    destination_id: int
    next_at: datetime | None
    held_until: datetime | None


_lock = Prepared(
    lambda: (
        Destination.objects.select_for_update(skip_locked=True)
        .filter(pk__in=GivenIds("ids"))
        .order_by("pk")
        .values_list("pk", "next_at", "held_until")
    )
)


def lock(destinations: Collection[int]) -> list[Slot]:
    """Those that nobody else has locked, until the end of the transaction."""
    return [Slot._make(row) for row in _lock(ids=destinations)]


def hold(destinations: Collection[int], *, until: datetime) -> None:
    """A message is on its way to each."""
    if destinations:
        _update(f"held_until = {item(1, 'timestamptz')}", [(pk, moment(until)) for pk in sorted(destinations)])


def let_go(slots: Mapping[int, datetime]) -> None:
    """By destination, when it can take the next one. Nothing is on its way there now."""
    if slots:
        _update(f"next_at = {item(1, 'timestamptz')}, held_until = NULL", [(pk, moment(at)) for pk, at in sorted(slots.items())])


def _update(what: str, rows: Collection[tuple[int, str]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE runbell_destination SET {what} FROM {items()} WHERE runbell_destination.id = {item(0, 'bigint')}", [listed(rows)]
        )
