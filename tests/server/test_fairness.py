"""Accounts share a way out fairly, and what waited for it goes out in the order of its age. Also on PostgreSQL."""

from collections import Counter
from datetime import timedelta

from runbell.core.because import Because
from runbell.core.deliveries import Retry, Sent, Verdict
from runbell.messages import facts as message_facts
from runbell.messages.notices import compose_test
from runbell.server.db.models import Delivery, Destination, Message
from runbell.server.services import deliveries
from runbell.server.services.deliveries import Result
from runbell.server.services.parcels import Parcel
from tests.server.people import NOW, Acme, acme

LEASE = timedelta(seconds=30)
DOWN = Retry(Because("smtp_unreachable"), is_transport=True)


def queue(destination: Destination, count: int, *, ago: float = 60) -> list[int]:
    """The first is so many seconds old, and each next one a millisecond younger."""
    facts = message_facts.TestFacts(account="Acme", asked_by="Ada", asked_at=NOW)
    message = Message.objects.create(language="en", body=compose_test(facts, "en").to_json(), created_at=NOW)
    ages = [NOW - timedelta(seconds=ago) + timedelta(milliseconds=number) for number in range(count)]
    made = [
        Delivery(
            account=destination.account, purpose="test", destination=destination, message=message, lane="email", due_at=at, created_at=at
        )
        for at in ages
    ]
    return [delivery.pk for delivery in Delivery.objects.bulk_create(made)]


def turn(*results: Result, after: float = 0, room: int = 64, chance: float = 0.5) -> list[Parcel]:
    now = NOW + timedelta(seconds=after)
    found = deliveries.turn(results, room=lambda _: room, now=now, lease_until=now + LEASE, dice=lambda: chance)
    return list(found.parcels)


def ended(parcel: Parcel, verdict: Verdict | None) -> Result:
    return Result(parcel, verdict, NOW)


def test_a_backlog_of_one_account_does_not_delay_another(shop: Acme) -> None:
    """Ten thousand before it, and ten behind: all ten are in the next batch."""
    queue(shop.destination(), 10_000, ago=3600)
    late = queue(acme("Other", "other.test").destination(), 10)
    found = [parcel.id for parcel in turn()]
    assert set(late) <= set(found)
    assert len(found) == 32 + 10


def test_two_backlogs_go_out_side_by_side_and_a_single_place_falls_to_either(shop: Acme) -> None:
    other = acme("Other", "other.test")
    mine = queue(shop.destination(), 200, ago=3600)
    theirs = queue(other.destination(), 200)
    count = Counter(parcel.id in mine for parcel in turn(room=64))
    assert count == {True: 32, False: 32}
    assert [turn(room=1, chance=chance)[0].id in theirs for chance in (0.0, 0.9)] == [False, True]


def test_after_a_pause_the_backlog_goes_out_in_the_order_of_its_age(shop: Acme) -> None:
    """What the lane had in hand when its way broke is the oldest, and stays so."""
    waiting = queue(shop.destination(), 100)
    held = turn(room=10)
    assert [parcel.id for parcel in held] == waiting[:10]
    assert turn(*(ended(parcel, None) for parcel in held), after=5, room=0) == []
    assert [parcel.id for parcel in turn(after=60, room=100)] == waiting


def test_the_one_that_met_the_broken_way_does_not_stand_in_front_again(shop: Acme) -> None:
    """It may be what breaks the way: then it must not hold up all others."""
    waiting = queue(shop.destination(), 5)
    [first] = turn(room=1)
    assert [parcel.id for parcel in turn(ended(first, DOWN), after=1, room=1)] == waiting[1:2]
    assert Delivery.objects.get(pk=first.id).attempts == 0
    rest = turn(after=60, room=64)
    assert [parcel.id for parcel in rest][:1] == waiting[:1]
    turn(*(ended(parcel, Sent("1")) for parcel in rest), after=61)
    assert set(Delivery.objects.exclude(pk=waiting[1]).values_list("state", flat=True)) == {"sent"}
