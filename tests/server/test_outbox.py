"""The outbox, with the same promises on SQLite and PostgreSQL: `tools/with_postgres.py pytest tests/server/test_outbox.py`."""

import gc
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from select import select
from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from runbell.core.because import Because
from runbell.core.deliveries import DeliveryState
from runbell.server.db import outbox
from runbell.server.db.bell import Bell, SocketBell, open_bell, ring
from runbell.server.db.models import Delivery, Run
from tests.server.people import NOW, Acme, acme

LEASE = timedelta(seconds=30)
MINUTE = timedelta(minutes=1)


def queue(shop: Acme, count: int = 1, **fields: Any) -> list[int]:
    fields = {"lane": "email", "purpose": "test", "due_at": NOW, "created_at": NOW} | fields
    return [delivery.pk for delivery in Delivery.objects.bulk_create(Delivery(account=shop.account, **fields) for _ in range(count))]


def claim(count: int = 10, *, lane: str = "email", after: timedelta = timedelta()) -> dict[int, str]:
    now = NOW + after
    with transaction.atomic():
        return tokens(outbox.claim({(lane, of_account()): count}, now=now, lease_until=now + LEASE))


def of_account() -> int:
    return Delivery.objects.values_list("account", flat=True).first() or 0


def tokens(claimed: list[outbox.Claimed]) -> dict[int, str]:
    return {row.id: row.claim for row in claimed}


def move(claims: dict[int, str], state: DeliveryState = DeliveryState.SENT, **changed: Any) -> list[outbox.Move]:
    fields: dict[str, Any] = {"due_at": NOW, "attempts": 1, "settled_at": NOW} | changed
    return [outbox.Move(id=found, claim=token, state=state, **fields) for found, token in claims.items()]


def test_what_is_due_is_claimed_once_oldest_first_and_only_so_much(shop: Acme) -> None:
    late, early = queue(shop, due_at=NOW - MINUTE)[0], queue(shop, due_at=NOW - 2 * MINUTE)[0]
    queue(shop, due_at=NOW + MINUTE)
    queue(shop, lane="slack:T1")
    assert set(claim(1)) == {early}
    assert set(claim()) == {late}
    assert claim() == {}
    claimed = Delivery.objects.get(pk=early)
    assert (claimed.state, claimed.due_at) == ("sending", NOW + LEASE)


@pytest.mark.parametrize("state", ["sent", "dead", "suppressed", "folded"])
def test_what_has_ended_is_never_claimed(shop: Acme, state: str) -> None:
    queue(shop, state=state)
    assert claim() == {}
    assert outbox.next_due() == {}


def test_an_expired_lease_is_claimed_anew_and_the_first_claim_settles_nothing(shop: Acme) -> None:
    queue(shop)
    first = claim()
    assert claim(after=LEASE / 2) == {}
    second = claim(after=LEASE)
    assert first.keys() == second.keys()
    assert outbox.settle(move(first)) == set()
    assert Delivery.objects.get().state == "sending"
    assert outbox.settle(move(second)) == set(second)
    assert outbox.settle(move(second)) == set()


def test_a_renewed_lease_holds_for_its_own_claim_alone(shop: Acme) -> None:
    queue(shop)
    claimed = claim()
    assert outbox.renew(dict.fromkeys(claimed, "another"), lease_until=NOW + 9 * LEASE) == set()
    assert Delivery.objects.get().due_at == NOW + LEASE
    assert outbox.renew(claimed, lease_until=NOW + 3 * LEASE) == set(claimed.items())
    assert claim(after=2 * LEASE) == {}
    assert claim(after=3 * LEASE).keys() == claimed.keys()


def test_settling_stores_the_move_and_drops_a_payload_with_the_last_one(shop: Acme) -> None:
    queue(shop, payload=b"reset your password")
    because = Because("smtp_later", {"code": 451, "text": "it's «грейлистинг» %s"})
    outbox.settle(move(claim(), DeliveryState.WAITING, due_at=NOW + MINUTE, last_because=because, settled_at=None))
    waiting = Delivery.objects.get()
    assert (waiting.state, waiting.due_at, waiting.claim, waiting.attempts) == ("waiting", NOW + MINUTE, "", 1)
    assert (waiting.last_because, waiting.payload) == (because.to_json(), b"reset your password")
    outbox.settle(move(claim(after=MINUTE), provider_id="4Xyz", attempts=2))
    sent = Delivery.objects.get()
    assert (sent.state, sent.provider_id, sent.settled_at, sent.last_because, sent.payload) == ("sent", "4Xyz", NOW, None, None)


def test_next_due_knows_every_lane_and_the_next_lost_run(shop: Acme) -> None:
    assert outbox.next_due() == {}
    queue(shop, 3, due_at=NOW + MINUTE)
    queue(shop, lane="slack:T1", due_at=NOW + timedelta(microseconds=5))
    queue(shop, lane="slack:T2", state="sent")
    Run.objects.create(account=shop.account, job=shop.job, state="started", started_at=NOW, received_at=NOW, lost_at=NOW + 3 * MINUTE)
    own = shop.account.pk
    expected = {"email": {own: NOW + MINUTE}, "slack:T1": {own: NOW + timedelta(microseconds=5)}, outbox.LOST_RUNS: {0: NOW + 3 * MINUTE}}
    assert outbox.next_due() == expected


def test_each_account_stands_in_its_own_line(shop: Acme) -> None:
    other = acme("Other", "other.test")
    queue(shop, 300, due_at=NOW - MINUTE)
    [late] = queue(other)
    assert outbox.next_due() == {"email": {shop.account.pk: NOW - MINUTE, other.account.pk: NOW}}
    claimed = outbox.claim({("email", shop.account.pk): 32, ("email", other.account.pk): 32}, now=NOW, lease_until=NOW + LEASE)
    assert len(claimed) == 33
    assert late in {row.id for row in claimed}


def test_release_makes_claims_due_and_leaves_schedules_alone(shop: Acme) -> None:
    held, waiting = queue(shop)[0], queue(shop, state="waiting", due_at=NOW + MINUTE)[0]
    claim()
    outbox.release_all(now=NOW)
    assert set(claim()) == {held}
    assert Delivery.objects.get(pk=waiting).due_at == NOW + MINUTE


@pytest.mark.parametrize("count", [1, 200])
def test_statements_do_not_grow_with_the_batch(shop: Acme, count: int) -> None:
    queue(shop, count)
    with CaptureQueriesContext(connection) as queries:
        claimed = tokens(outbox.claim({("email", shop.account.pk): count}, now=NOW, lease_until=NOW + LEASE))
        outbox.renew(claimed, lease_until=NOW + 2 * LEASE)
        settled = outbox.settle(move(claimed, last_because=Because("x")))
    assert len(settled) == count
    assert len(queries) == 3


def test_claim_and_next_due_walk_the_partial_index(shop: Acme) -> None:
    queue(shop, 2000, state="sent")
    queue(shop, 20, due_at=NOW + MINUTE)
    with CaptureQueriesContext(connection) as queries:
        outbox.claim({("email", shop.account.pk): 5, ("slack:7", shop.account.pk): 5}, now=NOW, lease_until=NOW)
        outbox.next_due()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("ANALYZE runbell_delivery")
        for query in queries.captured_queries:
            explain = "EXPLAIN (FORMAT JSON) " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
            cursor.execute(explain + query["sql"])
            plan = json.dumps(cursor.fetchall())
            assert "delivery_turn" in plan
            assert not {"SCAN d", "SCAN runbell_delivery"} & set(re.findall(r"SCAN \w+", plan))


@pytest.fixture
def bell() -> Iterator[Bell]:
    bell = open_bell()
    yield bell
    bell.close()


@pytest.mark.django_db(transaction=True)
def test_wake_rings_and_a_drained_bell_is_silent(bell: Bell) -> None:
    for _ in range(3):
        ring()
    assert select([bell.fileno()], [], [], 10)[0]
    bell.drain()
    assert not select([bell.fileno()], [], [], 0)[0]


@pytest.mark.django_db
def test_a_home_with_a_long_path_has_a_bell_too(settings: Settings, tmp_path: Path) -> None:
    settings.RUNBELL_HOME = tmp_path / ("deep" * 30)
    settings.RUNBELL_HOME.mkdir()
    bell = SocketBell()
    try:
        if connection.vendor == "sqlite":
            ring()
            assert select([bell.fileno()], [], [], 10)[0]
    finally:
        bell.close()
    assert not list(settings.RUNBELL_HOME.iterdir())


@pytest.mark.django_db
def test_wake_without_a_listener_is_no_error() -> None:
    ring()


@pytest.mark.django_db(transaction=True)
def test_two_workers_share_without_waiting() -> None:
    """On SQLite there is one worker (its lock is tested with it), so nothing can be claimed at the same time."""
    if connection.vendor != "postgresql":
        return
    from tests.server.people import acme

    ids = queue(acme(), 4)
    other: dict[int, str] = {}

    def second() -> None:
        try:
            other.update(claim())
        finally:
            connection.close()

    with transaction.atomic():
        mine = tokens(outbox.claim({("email", of_account()): 2}, now=NOW, lease_until=NOW + LEASE))
        thread = Thread(target=second)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
    assert len(mine) == len(other) == 2
    assert {*mine, *other} == set(ids)


def test_a_bell_that_cannot_be_hung_leaves_nothing_open(settings: Settings, tmp_path: Path) -> None:
    settings.RUNBELL_HOME = tmp_path / "gone"
    with pytest.raises(OSError, match="No such file"):
        SocketBell()
    gc.collect()  # a socket left open would warn here, and warnings are errors
