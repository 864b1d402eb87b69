"""Many rows as one parameter, a JSON list of lists:

    f"SELECT {item(0, 'bigint')}, {item(1, 'text')} FROM {items()}", [listed([(1, "a"), (2, "b")])]

The SQL stays the same, however many there are, and no driver cuts it up and puts it together anew.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection


def items() -> str:
    """The source of rows whose columns are `item`s. Its parameter is what `listed` makes."""
    return "jsonb_array_elements(%s::jsonb) AS item(value)" if _is_postgres() else "json_each(%s) AS item"


def item(index: int, kind: str) -> str:
    """A column. `kind` is PostgreSQL's name of its type; SQLite takes what it finds, and JSON within as text."""
    return f"CAST(item.value->>{index} AS {kind})" if _is_postgres() else f"json_extract(item.value, '$[{index}]')"


def listed(rows: Iterable[Sequence[Any]]) -> str:
    return json.dumps(list(rows))


@lru_cache(maxsize=64)
def moment(at: datetime) -> str:
    """As SQLite keeps it, in UTC, which sorts as time does; PostgreSQL reads any form. Most rows have the same few."""
    return str(connection.ops.adapt_datetimefield_value(at))


def _is_postgres() -> bool:
    return connection.vendor == "postgresql"
