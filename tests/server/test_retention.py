"""Old rows go in small batches; last runs and what is on its way stay. Also on PostgreSQL."""

from datetime import datetime, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from runbell.core.runs import Outcome
from runbell.server.db.models import Attempt, Delivery, Message, Node, Receipt, Run, RunKey, Step
from runbell.server.services import retention
from runbell.server.services.retention import Pruner
from tests.server.people import Acme
from tests.server.test_pages import make_run

DAY = timedelta(days=1)


def aged(shop: Acme, *days: float) -> list[Run]:
    """Runs of one job, so many days old, each with a mail that was sent and tried."""
    destination = shop.destination()
    for outcome in Outcome:
        shop.rule(destination, outcome)
    return [age(make_run(shop, ago=24 * ago), timezone.now() - ago * DAY) for ago in days]


def age(run: Run, at: datetime) -> Run:
    run.received_at = at
    run.save()
    RunKey.objects.create(account=run.account, key=f"key {run.pk}", run=run)
    Message.objects.filter(run=run).update(created_at=at)
    Delivery.objects.filter(run=run).update(state="sent", created_at=at, settled_at=at)
    for delivery in Delivery.objects.filter(run=run):
        Attempt.objects.create(delivery=delivery, at=at, took=0.1, verdict="sent")
    return run


def one_round(*, now: datetime | None = None) -> int:
    """How many batches it took."""
    pruner, now, count = Pruner(), now or timezone.now(), 1
    while pruner.run_due(now) <= now:
        count += 1
    return count


def test_the_log_goes_back_thirty_days_and_runs_ninety(shop: Acme) -> None:
    oldest, old, middle, young = aged(shop, 120, 91, 31, 1)
    one_round()
    assert set(Run.objects.all()) == {middle, young}
    assert {delivery.run for delivery in Delivery.objects.all()} == {young}
    assert Attempt.objects.count() == Message.objects.count() == 1
    assert {receipt.run for receipt in Receipt.objects.all()} == {middle, young}
    assert Step.objects.count() == Node.objects.count() == RunKey.objects.count() == 2
    assert not RunKey.objects.filter(run__in=[oldest.pk, old.pk])


def test_the_last_run_of_a_job_stays_however_old(shop: Acme) -> None:
    *_, last = aged(shop, 400, 300)
    one_round()
    assert list(Run.objects.all()) == [last]


@pytest.mark.parametrize("state", ["queued", "sending", "waiting"])
def test_what_is_on_its_way_stays_with_its_run_and_message(shop: Acme, state: str) -> None:
    waiting, _ = aged(shop, 200, 1)
    Delivery.objects.filter(run=waiting).update(state=state, settled_at=None)
    one_round()
    assert Run.objects.filter(pk=waiting.pk).exists()
    assert Delivery.objects.get(run=waiting).message is not None


def test_a_run_that_was_merged_goes_with_its_elder_and_never_comes_to_light(shop: Acme) -> None:
    elder, younger, _ = aged(shop, 200, 199, 1)
    Run.objects.filter(pk=younger.pk).update(merged_into=elder)
    one_round()
    assert Run.objects.count() == 1


def test_a_run_without_an_end_stays(shop: Acme) -> None:
    running, _ = aged(shop, 200, 1)
    Run.objects.filter(pk=running.pk).update(decided_at=None)
    one_round()
    assert Run.objects.filter(pk=running.pk).exists()


def test_batches_are_small_and_a_round_walks_behind_what_it_keeps(shop: Acme, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    *_, last = aged(shop, *range(120, 100, -1))
    with CaptureQueriesContext(connection) as queries:
        assert one_round() > 3 * 20 // 3
    assert list(Run.objects.all()) == [last]
    assert not Delivery.objects.exists()
    longest = max(query["sql"].count(",") for query in queries if query["sql"].startswith("DELETE"))
    assert longest < 3 * 4


def test_a_clock_that_jumps_back_holds_up_no_round_for_longer_than_one(shop: Acme) -> None:
    pruner, now = Pruner(), timezone.now()
    while pruner.run_due(now + 365 * DAY) <= now + 365 * DAY:
        pass
    assert pruner.run_due(now) <= now + retention.ROUND
    assert not any(pruner.run_due(now) > now + retention.ROUND for _ in range(9))


def test_sign_ins_that_ran_out_go(db: None) -> None:
    now = timezone.now()
    for name, ends in (("over", now - DAY), ("live", now + DAY)):
        Session.objects.create(session_key=name, session_data="", expire_date=ends)
    one_round()
    assert [session.pk for session in Session.objects.all()] == ["live"]
