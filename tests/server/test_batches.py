"""Reports by the hundred: as if each had come alone, in far fewer statements."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from runbell.core.permissions import Permission, Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Delivery, Job, Message, Receipt, Run, RunKey, Step
from runbell.server.services import runs
from runbell.server.services.jobs import find_or_create_job
from runbell.server.services.tokens import create_token
from tests.server.people import NOW, Acme, acme
from tests.server.test_reports import FAILED, STARTED, URL, changed, post


def batch(reports: list[Any], token: str) -> list[dict[str, Any]]:
    body = json.dumps({"reports": reports})
    answer = Client().post(f"{URL}:batch", body, content_type="application/json", headers={"Authorization": f"Token {token}"})
    assert answer.status_code == 200, answer.content
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def failed(key: str, job: str = "nightly", **fields: Any) -> dict[str, Any]:
    step = FAILED["steps"][0] | {"invocation_id": f"invocation of {key}"}
    return changed(key=key, job=FAILED["job"] | {"name": job}, steps=[step], **fields)


def statuses(results: list[dict[str, Any]]) -> list[int]:
    return [result["status"] for result in results]


def test_the_good_are_stored_and_the_bad_named(shop: Acme) -> None:
    results = batch([FAILED, changed(key="b", state="x"), changed(key="c", steps=[{"index": 1, "exit_code": 0}])], shop.token)
    assert statuses(results) == [201, 422, 201]
    assert results[1]["error"]["field"] == "state"


def test_what_is_stored_is_what_each_alone_would_have_stored(shop: Acme) -> None:
    other = acme("Acme", "other.test")
    reports = [failed(f"run {day}", started_at=f"2026-11-{day:02}T02:00:00Z") for day in range(1, 9)]
    reports += [failed("hourly", "hourly"), changed(key="fine", steps=[{"index": 1, "command": "dbt build", "exit_code": 0}])]
    for place in (shop, other):
        place.rule(place.destination(), environment=True)
        place.rule(place.destination(Role.VIEWER), Outcome.WARNED)
        place.rule(place.destination(Role.DEVELOPER))
    assert statuses(batch(reports, shop.token)) == [201] * len(reports)
    for report in reports:
        assert post(report, other.token).status_code == 201
    assert _stored(shop) == _stored(other)
    assert len(_stored(shop)) == len(reports)


def _stored(shop: Acme) -> dict[str, Any]:
    """By key, without what differs between two accounts."""
    found = {}
    for key in RunKey.objects.filter(account=shop.account).exclude(key__startswith="inv:").select_related("run__job"):
        run = key.run
        messages = [message.body | {"account_id": "", "run_id": ""} for message in Message.objects.filter(run=run)]
        receipts = Receipt.objects.filter(run=run).order_by("destination").values_list("is_told", "because__code")
        shown = (run.job.name, run.state, run.outcome, run.because, run.log_end, bool(run.decided_at), run.not_told.get("total"))
        found[key.key] = (shown, list(run.steps.values_list("index", "outcome", "nodes__message")), messages, list(receipts))
        assert Delivery.objects.filter(run=run, state="queued").count() == sum(told for told, _ in receipts)
    return found


def test_a_run_told_twice_in_one_batch_is_one_run_in_the_order_told(shop: Acme) -> None:
    shop.rule(shop.destination())
    results = batch([STARTED, failed("other"), FAILED, FAILED, failed("cli:2", aliases=["inv:af0793ae"])], shop.token)
    assert statuses(results) == [201, 201, 200, 200, 200]
    assert len({results[place]["id"] for place in (0, 2, 3, 4)}) == 1
    assert (Run.objects.count(), Delivery.objects.count(), Step.objects.count()) == (2, 2, 2)


def test_runs_that_are_known_are_told_on_among_new_ones(shop: Acme) -> None:
    known = post(STARTED, shop.token).json()["id"]
    results = batch([failed("new"), FAILED, failed("newer")], shop.token)
    assert statuses(results) == [201, 200, 201]
    assert results[1]["id"] == known
    assert Run.objects.get(pk=known).outcome == "failed"


def test_jobs_are_made_once_whoever_tells_of_them_first(shop: Acme) -> None:
    results = batch([failed(f"{number}", f"job {number % 3}") for number in range(9)], shop.token)
    assert statuses(results) == [201] * 9
    assert Job.objects.count() == 1 + 3
    assert [Run.objects.get(pk=result["id"]).job.name for result in results] == [f"job {number % 3}" for number in range(9)]


def test_what_a_token_cannot_reach_keeps_nothing_else_out(shop: Acme) -> None:
    held = create_token(
        member=shop.admin, name="p", permissions=[Permission.REPORT], now=NOW, project=shop.job.environment.project, actor=None
    )
    elsewhere = failed("b") | {"job": {"project": "finance", "environment": "Production", "name": "ledger"}}
    results = batch([failed("a"), elsewhere, failed("c")], held)
    assert statuses(results) == [201, 404, 201]
    assert results[1]["error"] == {"field": None, "message": "There is no such thing in this account."}
    assert Run.objects.count() == 2


def test_a_run_that_somebody_else_stores_meanwhile_is_stored_once(shop: Acme, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.rule(shop.destination())

    def first_the_other(*args: Any, **named: Any) -> Job:
        monkeypatch.setattr(runs, "find_or_create_job", find_or_create_job)
        RunKey.objects.create(account=shop.account, key="a", run=Run.objects.get())
        return find_or_create_job(*args, **named)

    assert post(FAILED, shop.token).status_code == 201
    monkeypatch.setattr(runs, "find_or_create_job", first_the_other)
    results = batch([failed("a"), failed("b")], shop.token)
    # The test's other process is undone with the transaction that met it, so that its key is new again.
    assert statuses(results) == [201, 201]
    assert (Run.objects.count(), Delivery.objects.count()) == (3, 3)


def test_more_reports_of_a_job_take_no_more_statements(shop: Acme) -> None:
    shop.rule(shop.destination())
    batch([failed("warms up")], shop.token)

    def cost(count: int, job: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert statuses(batch([failed(f"{job} {count} {n}", job) for n in range(count)], shop.token)) == [201] * count
        return len(queries)

    for job in ("nightly", "unheard"):
        cost(1, job)
        assert cost(20, job) == cost(10, job)


def test_long_batches_hold_the_database_for_a_moment_only(shop: Acme) -> None:
    with CaptureQueriesContext(connection) as queries:
        batch([failed(f"{n}") for n in range(2 * runs.TOGETHER + 1)], shop.token)
    assert sum(query["sql"].startswith("SAVEPOINT") for query in queries) == 3
