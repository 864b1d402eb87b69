"""From the outbox to the way out and back, the dispatcher in the test's own thread, the lanes in theirs."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Lock, Timer
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from runbell.core.because import Because
from runbell.core.deliveries import Dead, DeliveryState, Retry, Sent, Verdict
from runbell.core.permissions import Role
from runbell.messages import facts as message_facts
from runbell.messages.notices import compose_test
from runbell.server.db import outbox
from runbell.server.db.models import Attempt, Delivery, Destination, MailboxItem, Message, Run
from runbell.server.services import deliveries, delivery_pages, resends
from runbell.server.services.access import Actor, NotAllowed, NotThere
from runbell.server.services.account_mail import OutboxBackend
from runbell.server.services.deliveries import Result
from runbell.server.services.mailbox import MailboxConnection
from runbell.server.services.parcels import Renderer
from runbell.server.worker.lanes import IN_FLIGHT, SENDERS
from runbell.server.worker.lock import held
from runbell.server.worker.loop import Worker
from tests.server.people import Acme, acme

Answer = Callable[[str], Verdict]
DOWN = Retry(Because("smtp_unreachable"), is_transport=True)
LATER = Retry(Because("smtp_later", {"code": 451}))
NOBODY = Dead(Because("smtp_address_unknown", {"code": 550}), is_refusal=True)


@dataclass
class Post:
    """A way out that answers as told and keeps what it took; `until` says when the worker may stop."""

    answer: Answer = lambda _: Sent("4Xyz")
    sent: list[tuple[str, str, bytes]] = field(default_factory=list)
    opened: int = 0
    lock: Lock = field(default_factory=Lock)

    def connect(self, lane: str) -> "Post":
        with self.lock:
            self.opened += 1
        return self

    def send(self, settings: Mapping[str, Any], payload: bytes, key: str) -> Verdict:
        verdict = self.answer(key)
        with self.lock:
            if isinstance(verdict, Sent):
                self.sent.append((settings["address"], key, payload))
        return verdict

    def close(self) -> None: ...


class Watched(Worker):
    """Stops itself when what the test waits for has been stored."""

    def __init__(self, post: Post, until: Callable[[], bool], **options: Any) -> None:
        super().__init__(connect=post.connect, **options)
        self.until = until

    def _wait(self, span: timedelta) -> None:
        if self.until():
            self.stop()
        super()._wait(min(span, timedelta(seconds=1)))


def work(post: Post, until: Callable[[], bool]) -> None:
    Watched(post, until).run()


def states() -> list[str]:
    return list(Delivery.objects.order_by("pk").values_list("state", flat=True))


def all_are(*expected: str) -> Callable[[], bool]:
    return lambda: set(states()) <= set(expected)


def queue(shop: Acme, *destinations: Destination, **fields: Any) -> list[Delivery]:
    now = datetime.now(UTC)
    facts = message_facts.TestFacts(account=shop.account.name, asked_by="Ada", asked_at=now)
    message = Message.objects.create(language="en", body=compose_test(facts, "en").to_json(), created_at=now)
    fields = {"purpose": "test", "lane": "email", "due_at": now, "created_at": now, "message": message} | fields
    return Delivery.objects.bulk_create(Delivery(account=shop.account, destination=to, **fields) for to in destinations)


@pytest.fixture
def shop(transactional_db: None) -> Acme:
    return acme()


@pytest.fixture(autouse=True)
def fast(settings: Settings) -> None:
    settings.RUNBELL_TIME_SCALE = 0.001


def test_a_delivery_is_sent_and_every_try_is_kept(shop: Acme) -> None:
    queue(shop, shop.destination(), shop.destination(Role.VIEWER))
    post = Post()
    work(post, all_are("sent"))
    assert sorted(address for address, _, _ in post.sent) == ["ada@acme.test", "vera@acme.test"]
    delivery = Delivery.objects.order_by("pk")[0]
    assert (delivery.attempts, delivery.provider_id, delivery.claim) == (1, "4Xyz", "")
    assert delivery.settled_at is not None
    assert list(Attempt.objects.values_list("verdict", "provider_id")) == [("sent", "4Xyz")] * 2
    _, key, payload = min(post.sent, key=lambda sent: int(sent[1].removesuffix(".0")))
    assert f"Message-ID: <d.{key}@".encode() in payload
    assert key == f"{delivery.pk}.0"


def test_later_climbs_the_ladder_and_keeps_the_key(shop: Acme) -> None:
    queue(shop, shop.destination())
    verdicts: list[Verdict] = [LATER, LATER, Sent()]
    keys: list[str] = []

    def answer(key: str) -> Verdict:
        keys.append(key)
        return verdicts.pop(0)

    work(Post(answer), all_are("sent"))
    assert len(set(keys)) == 1
    assert Delivery.objects.get().attempts == 3
    assert list(Attempt.objects.order_by("id").values_list("verdict", flat=True)) == ["retry", "retry", "sent"]


LOST = Retry(Because("slack_no_answer"), is_lost=True)


def test_a_lost_answer_is_tried_once_more_and_the_log_says_maybe_twice(shop: Acme) -> None:
    delivery = queue(shop, shop.destination())[0]
    verdicts: list[Verdict] = [LOST, LATER, Sent()]
    work(Post(lambda _: verdicts.pop(0)), all_are("sent"))
    assert list(Attempt.objects.order_by("id").values_list("verdict", flat=True)) == ["lost", "retry", "sent"]
    assert delivery_pages.get_delivery(Actor(shop.admin), delivery.pk).may_be_twice


def test_the_second_lost_answer_is_the_end_whatever_was_between_and_a_person_may_send_again(shop: Acme) -> None:
    delivery = queue(shop, shop.destination())[0]
    verdicts: list[Verdict] = [LOST, LATER, LOST]
    work(Post(lambda _: verdicts.pop(0)), all_are("dead"))
    delivery.refresh_from_db()
    assert delivery.last_because == Because("answer_lost", {"last": LOST.because.to_json()}).to_json()
    assert not delivery_pages.get_delivery(Actor(shop.admin), delivery.pk).may_be_twice
    verdicts[:] = [LOST, Sent()]
    resends.resend(Actor(shop.admin), delivery.pk, now=datetime.now(UTC))
    work(Post(lambda _: verdicts.pop(0)), all_are("sent"))
    assert not verdicts


def test_tries_used_up_is_dead_with_its_reason(shop: Acme, settings: Settings) -> None:
    settings.RUNBELL_TIME_SCALE, settings.RUNBELL_MAX_AGE = 0.00001, timedelta(days=9999)
    queue(shop, shop.destination())
    work(Post(lambda _: LATER), all_are("dead"))
    delivery = Delivery.objects.get()
    assert delivery.last_because == {"code": "tries_used_up", "params": {"last": LATER.because.to_json()}}
    assert (delivery.attempts, Attempt.objects.count()) == (9, 9)
    assert Destination.objects.get().refusals == 0


def test_what_waits_for_a_destination_that_is_switched_off_is_suppressed(shop: Acme) -> None:
    destination = shop.destination()
    Destination.objects.update(refusals=2)
    first, second = queue(shop, destination)[0], queue(shop, destination, due_at=datetime.now(UTC) + timedelta(seconds=0.3))[0]
    work(Post(lambda _: NOBODY), all_are("dead", "suppressed"))
    destination.refresh_from_db()
    assert (destination.refusals, destination.disabled_because) == (3, NOBODY.because.to_json())
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == ("dead", "suppressed")
    assert second.last_because is not None
    assert second.last_because["code"] == "destination_disabled"


@pytest.mark.parametrize("change", ["deleted", "disabled", "inactive"])
def test_a_reason_that_went_away_suppresses(shop: Acme, change: str) -> None:
    destination = shop.destination(Role.VIEWER)
    queue(shop, destination)
    if change == "inactive":
        shop.members[Role.VIEWER].is_active = False
        shop.members[Role.VIEWER].save()
    else:
        fields: dict[str, Any] = {"state": 2} if change == "deleted" else {"disabled_because": NOBODY.because.to_json()}
        Destination.objects.update(**fields)
    post = Post()
    work(post, all_are("suppressed"))
    assert post.sent == []
    assert Attempt.objects.count() == 0


def test_a_way_that_is_down_pauses_its_lane_alone_and_uses_up_no_attempt(shop: Acme) -> None:
    queue(shop, *[shop.destination(role) for role in Role])
    queue(shop, Destination.objects.order_by("pk")[0], lane="email:other")
    opened: list[str] = []
    fails = iter([DOWN] * 5)

    class Ways(Post):
        def connect(self, lane: str) -> Post:
            opened.append(lane)
            return other if lane == "email:other" else self

    other = Post()
    post = Ways(lambda _: next(fails, Sent()))
    work(post, all_are("sent"))
    assert len(other.sent) == 1
    assert len(post.sent) == len(Role)
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {1}
    assert Attempt.objects.count() == len(Role) + 1


def test_what_waits_for_a_way_dies_by_age(shop: Acme, settings: Settings) -> None:
    settings.RUNBELL_MAX_AGE = timedelta(seconds=100)  # 0.1 s as scaled
    queue(shop, shop.destination())
    work(Post(lambda _: DOWN), all_are("dead"))
    because = Delivery.objects.get().last_because
    assert because == {"code": "too_old", "params": {"last": DOWN.because.to_json()}}


def test_a_bug_in_one_message_holds_up_no_other(shop: Acme, settings: Settings) -> None:
    settings.RUNBELL_TIME_SCALE, settings.RUNBELL_MAX_AGE = 0.00001, timedelta(days=9999)
    bad, good = shop.destination(), shop.destination(Role.VIEWER)
    key = f"{queue(shop, bad)[0].pk}.0"
    queue(shop, good)

    def answer(said: str) -> Verdict:
        if said == key:
            raise ZeroDivisionError
        return Sent()

    work(Post(answer), all_are("dead", "sent"))
    assert states() == ["dead", "sent"]
    assert Attempt.objects.filter(because__code="internal_error").count() == 9


def test_a_message_that_cannot_be_rendered_holds_up_no_other_beside_it(shop: Acme, settings: Settings) -> None:
    settings.RUNBELL_TIME_SCALE, settings.RUNBELL_MAX_AGE = 0.00001, timedelta(days=9999)
    bad = queue(shop, shop.destination())[0]
    queue(shop, shop.destination(Role.VIEWER))
    assert bad.message
    bad.message.body = {"ended_at": "never"}
    bad.message.save()
    post = Post()
    work(post, all_are("dead", "sent"))
    assert Delivery.objects.get(state="dead") == bad
    assert len(post.sent) == 1


def test_stop_finishes_what_is_being_sent_and_gives_back_the_rest(shop: Acme) -> None:
    destination = shop.destination()
    queue(shop, *[destination] * 20)
    asked, post = Event(), Post()

    def answer(_: str) -> Verdict:
        worker.stop()
        asked.wait(30)
        return Sent()

    post.answer = answer

    class Stopping(Watched):
        def _heed_stop(self) -> None:
            super()._heed_stop()
            if self._stop_by:
                asked.set()

    worker = Stopping(post, lambda: False)
    worker.run()
    assert set(states()) == {"sent", "queued"}
    assert states().count("sent") == len(post.sent) <= 4
    given_back = Delivery.objects.filter(state="queued")
    assert set(given_back.values_list("claim", "attempts")) == {("", 0)}
    work(Post(), all_are("sent"))


def test_no_more_is_in_flight_than_the_cap(shop: Acme) -> None:
    destination = shop.destination()
    queue(shop, *[destination] * (IN_FLIGHT * 2))
    seen: list[int] = []
    gate = Event()

    class Counting(Watched):
        def _wait(self, span: timedelta) -> None:
            seen.append(len(self._held))
            gate.set()
            super()._wait(span)

    def answer(_: str) -> Verdict:
        gate.wait(30)
        return Sent()

    Counting(Post(answer), all_are("sent")).run()
    assert max(seen) == IN_FLIGHT


def test_started_runs_are_lost_by_the_worker(shop: Acme) -> None:
    shop.rule(shop.destination())
    now = datetime.now(UTC)
    Run.objects.create(account=shop.account, job=shop.job, state="started", started_at=now, received_at=now, lost_at=now)
    post = Post()
    work(post, lambda: states() == ["sent"])
    (address, _, payload) = post.sent[0]
    assert address == "ada@acme.test"
    assert b"X-Runbell-Outcome: failed" in payload
    assert b"List-Unsubscribe: <http" in payload


def test_a_worker_takes_over_what_a_dead_one_had_claimed(shop: Acme) -> None:
    queue(shop, shop.destination())
    now = datetime.now(UTC)
    lease = timedelta(hours=1) if connection.vendor == "sqlite" else timedelta(seconds=0.2)
    outbox.claim({("email", shop.account.pk): 5}, now=now, lease_until=now + lease)
    post = Post()
    work(post, all_are("sent"))
    assert len(post.sent) == 1


def test_a_worker_that_stood_still_sends_nothing_that_is_no_longer_its_own(shop: Acme) -> None:
    """Every sender is busy when the machine is suspended; meanwhile another worker sends all that was claimed here."""
    queue(shop, *[shop.destination()] * 12)
    standing: list[str] = []
    hours, woken = [0], Event()

    def stand_still(key: str) -> Verdict:
        standing.append(key)
        woken.wait(30)
        return Sent()

    def is_over() -> bool:
        if len(standing) == SENDERS and not woken.is_set():
            later = datetime.now(UTC) + timedelta(hours=1)
            taken = outbox.claim({("email", shop.account.pk): 64}, now=later, lease_until=later + timedelta(hours=1))
            outbox.settle([move_of(found.id, found.claim) for found in taken])
            hours[0] = 1
            woken.set()
        return woken.is_set() and not worker._held

    worker = Watched(Post(stand_still), is_over, clock=lambda: datetime.now(UTC) + timedelta(hours=hours[0]))
    worker.run()
    assert len(standing) == SENDERS
    assert states() == ["sent"] * 12
    assert not Attempt.objects.exists()


def move_of(pk: int, claim: str) -> outbox.Move:
    now = datetime.now(UTC)
    return outbox.Move(pk, claim, DeliveryState.SENT, now, 1, settled_at=now)


def test_trouble_with_the_database_loses_no_result(shop: Acme) -> None:
    queue(shop, shop.destination())
    broken = [True]

    class Troubled(Watched):
        def _turn(self, now: datetime) -> Any:
            if self._unsettled and broken:
                broken.clear()
                raise OSError("the database went away")
            return super()._turn(now)

    post = Post()
    Troubled(post, all_are("sent")).run()
    assert len(post.sent) == 1
    assert Attempt.objects.count() == 1


def test_a_bell_whose_line_broke_is_replaced(shop: Acme) -> None:
    destination = shop.destination()
    bells: list[Any] = []

    class Broken(Watched):
        def _wait(self, span: timedelta) -> None:
            bells.append(self._bell)
            if len(bells) == 1:
                self._break()
                queue(shop, destination)
            super()._wait(span)

        def _break(self) -> None:
            if connection.vendor == "sqlite":
                assert self._bell
                self._bell.close()
                return
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'", [])

    post = Post()
    Broken(post, lambda: states() == ["sent"]).run()
    assert len(set(map(id, bells))) == 2
    assert len(post.sent) == 1


@pytest.mark.parametrize("count", [2, IN_FLIGHT])
def test_a_turn_costs_the_same_queries_whatever_the_batch(shop: Acme, count: int) -> None:
    destination = shop.destination()
    queue(shop, *[destination] * count)
    now = datetime.now(UTC)
    options: dict[str, Any] = {"now": now, "lease_until": now + timedelta(seconds=30), "dice": lambda: 0.5}
    with CaptureQueriesContext(connection) as queries:
        parcels = deliveries.turn([], room=lambda _: count, **options).parcels
        deliveries.turn([Result(parcel, NOBODY, now) for parcel in parcels], room=lambda _: 0, **options)
    assert len(parcels) == count
    assert set(states()) == {"dead"}
    statements = [query for query in queries.captured_queries if not query["sql"].startswith(("BEGIN", "COMMIT"))]
    assert len(statements) == 10


def test_an_external_address_gets_its_unsubscribe_link_and_no_page_of_ours(shop: Acme) -> None:
    destination = shop.destination()
    Destination.objects.update(member=None, address="ops@partner.test", address_key="ops@partner.test")
    run = Run.objects.create(
        account=shop.account, job=shop.job, state="finished", outcome="failed", started_at=datetime.now(UTC), received_at=datetime.now(UTC)
    )
    because = Because("chose_job", {"outcome": "failed"}).to_json()
    queue(shop, destination, purpose="run", run=run, because=because)
    post = Post()
    work(post, all_are("sent"))
    ((address, _, payload),) = post.sent
    assert address == "ops@partner.test"
    assert b"/settings/notifications" not in payload
    assert f"/u/{destination.public_id}/{shop.job.pk}/".encode() in payload


def test_resend_goes_out_under_a_new_key(shop: Acme) -> None:
    (delivery,) = queue(shop, shop.destination())
    post, actor, now = Post(), Actor(shop.admin), datetime.now(UTC)
    resends.resend(actor, delivery.pk, now=now)  # still on its way: nothing changes
    work(post, all_are("sent"))
    resends.resend(actor, delivery.pk, now=now)
    work(post, all_are("sent"))
    assert [key for _, key, _ in post.sent] == [f"{delivery.pk}.0", f"{delivery.pk}.1"]
    assert Attempt.objects.count() == 2
    with pytest.raises(NotThere):
        resends.resend(Actor(acme("Other", "other.test").admin), delivery.pk, now=now)
    with pytest.raises(NotAllowed):
        resends.resend(Actor(shop.members[Role.VIEWER]), delivery.pk, now=now)


def test_account_mail_is_encrypted_in_the_outbox_sent_and_forgotten(shop: Acme) -> None:
    mail = EmailMessage("Reset", "open https://runbell.test/reset/hunter2", "r@acme.test", ["Vera <vera@acme.test>", "nobody@acme.test"])
    assert OutboxBackend().send_messages([mail]) == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload FROM runbell_delivery")
        assert b"hunter2" not in bytes(cursor.fetchone()[0])
    post = Post()
    work(post, all_are("sent"))
    ((address, _, payload),) = post.sent
    assert address == "vera@acme.test"
    assert b"hunter2" in payload
    assert b"nobody" not in payload
    assert Delivery.objects.get().payload is None


def test_account_mail_that_no_key_opens_holds_up_nothing(shop: Acme, settings: Settings) -> None:
    from cryptography.fernet import Fernet

    OutboxBackend().send_messages([EmailMessage("Reset", "body", "r@acme.test", ["vera@acme.test"])])
    queue(shop, shop.destination())
    settings.RUNBELL_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    work(Post(), all_are("sent", "suppressed"))
    assert states() == ["suppressed", "sent"]
    assert "payload_unreadable" in str(Delivery.objects.values_list("last_because", flat=True)[0])


def test_the_mailbox_keeps_one_item_for_a_delivery_and_never_account_mail(shop: Acme) -> None:
    (delivery,) = queue(shop, shop.destination())
    now = datetime.now(UTC)
    turn = deliveries.turn([], room=lambda _: 5, now=now, lease_until=now, dice=lambda: 0.5)
    (parcel,) = turn.parcels
    payload = Renderer().payload(parcel)
    mailbox = MailboxConnection(clock=lambda: now)
    assert [mailbox.send(parcel.settings, payload, parcel.key) for _ in range(2)] == [Sent(), Sent()]
    item = MailboxItem.objects.get()
    assert (item.delivery_id, item.account_id, item.recipient) == (delivery.pk, shop.account.pk, "ada@acme.test")
    assert "arrive" in item.subject
    assert bytes(item.content) == payload
    Delivery.objects.update(purpose="account")
    assert mailbox.send(parcel.settings, payload, parcel.key) == Dead(Because("no_mail_relay"))


def test_without_a_relay_the_way_out_is_the_mailbox(settings: Settings) -> None:
    settings.RUNBELL_SMTP_URL = ""
    assert isinstance(deliveries.connect("email", clock=lambda: datetime.now(UTC)), MailboxConnection)
    settings.RUNBELL_SMTP_URL = "smtp://127.0.0.1:25"
    assert not isinstance(deliveries.connect("email", clock=lambda: datetime.now(UTC)), MailboxConnection)


def run_worker(home: Path) -> "subprocess.Popen[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RUNBELL_")} | {"RUNBELL_HOME": str(home)}
    code = "import sys; from runbell.server.commands import main; main(['migrate']); print('ready', flush=True); sys.exit(main(['worker']))"
    return subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_second_worker_beside_sqlite_says_so(tmp_path: Path) -> None:
    first = run_worker(tmp_path)
    try:
        while not (tmp_path / "worker.sock").exists():
            assert first.poll() is None, first.communicate()
        second = run_worker(tmp_path)
        _, errors = second.communicate(timeout=60)
        assert (second.returncode, errors.count("another worker runs in")) == (3, 1)
        first.terminate()
        first.communicate(timeout=60)
        assert first.returncode == 0
        assert not (tmp_path / "worker.sock").exists()
    finally:
        first.kill()
        first.communicate()


def test_under_serve_a_worker_waits_for_the_lock_of_one_that_is_ending(tmp_path: Path) -> None:
    path = tmp_path / "worker.lock"
    with path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with held(path, timedelta()) as is_ours:
            assert not is_ours
        release = Timer(0.3, fcntl.flock, (other, fcntl.LOCK_UN))
        release.start()
        with held(path, timedelta(seconds=30)) as is_ours:
            assert is_ours
        release.join()
