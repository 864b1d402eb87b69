"""The outbox: the delivery table as a queue, behind a port of three: `claim`, `settle`, `next_due`. Who fills it rings the bell.

Each account stands in its own line, so that what one has waiting does not delay the others.

`due_at` is schedule, backoff and lease in one: a claim moves it past the lease, so a crash simply makes the row due again. What
was claimed is settled only by the token of its claim. One SQL for SQLite and PostgreSQL; they differ in locking and in casts.
Every function runs a fixed number of statements, however many deliveries it is about, inside the caller's transaction.
"""
# ruff: noqa: S608  # what is put into the SQL are this module's own literals; values are parameters

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection

from runbell.core.because import Because
from runbell.core.deliveries import DeliveryState
from runbell.server.db.listed import item, items, listed, moment

LONGEST_LINE = 1_000  # looked at in one transaction; more are left for the next
MOST_HEADS = 100  # of one statement
LOST_RUNS = ""  # beside the lanes in `next_due`: when the next started run is given up

# Literals, not parameters: only then does SQLite see that the partial index `delivery_turn` fits.
PENDING_SQL = "state IN ('queued', 'sending', 'waiting')"
_DUE = f"""
    due{{place}} AS MATERIALIZED (
        SELECT id FROM runbell_delivery WHERE lane = %s AND account_id = %s AND {PENDING_SQL} AND due_at <= %s
        ORDER BY due_at, id LIMIT %s {{lock}}
    )"""
_CLAIM = """
    WITH {parts} UPDATE runbell_delivery SET state = 'sending', claim = %s, due_at = %s WHERE id IN ({ids})
    RETURNING id, claim, lane, resends, attempts, purpose, account_id, destination_id, message_id, run_id,
        (SELECT job_id FROM runbell_run r WHERE r.id = runbell_delivery.run_id),
        (SELECT finished_at FROM runbell_run r WHERE r.id = runbell_delivery.run_id),
        created_at, last_because, because,
        attempts > 0 AND EXISTS (
            SELECT 1 FROM runbell_attempt a
            WHERE a.delivery_id = runbell_delivery.id AND a.verdict = 'lost' AND a.at >= runbell_delivery.created_at
        )"""
# Jumps from lane to lane, and in each from account to account, instead of reading every pending row.
_NEXT_DUE = f"""
    WITH RECURSIVE lanes(lane) AS (
        SELECT (SELECT MIN(lane) FROM runbell_delivery WHERE {PENDING_SQL})
        UNION ALL
        SELECT (SELECT MIN(d.lane) FROM runbell_delivery d WHERE {PENDING_SQL} AND d.lane > lanes.lane) FROM lanes WHERE lane IS NOT NULL
    ),
    heads(lane, account) AS (
        SELECT lane, (SELECT MIN(d.account_id) FROM runbell_delivery d WHERE {PENDING_SQL} AND d.lane = lanes.lane)
        FROM lanes WHERE lane IS NOT NULL
        UNION ALL
        SELECT lane, (SELECT MIN(d.account_id) FROM runbell_delivery d WHERE {PENDING_SQL} AND d.lane = heads.lane AND d.account_id > heads.account)
        FROM heads WHERE account IS NOT NULL
    )
    SELECT lane, account, (SELECT MIN(d.due_at) FROM runbell_delivery d WHERE {PENDING_SQL} AND d.lane = heads.lane AND d.account_id = heads.account)
    FROM heads WHERE account IS NOT NULL
    UNION ALL SELECT '{LOST_RUNS}', 0, MIN(lost_at) FROM runbell_run WHERE lost_at IS NOT NULL"""
_MOVED = ("bigint", "text", "text", "timestamptz", "smallint", "jsonb", "text", "timestamptz")
_TRIED = ("bigint", "timestamptz", "double precision", "text", "jsonb", "text")
_SETTLE = """
    WITH moved(id, claim, state, due_at, attempts, last_because, provider_id, settled_at) AS (SELECT {columns} FROM {rows})
    UPDATE runbell_delivery SET
        state = moved.state, claim = '', due_at = moved.due_at, attempts = moved.attempts, last_because = moved.last_because,
        provider_id = moved.provider_id, settled_at = moved.settled_at,
        payload = CASE WHEN moved.settled_at IS NULL THEN payload END
    FROM moved
    WHERE runbell_delivery.id = moved.id AND runbell_delivery.claim = moved.claim AND runbell_delivery.state = 'sending'
    RETURNING runbell_delivery.id"""
_LOG = "INSERT INTO runbell_attempt (delivery_id, at, took, verdict, because, provider_id) SELECT {columns} FROM {rows}"


class Claimed(NamedTuple):
    """A claimed delivery with the job and the end of its run. Not a model: making those is most of what it would cost the dispatcher.

    `was_lost`: the answer to one of its tries since it was queued, so it may have arrived.
    """

    id: int
    claim: str
    lane: str
    resends: int
    attempts: int
    purpose: str
    account_id: int
    destination_id: int | None
    message_id: int | None
    run_id: int | None
    job_id: int | None
    finished_at: datetime | None
    created_at: datetime
    last_because: Because | None = None
    because: Because | None = None
    was_lost: bool = False


@dataclass(frozen=True, slots=True)
class Try:
    """What came of sending a delivery. `verdict`: sent, retry, lost or dead."""

    delivery_id: int
    at: datetime
    took: float
    verdict: str
    because: Because | None = None
    provider_id: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """The new state of a claimed delivery. `settled_at` is set when it is the last one; a stored payload goes with it."""

    id: int
    claim: str
    state: DeliveryState
    due_at: datetime
    attempts: int
    last_because: Because | None = None
    provider_id: str = ""
    settled_at: datetime | None = None


Head = tuple[str, int]
"""A lane, and an account that has something in it."""


def claim(quotas: Mapping[Head, int], *, now: datetime, lease_until: datetime) -> list[Claimed]:
    """Takes up to so many due deliveries of each account in each lane, oldest first; nobody else gets them before `lease_until`.

    One token for all, and of all accounts and lanes the oldest first.
    """
    token, lock = secrets.token_hex(16), "FOR UPDATE SKIP LOCKED" if _is_postgres() else ""
    claimed: list[Claimed] = []
    with connection.cursor() as cursor:
        for part in _batched(quotas.items()):
            parts = ", ".join(_DUE.format(place=place, lock=lock) for place in range(len(part)))
            ids = " UNION ALL ".join(f"SELECT id FROM due{place}" for place in range(len(part)))
            which = [value for (lane, account), most in part for value in (lane, account, _stored(now), most)]
            cursor.execute(_CLAIM.format(parts=parts, ids=ids), [*which, token, _stored(lease_until)])
            claimed += map(_claimed, cursor.fetchall())
    return sorted(claimed, key=lambda row: (row.created_at, row.id))


def _batched(items: Iterable[tuple[Head, int]]) -> Iterator[list[tuple[Head, int]]]:
    every = list(items)
    return (every[start : start + MOST_HEADS] for start in range(0, len(every), MOST_HEADS))


def lines(lanes: Iterable[str], destinations: Sequence[int], token: str) -> dict[int, list[int]]:
    """What waits to tell of a run, by destination, oldest first: claimed by `token`, or by nobody, and then locked. At most `LONGEST_LINE`."""
    lanes = sorted(lanes)
    sql = f"""
        SELECT destination_id, id FROM runbell_delivery
        WHERE lane IN ({_marks(lanes)}) AND {PENDING_SQL} AND purpose = 'run' AND destination_id IN ({_marks(destinations)})
            AND (state <> 'sending' OR claim = %s)
            AND NOT EXISTS (SELECT 1 FROM runbell_attempt a WHERE a.delivery_id = runbell_delivery.id AND a.verdict = 'lost')
        ORDER BY created_at, id LIMIT {LONGEST_LINE} {"FOR UPDATE SKIP LOCKED" if _is_postgres() else ""}"""
    found: dict[int, list[int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(sql, [*lanes, *destinations, token])
        for destination, delivery in cursor.fetchall():
            found.setdefault(destination, []).append(delivery)
    return found


def fold(deliveries: Mapping[int, Sequence[int]], *, now: datetime) -> None:
    """Ends what is told within a digest, by the digest's id. What `lines` found, in the same transaction."""
    pairs = [(told, digest) for digest, found in deliveries.items() for told in found]
    cast = "(%s::bigint, %s::bigint)" if _is_postgres() else "(%s, %s)"
    sql = f"""
        WITH told(id, digest) AS (VALUES {", ".join([cast] * len(pairs))})
        UPDATE runbell_delivery SET state = 'folded', folded_into_id = told.digest, claim = '', last_because = NULL, settled_at = %s
        FROM told WHERE runbell_delivery.id = told.id"""
    with connection.cursor() as cursor:
        cursor.execute(sql, [*(value for pair in pairs for value in pair), _stored(now)])


def settle(moves: Sequence[Move]) -> set[int]:
    """Moves what is still held by its claim; returns those ids. A lease that ran out and was claimed anew is left alone."""
    if not moves:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_of_rows(_SETTLE, _MOVED), [listed(map(_row, moves))])
        return {found for (found,) in cursor.fetchall()}


def log(tries: Sequence[Try]) -> None:
    if tries:
        with connection.cursor() as cursor:
            cursor.execute(_of_rows(_LOG, _TRIED), [listed(map(_tried, tries))])


def _of_rows(sql: str, kinds: Sequence[str]) -> str:
    return sql.format(columns=", ".join(item(place, kind) for place, kind in enumerate(kinds)), rows=items())


def renew(claims: Mapping[int, str], *, lease_until: datetime) -> set[tuple[int, str]]:
    """A longer lease for what is still being sent; returns those. What somebody else has claimed meanwhile is left alone."""
    if not claims:
        return set()
    ids, tokens = list(claims), sorted(set(claims.values()))
    sql = f"UPDATE runbell_delivery SET due_at = %s WHERE id IN ({_marks(ids)}) AND claim IN ({_marks(tokens)}) AND state = 'sending' RETURNING id, claim"
    with connection.cursor() as cursor:
        cursor.execute(sql, [_stored(lease_until), *ids, *tokens])
        return set(cursor.fetchall())


def next_due() -> dict[str, dict[int, datetime]]:
    """When each lane that holds something has work again, by account; under `LOST_RUNS`, for account 0, when the next run is lost."""
    found: dict[str, dict[int, datetime]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_DUE)
        for lane, account, at in cursor.fetchall():
            if at is not None:
                found.setdefault(lane, {})[account] = _read(at)
    return found


def release_all(*, now: datetime) -> None:
    """Makes every claimed delivery due. Only for the one worker of SQLite, at its start, under the exclusive lock."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE runbell_delivery SET due_at = %s WHERE {PENDING_SQL} AND state = 'sending'", [_stored(now)])


def _claimed(row: Sequence[Any]) -> Claimed:
    *plain, finished_at, created_at, last_because, because, was_lost = row
    ended = _read(finished_at) if finished_at else None
    return Claimed._make((*plain, ended, _read(created_at), _because(last_because), _because(because), bool(was_lost)))


def _because(stored: str | None) -> Because | None:
    return Because.from_json(json.loads(stored)) if stored else None


def _row(move: Move) -> list[Any]:
    return [
        move.id,
        move.claim,
        move.state.value,
        moment(move.due_at),
        move.attempts,
        _json(move.last_because),
        move.provider_id,
        moment(move.settled_at) if move.settled_at else None,
    ]


def _tried(each: Try) -> list[Any]:
    return [each.delivery_id, moment(each.at), each.took, each.verdict, _json(each.because), each.provider_id]


def _json(because: Because | None) -> dict[str, Any] | None:
    return because.to_json() if because else None


def _is_postgres() -> bool:
    return connection.vendor == "postgresql"


def _marks(values: Iterable[Any]) -> str:
    return ", ".join("%s" for _ in values)


@lru_cache(maxsize=16)
def _stored(at: datetime) -> Any:
    """SQLite keeps text in UTC, which sorts as time does. A batch has few moments."""
    return connection.ops.adapt_datetimefield_value(at)


def _read(stored: datetime | str) -> datetime:
    """SQLite's module reads what comes straight from a column, and knows no zone."""
    at = stored if isinstance(stored, datetime) else datetime.fromisoformat(stored)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
