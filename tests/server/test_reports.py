"""Reports through HTTP: told twice, late, wrong, or by a stranger."""

import gzip
import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from runbell.core.permissions import Permission, Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Delivery, Job, Message, Node, Receipt, Run, RunKey, Token
from runbell.server.services.runs import lose_runs
from runbell.server.services.tokens import create_token, revoke_token
from tests.server.people import NOW, Acme, acme

URL = "/api/runbell/v1/runs"
FAILED: dict[str, Any] = {
    "version": 1,
    "key": "cli:1",
    "state": "finished",
    "job": {"project": "shop", "environment": "Production", "name": "nightly"},
    "started_at": "2026-11-24T02:00:00Z",
    "finished_at": "2026-11-24T02:12:04Z",
    "steps": [
        {
            "index": 1,
            "command": "dbt build",
            "exit_code": 1,
            "invocation_id": "af0793ae",
            "counts": {"passed": 2, "failed": 1, "warned": 1},
            "nodes": [{"unique_id": "model.shop.stg_payments", "status": "error", "name": "stg_payments", "message": "Binder Error"}],
        }
    ],
}
STARTED: dict[str, Any] = {key: FAILED[key] for key in ("version", "key", "job", "started_at")} | {"state": "started"}


def post(report: object, token: str, **headers: Any) -> Any:
    body = report if isinstance(report, bytes) else json.dumps(report).encode()
    return Client().post(URL, body, content_type="application/json", headers={"Authorization": f"Token {token}", **headers})


def changed(**fields: Any) -> dict[str, Any]:
    return deepcopy(FAILED) | fields


def test_a_report_becomes_run_receipt_message_and_delivery(shop: Acme) -> None:
    shop.rule(shop.destination())
    shop.rule(shop.destination(Role.VIEWER), Outcome.WARNED)
    answer = post(FAILED, shop.token)
    assert answer.status_code == 201, answer.content
    run = Run.objects.get(pk=answer.json()["id"])
    assert (run.outcome, run.because["code"], run.job_id) == ("failed", "exit_code", shop.job.pk)
    assert Node.objects.get(step__run=run).message == "Binder Error"
    receipt = Receipt.objects.get(run=run)
    assert (receipt.is_told, receipt.because["code"]) == (True, "chose_job")
    assert Delivery.objects.get(run=run).state == "queued"
    assert "stg_payments" in json.dumps(Message.objects.get(run=run).body)
    assert run.not_told["total"] == 1
    assert run.not_told["shown"][0]["because"] == {"code": "also_warned", "params": {}}


def test_told_twice_is_one_run_and_one_delivery(shop: Acme) -> None:
    shop.rule(shop.destination())
    first, second = post(FAILED, shop.token), post(FAILED, shop.token)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert (Run.objects.count(), Delivery.objects.count(), Node.objects.count()) == (1, 1, 1)


def test_the_end_before_the_start(shop: Acme) -> None:
    shop.rule(shop.destination())
    post(FAILED, shop.token)
    late = post(STARTED, shop.token)
    assert late.status_code == 200
    assert Run.objects.get().state == "finished"
    assert Delivery.objects.count() == 1


def test_started_then_finished_rings_once_at_the_end(shop: Acme) -> None:
    shop.rule(shop.destination(), environment=True)
    post(STARTED, shop.token)
    assert Run.objects.get().lost_at is not None
    assert Delivery.objects.count() == 0
    post(FAILED, shop.token)
    run = Run.objects.get()
    assert (run.lost_at, run.outcome) == (None, "failed")
    assert Receipt.objects.get().because["code"] == "chose_environment"


def test_a_decided_outcome_stands_and_the_answer_says_what_was_ignored(shop: Acme) -> None:
    post(FAILED, shop.token)
    late = post(changed(outcome="cancelled", git={"branch": "main", "sha": "8c1f2ab"}), shop.token)
    run = Run.objects.get()
    assert late.json()["ignored"] == ["outcome"]
    assert (run.outcome, run.git_branch, (run.late_end or {})["outcome"]) == ("failed", "main", "cancelled")


def test_two_reporters_meet_by_the_invocation(shop: Acme) -> None:
    shop.rule(shop.destination())
    post(FAILED, shop.token)
    other = post(changed(key="inv:af0793ae"), shop.token)
    assert other.status_code == 200
    assert (Run.objects.count(), Delivery.objects.count()) == (1, 1)


@pytest.mark.parametrize("decided_first", ["older", "younger", "both", "neither"])
def test_keys_that_meet_late_merge_two_runs_and_nothing_is_sent_twice(shop: Acme, decided_first: str) -> None:
    shop.rule(shop.destination())
    bare = {"steps": [{"index": 1, "command": "dbt build", "exit_code": 1}]}
    reports = {"older": changed(key="a", **bare), "younger": changed(key="b", **bare)}
    for name, report in reports.items():
        is_decided = decided_first in (name, "both")
        post(report if is_decided else STARTED | {"key": report["key"]}, shop.token)
    sent_before = Delivery.objects.count()
    older, younger = Run.objects.order_by("pk")
    post(changed(key="a", aliases=["b"]), shop.token)
    older.refresh_from_db()
    younger.refresh_from_db()
    assert younger.merged_into_id == older.pk
    assert set(RunKey.objects.filter(run=older).values_list("key", flat=True)) >= {"a", "b"}
    assert older.outcome == "failed"
    assert younger.lost_at is None
    assert Delivery.objects.count() == max(sent_before, 1)


def test_a_lost_run_fails_and_rings_and_a_late_end_corrects_the_page(shop: Acme) -> None:
    shop.rule(shop.destination())
    post(STARTED, shop.token)
    assert lose_runs(now=datetime.now(UTC)) == 0
    assert lose_runs(now=datetime.now(UTC) + timedelta(hours=25)) == 1
    run = Run.objects.get()
    assert (run.outcome, run.because["code"]) == ("failed", "no_end_reported")
    assert Delivery.objects.count() == 1
    post(changed(steps=[{"index": 1, "command": "dbt build", "exit_code": 0}]), shop.token)
    run.refresh_from_db()
    assert (run.outcome, (run.late_end or {})["outcome"]) == ("failed", "succeeded")
    assert Delivery.objects.count() == 1


def test_unknown_names_are_created(shop: Acme) -> None:
    post(changed(job={"project": "finance", "environment": "Staging", "name": "ledger <b>&amp;</b> 🧾"}), shop.token)
    job = Job.objects.get(name__startswith="ledger")
    assert (job.environment.name, job.environment.project.name) == ("Staging", "finance")


def test_another_accounts_token_makes_another_run(shop: Acme) -> None:
    other = acme("Other", "other.test")
    shop.rule(shop.destination())
    post(FAILED, other.token)
    assert Run.objects.get().account_id == other.account.pk
    assert Delivery.objects.count() == 0


def test_tokens_that_may_not(shop: Acme) -> None:
    revoke_token(Token.objects.get(), now=NOW)
    assert post(FAILED, shop.token).status_code == 401
    assert post(FAILED, "rb_nothing1_" + "x" * 32).status_code == 401
    reader = create_token(member=shop.admin, name="read", permissions=[Permission.READ], now=NOW)
    assert post(FAILED, reader).status_code == 403
    as_viewer = create_token(member=shop.members[Role.VIEWER], name="v", permissions=[Permission.REPORT], now=NOW)
    assert post(FAILED, as_viewer).status_code == 403
    elsewhere = create_token(member=shop.admin, name="p", permissions=[Permission.REPORT], now=NOW, project=shop.job.environment.project)
    assert post(changed(job={"project": "finance", "environment": "e", "name": "n"}), elsewhere).status_code == 404
    assert Run.objects.count() == 0


@pytest.mark.parametrize(
    ("report", "status", "field"),
    [
        (b"{", 400, "body"),
        (b"\xff\xfe", 400, "body"),
        (b'{"key": NaN}', 400, "body"),
        ([], 400, "body"),
        (changed(state="ended"), 422, "state"),
        (changed(outcome="exploded"), 422, "outcome"),
        (changed(started_at="yesterday"), 422, "started_at"),
        (changed(started_at="2026-11-24T02:00:00"), 422, "started_at"),
        (changed(started_at="2099-01-01T00:00:00Z", finished_at="2099-01-01T00:00:01Z"), 422, "started_at"),
        (changed(finished_at="2026-11-24T01:00:00Z"), 422, "finished_at"),
        (changed(job={"project": "shop", "environment": "Production", "name": "a\nb"}), 422, "job.name"),
        (changed(job={"project": "shop", "environment": "Production", "name": "x" * 500}), 422, "job.name"),
        (changed(job="nightly"), 422, "job"),
        (changed(key="k" * 201), 422, "key"),
        (changed(steps=[{"index": 1, "exit_code": "1"}]), 422, "steps[0].exit_code"),
        (changed(steps=[{"index": 1, "exit_code": 1, "nodes": [{"unique_id": "m", "status": "meh"}]}]), 422, "steps[0].nodes[0].status"),
        (changed(steps=[]), 422, "outcome"),
        (changed(version=2), 422, "version"),
    ],
)
def test_bad_input_names_the_field_and_changes_nothing(shop: Acme, report: object, status: int, field: str) -> None:
    answer = post(report, shop.token)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
    assert Run.objects.count() == 0


def test_size_is_capped_after_inflating(shop: Acme) -> None:
    big = changed(log_end="x" * 6_000_000)
    assert post(big, shop.token).status_code == 413
    bomb = gzip.compress(json.dumps(big).encode())
    assert post(bomb, shop.token, **{"Content-Encoding": "gzip"}).status_code == 413
    assert post(bomb[:-20], shop.token, **{"Content-Encoding": "gzip"}).status_code in (400, 413)
    small = gzip.compress(json.dumps(FAILED).encode())
    assert post(small[:-9], shop.token, **{"Content-Encoding": "gzip"}).status_code == 400
    assert post(small, shop.token, **{"Content-Encoding": "gzip"}).status_code == 201


def test_20_000_nodes_are_taken_and_200_kept(shop: Acme) -> None:
    nodes = [{"unique_id": f"model.shop.m{i}", "status": "error"} for i in range(20_000)]
    assert post(changed(steps=[{"index": 1, "exit_code": 1, "nodes": nodes}]), shop.token).status_code == 201
    assert Node.objects.count() == 200


def test_secrets_are_masked_before_they_are_stored(shop: Acme) -> None:
    told = changed(log_end="connecting to postgres://loader:hunter2@db/raw", trigger={"cause": "password=hunter2"})
    post(told, shop.token)
    run = Run.objects.get()
    assert "hunter2" not in run.log_end + json.dumps(run.trigger)
    assert "loader:hidden@db" in run.log_end


def test_check_says_what_would_happen(shop: Acme) -> None:
    shop.rule(shop.destination())
    query = {"project": "shop", "environment": "Production", "job": "nightly"}
    answer = Client().get("/api/runbell/v1/check", query, headers={"Authorization": f"Bearer {shop.token}"})
    assert answer.json()["job"] == {"known": True, "id": shop.job.pk, "hears": {"succeeded": 0, "warned": 0, "failed": 1, "cancelled": 0}}


def test_a_report_costs_the_same_queries_with_many_rules(shop: Acme, django_assert_num_queries: Any) -> None:
    """Token; keys, job, rules; run, key, step, node, receipts; history; message, delivery; and the transaction."""
    for role in Role:
        shop.rule(shop.destination(role))
    post(changed(key="the first notes that the token was used"), shop.token)
    with django_assert_num_queries(1 + 3 + 5 + 1 + 2 + 2):
        post(changed(key="cli:2", steps=[FAILED["steps"][0] | {"invocation_id": ""}]), shop.token)


def test_a_token_held_to_a_project_cannot_touch_a_run_of_another_by_its_key(shop: Acme) -> None:
    post(STARTED | {"job": {"project": "finance", "environment": "Production", "name": "ledger"}}, shop.token)
    held = create_token(member=shop.admin, name="p", permissions=[Permission.REPORT], now=NOW, project=shop.job.environment.project)
    assert post(FAILED, held).status_code == 404
    assert post(changed(key="mine", aliases=["cli:1"]), held).status_code == 404
    run = Run.objects.get()
    assert (run.state, run.outcome, run.steps.count()) == ("started", "", 0)


def test_a_known_run_keeps_its_job_whatever_a_later_report_calls_it(shop: Acme) -> None:
    post(STARTED, shop.token)
    post(changed(job={"project": "shop", "environment": "Production", "name": "nightyl"}), shop.token)
    assert Run.objects.get().job_id == shop.job.pk
    assert not Job.objects.filter(name="nightyl").exists()
