"""A clock that jumps: nothing is lost, nothing is sent twice, and nothing waits for the time that was wrong."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from pytest_django import Settings

from runbell.core.deliveries import Sent, Verdict
from runbell.core.permissions import Role
from runbell.server.db import outbox
from runbell.server.db.models import Delivery, Destination
from runbell.server.services import deliveries
from tests.server.people import Acme, acme
from tests.server.test_worker import DOWN, LATER, Post, Watched, all_are, queue, states

LEASE = timedelta(seconds=30)
HOUR = timedelta(hours=1)


@pytest.fixture
def shop(transactional_db: None) -> Acme:
    return acme()


@pytest.fixture(autouse=True)
def fast(settings: Settings) -> None:
    settings.RUNBELL_TIME_SCALE = 0.001


class Clock:
    def __init__(self) -> None:
        self.jumped = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.jumped


def claim(shop: Acme, at: datetime) -> int:
    return len(outbox.claim({("email", shop.account.pk): 64}, now=at, lease_until=at + LEASE))


def test_a_lease_of_a_clock_that_was_ahead_is_over_after_a_lease(shop: Acme) -> None:
    queue(shop, shop.destination())
    now = datetime.now(UTC)
    assert claim(shop, now + HOUR) == 1
    deliveries.set_back(HOUR, now=now, lease=LEASE)
    assert claim(shop, now + LEASE - timedelta(seconds=1)) == 0
    assert claim(shop, now + LEASE) == 1


def test_a_lease_of_a_right_clock_stays_as_it_is(shop: Acme) -> None:
    queue(shop, shop.destination())
    now = datetime.now(UTC)
    assert claim(shop, now) == 1
    before = Delivery.objects.get().due_at
    deliveries.set_back(HOUR, now=now, lease=LEASE)
    assert Delivery.objects.get().due_at == before


@pytest.mark.parametrize("state", ["queued", "waiting"])
@pytest.mark.parametrize("wait", [timedelta(), timedelta(minutes=2)])
def test_what_was_to_wait_waits_as_long_and_no_longer(shop: Acme, state: str, wait: timedelta) -> None:
    now = datetime.now(UTC)
    queue(shop, shop.destination(), state=state, due_at=now + HOUR + wait, created_at=now + HOUR)
    deliveries.set_back(HOUR, now=now, lease=LEASE)
    assert Delivery.objects.get().due_at == now + wait


def test_what_is_due_and_what_has_ended_is_left_alone(shop: Acme) -> None:
    now = datetime.now(UTC)
    destination = shop.destination()
    queue(shop, destination, due_at=now - HOUR)
    queue(shop, destination, state="sent", due_at=now + HOUR)
    deliveries.set_back(HOUR, now=now, lease=LEASE)
    assert list(Delivery.objects.order_by("pk").values_list("due_at", flat=True)) == [now - HOUR, now + HOUR]


def test_the_pace_of_a_destination_goes_back_with_the_clock(shop: Acme) -> None:
    now, second = datetime.now(UTC), timedelta(seconds=1)
    pk = shop.destination().pk
    Destination.objects.filter(pk=pk).update(next_at=now + HOUR + second, held_until=now + HOUR + LEASE)
    deliveries.set_back(HOUR, now=now, lease=LEASE)
    paced = Destination.objects.get(pk=pk)
    assert (paced.next_at, paced.held_until) == (now + second, now + LEASE)


def run(post: Post, clock: Clock, is_over: Callable[[], bool], *, turns: int = 60) -> None:
    """At most so many turns, of which none waits for longer than a second."""
    left = [turns]

    def until() -> bool:
        left[0] -= 1
        return is_over() or left[0] < 0

    Watched(post, until, clock=clock).run()


@pytest.mark.parametrize("first", [DOWN, LATER])
def test_a_worker_whose_clock_is_set_back_goes_on(shop: Acme, first: Verdict) -> None:
    """Its lane, paused by then, and the ladder; and what was to go out in a second does."""
    clock, answers = Clock(), [first]
    clock.jumped = 24 * HOUR

    def answer(key: str) -> Verdict:
        return answers.pop() if answers else Sent()

    def is_over() -> bool:
        if "waiting" in states()[:1]:  # the first try is settled
            clock.jumped = timedelta()
        return all_are("sent")()

    queue(shop, shop.destination(), due_at=clock(), created_at=clock())
    queue(shop, shop.destination(Role.VIEWER), due_at=clock() + timedelta(seconds=1), created_at=clock(), state="waiting")
    run(post := Post(answer), clock, is_over)
    assert (len(post.sent), states()) == (2, ["sent"] * 2)


def test_what_is_being_sent_while_the_clock_jumps_ahead_is_sent_once(shop: Acme) -> None:
    queue(shop, shop.destination())
    clock, told, go_on = Clock(), list[str](), Event()

    def hold(key: str) -> Verdict:
        told.append(key)
        go_on.wait(30)
        return Sent()

    turns = [0]

    def is_over() -> bool:
        if told:
            clock.jumped = HOUR
            turns[0] += 1
        if turns[0] == 3:  # has seen the new time, and had an occasion to claim
            go_on.set()
        return all_are("sent")()

    run(Post(hold), clock, is_over)
    assert (len(told), states()) == (1, ["sent"])


def test_a_day_that_is_skipped_kills_nothing_that_can_be_sent(shop: Acme) -> None:
    clock = Clock()
    queue(shop, *[shop.destination()] * 3, state="waiting")
    clock.jumped = 30 * HOUR
    run(post := Post(), clock, all_are("sent"))
    assert (len(post.sent), states()) == (3, ["sent"] * 3)
