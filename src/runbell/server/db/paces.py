"""Destinations that have had their message, many in one statement: Django's `bulk_update` works out a CASE for each row and takes as long
as sending does."""
# ruff: noqa: S608  # what is put into the SQL are marks for values

from collections.abc import Mapping
from datetime import datetime

from django.db import connection


def let_go(slots: Mapping[int, datetime]) -> None:
    """By destination, when it can take the next one. Nothing is on its way there now."""
    if not slots:
        return
    row = "(%s::bigint, %s::timestamptz)" if connection.vendor == "postgresql" else "(%s, %s)"
    stored = connection.ops.adapt_datetimefield_value
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH freed(id, next_at) AS (VALUES {", ".join([row] * len(slots))})
            UPDATE runbell_destination SET next_at = freed.next_at, held_until = NULL FROM freed WHERE runbell_destination.id = freed.id""",
            [value for pk, at in sorted(slots.items()) for value in (pk, stored(at))],
        )
