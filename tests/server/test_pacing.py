"""One message at a time to a destination with a pace, and no other waits for it. Also on PostgreSQL."""

from datetime import datetime, timedelta

import pytest

from runbell.channels.email import EmailChannel
from runbell.core.because import Because
from runbell.core.deliveries import DeliveryState, Retry, Sent, Verdict
from runbell.core.permissions import Role
from runbell.messages import facts as message_facts
from runbell.messages.notices import compose_test
from runbell.server.db.models import Attempt, Delivery, Destination, Message
from runbell.server.services import deliveries
from runbell.server.services.deliveries import Result
from runbell.server.services.parcels import Parcel
from tests.server.people import NOW, Acme

PACE, LEASE = timedelta(seconds=1), timedelta(seconds=30)
TAKEN = Sent("1")
BUSY = Retry(Because("slack_ratelimited"), after=timedelta(seconds=20), is_busy=True)


@pytest.fixture(autouse=True)
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EmailChannel, "pace", PACE)


def queue(destination: Destination, count: int) -> list[int]:
    """Oldest first, a minute apart, all due."""
    facts = message_facts.TestFacts(account="Acme", asked_by="Ada", asked_at=NOW)
    message = Message.objects.create(language="en", body=compose_test(facts, "en").to_json(), created_at=NOW)
    made = [
        Delivery(
            account=destination.account, purpose="test", destination=destination, message=message, lane="email", due_at=NOW, created_at=at
        )
        for at in (NOW - timedelta(minutes=count - i) for i in range(count))
    ]
    return [delivery.pk for delivery in Delivery.objects.bulk_create(made)]


def turn(*results: Result, after: float = 0, room: int = 64) -> list[Parcel]:
    now = NOW + timedelta(seconds=after)
    found = deliveries.turn(results, room=lambda _: room, now=now, lease_until=now + LEASE, dice=lambda: 0.5)
    return list(found.parcels)


def ended(parcel: Parcel, verdict: Verdict | None = TAKEN, *, at: float = 0, took: float = 0) -> Result:
    return Result(parcel, verdict, NOW + timedelta(seconds=at), took)


def due(pk: int) -> datetime:
    return Delivery.objects.get(pk=pk).due_at


def test_one_is_on_its_way_and_the_others_wait_in_the_order_of_their_age(shop: Acme) -> None:
    first, second, third = queue(shop.destination(), 3)
    assert [parcel.id for parcel in turn()] == [first]
    assert [due(second), due(third)] == [NOW + PACE, NOW + 2 * PACE]
    assert set(Delivery.objects.exclude(pk=first).values_list("state", "attempts", "claim")) == {("queued", 0, "")}


def test_the_pace_counts_from_the_answer(shop: Acme) -> None:
    """A slow answer may stand for a message that arrived late."""
    first, second = queue(shop.destination(), 2)
    [parcel] = turn()
    assert turn(after=1.5) == []
    assert turn(ended(parcel, at=0, took=2), after=2) == []
    assert turn(after=2.5) == []
    assert due(second) == NOW + timedelta(seconds=3)
    assert [parcel.id for parcel in turn(after=3)] == [second]
    assert Delivery.objects.get(pk=first).state == DeliveryState.SENT


def test_another_destination_does_not_wait(shop: Acme) -> None:
    [slow, _], [other, _] = queue(shop.destination(), 2), queue(shop.destination(Role.VIEWER), 2)
    assert {parcel.id for parcel in turn()} == {slow, other}


def test_a_busy_destination_is_left_alone_and_that_is_no_try(shop: Acme) -> None:
    first, second = queue(shop.destination(), 2)
    other = queue(shop.destination(Role.VIEWER), 1)[0]
    parcels = {parcel.id: parcel for parcel in turn()}
    assert turn(ended(parcels[first], BUSY), ended(parcels[other]), after=1) == []
    assert turn(after=20) == []
    assert [parcel.id for parcel in turn(after=21)] == [first]
    stored = Delivery.objects.get(pk=first)
    assert (stored.attempts, stored.last_because) == (0, BUSY.because.to_json())
    assert not Attempt.objects.filter(delivery=first).exists()
    assert due(second) > NOW + timedelta(seconds=21)


def test_what_comes_back_untried_frees_the_destination(shop: Acme) -> None:
    [first] = queue(shop.destination(), 1)
    [parcel] = turn()
    assert [again.id for again in turn(ended(parcel, None, at=1), after=1)] == [first]


def test_a_crash_frees_the_destination_together_with_the_delivery(shop: Acme) -> None:
    first, second = queue(shop.destination(), 2)
    turn()
    assert turn(after=29) == []
    assert [parcel.id for parcel in turn(after=30)] == [first]
    assert due(second) > NOW + LEASE


def test_a_longer_lease_holds_the_destination_longer(shop: Acme) -> None:
    _, second = queue(shop.destination(), 2)
    parcels = turn()
    deliveries.renew(parcels, lease_until=NOW + 2 * LEASE)
    assert turn(after=31) == []
    assert Delivery.objects.get(pk=second).state == DeliveryState.QUEUED


def test_what_is_settled_too_late_leaves_the_hold_of_its_successor(shop: Acme) -> None:
    """Its lease ran out, another worker claimed it anew: that one's is the message on its way."""
    queue(shop.destination(), 1)
    [stale] = turn()
    [_] = turn(after=30)
    held = Destination.objects.get().held_until
    turn(ended(stale, at=31), after=31)
    assert Destination.objects.get().held_until == held
