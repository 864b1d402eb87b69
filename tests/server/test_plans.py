"""What pages, worker and reports ask of the tables that grow, as the database plans it: by an index, and never a whole table.

RUNBELL_TEST_PLAN_RUNS: how many runs there are; `make scale` asks for 100,000.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from runbell.core.because import Because
from runbell.core.runs import Outcome, RunState
from runbell.server.db import outbox
from runbell.server.db.models import Attempt, Delivery, Destination, Job, Message, Receipt, Run
from runbell.server.services import retention
from runbell.server.services.metrics import metrics
from tests.server.people import Acme
from tests.server.test_pages import sign_in

RUNS = int(os.environ.get("RUNBELL_TEST_PLAN_RUNS", "500"))
BATCH, JOBS = 2_000, 20
CHOSE = Because("chose_job").to_json()
GROWING = ("runbell_run", "runbell_delivery", "runbell_attempt")
SMALL = ("delivery_turn", "delivery_ended", "run_lost", "run_settle")  # indexes of what is on its way or went wrong alone
Asked = tuple[str, Any]


@pytest.fixture
def grown(shop: Acme) -> Acme:
    now, place = timezone.now(), shop.destination()
    shop.rule(place, Outcome.FAILED)
    jobs = [
        shop.job,
        *(Job.objects.create(environment=shop.job.environment, account=shop.account, name=f"job {n}", created_at=now) for n in range(JOBS)),
    ]
    for start in range(0, RUNS, BATCH):
        fill(shop, place, jobs, range(start, min(start + BATCH, RUNS)))
    if connection.vendor == "postgresql":  # which does it by itself; nobody does it in an SQLite of ours
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return shop


def fill(shop: Acme, place: Destination, jobs: list[Job], numbers: range) -> None:
    """Each run with a message, a receipt, a delivery and a try; one delivery in fifty waits, one in fifty was given up."""
    now = timezone.now()
    ends = [now - timedelta(minutes=RUNS - number) for number in numbers]
    ended = Because("no_end_reported").to_json()
    facts: dict[str, Any] = {"account": shop.account, "state": RunState.FINISHED, "outcome": Outcome.FAILED, "because": ended}
    runs = Run.objects.bulk_create(
        Run(job=jobs[number % len(jobs)], started_at=at, finished_at=at, received_at=at, decided_at=at, **facts)
        for number, at in zip(numbers, ends, strict=True)
    )
    messages = Message.objects.bulk_create(Message(run=run, language="en", body={}, created_at=run.received_at) for run in runs)
    Receipt.objects.bulk_create(Receipt(run=run, destination=place, is_told=True, because=CHOSE, at=run.received_at) for run in runs)
    states = {0: "waiting", 1: "dead"}
    sent = Delivery.objects.bulk_create(
        Delivery(
            account=shop.account,
            destination=place,
            run=run,
            message=message,
            purpose="run",
            lane="email",
            because=CHOSE,
            state=states.get(number % 50, "sent"),
            due_at=run.received_at,
            created_at=run.received_at,
            settled_at=None if number % 50 == 0 else run.received_at,
        )
        for number, run, message in zip(numbers, runs, messages, strict=True)
    )
    Attempt.objects.bulk_create(Attempt(delivery=delivery, at=delivery.created_at, took=0.1, verdict="sent") for delivery in sent)


def asked_by(act: Callable[[], object]) -> list[Asked]:
    """The statements that `act` makes about what grows."""
    found: list[Asked] = []

    def listen(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith(("SELECT", "WITH", "UPDATE", "DELETE")) and any(f"{table}" in sql for table in GROWING):
            found.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(listen):
        act()
    return found


def whole_tables(asked: Asked) -> list[str]:
    """What of the plan reads a growing table from end to end."""
    return list(_on_postgres(asked) if connection.vendor == "postgresql" else _on_sqlite(asked))


def _on_sqlite(asked: Asked) -> Iterator[str]:
    sql, params = asked
    if sql.endswith("ORDER BY 1 DESC LIMIT 1"):
        return  # walks back by id from the youngest, to the first that fits
    names = {
        alias or table for table, alias in re.findall(r'"?(runbell_(?:run|delivery|attempt))"?(?: (?:AS )?"?([A-Za-z]\w*)"?)?', sql)
    } | set(GROWING)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        for *_, detail in cursor.fetchall():
            word, _, rest = detail.partition(" ")
            if word == "SCAN" and rest.split(" ")[0] in names and not any(index in detail for index in SMALL):
                yield detail


def _on_postgres(asked: Asked) -> Iterator[str]:
    """A small table is read whole because that is quick: what counts is that there is another way."""
    sql, params = asked
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
        (found,) = cursor.fetchone()
        cursor.execute("SET LOCAL enable_seqscan = on")
    plan = found if isinstance(found, list) else json.loads(found)
    for node in _nodes(plan[0]["Plan"]):
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in GROWING:
            yield f"Seq Scan on {node['Relation Name']}: {node.get('Filter', '')}"


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def acts(shop: Acme) -> dict[str, Callable[[], object]]:
    browser, now, program = sign_in(shop), timezone.now(), Client(headers={"Authorization": f"Token {shop.token}"})
    account, api = f"/a/{shop.account.pk}", f"/api/v2/accounts/{shop.account.pk}"
    run, place = Run.objects.latest("pk"), Destination.objects.latest("pk")
    job = {"project": "shop", "environment": "Production", "name": "nightly"}
    report = {
        "key": "plan",
        "state": "finished",
        "outcome": "failed",
        "job": job,
        "started_at": "2026-11-24T02:00:00Z",
        "finished_at": "2026-11-24T02:01:00Z",
    }
    steps = (retention.prune_deliveries, retention.prune_messages, retention.prune_runs)
    return {
        **{
            path: lambda path=path: browser.get(path)  # type: ignore[misc]
            for path in (
                f"{account}/",
                f"{account}/jobs/{run.job_id}",
                f"{account}/runs/{run.pk}",
                f"{account}/deliveries",
                "/readyz",
            )
        },
        **{
            path: lambda path=path: program.get(path)  # type: ignore[misc]
            for path in (f"{api}/runs/?order_by=-id", f"{api}/runs/{run.pk}/", f"{api}/jobs/?include_related=most_recent_run")
        },
        "report": lambda: program.post("/api/runbell/v1/runs", report, content_type="application/json"),
        "metrics": lambda: metrics(now=now),
        "next due": outbox.next_due,
        "claim": lambda: outbox.claim({("email", shop.account.pk): 10}, now=now, lease_until=now),
        "lines": lambda: outbox.lines(["email"], [place.pk], "token"),
        "renew": lambda: outbox.renew({1: "token"}, lease_until=now),
        **{step.__name__: lambda step=step: step(0, now + timedelta(days=1000)) for step in steps},  # type: ignore[misc]
    }


def test_what_grows_is_never_read_from_end_to_end(grown: Acme) -> None:
    plans = {name: asked_by(act) for name, act in acts(grown).items()}
    assert [name for name, asked in plans.items() if not asked] == []
    found = {(name, asked[0][:400]): bad for name, plan in plans.items() for asked in plan if (bad := whole_tables(asked))}
    assert found == {}


def test_no_rule_is_compared_with_every_other(shop: Acme) -> None:
    shop.rule(shop.destination(), Outcome.FAILED)
    browser, account = sign_in(shop), f"/a/{shop.account.pk}"
    pages = (f"{account}/", f"{account}/settings/notifications/email", f"{account}/settings/notifications/copy", f"{account}/settings/jobs")
    with CaptureQueriesContext(connection) as queries:
        answers = [browser.get(path).status_code for path in pages]
    about = [query["sql"] for query in queries if '"runbell_rule"' in query["sql"]]
    assert answers == [200] * len(pages)
    assert about != []
    assert [sql for sql in about if '"runbell_rule"."id" IN (SELECT' in sql] == []


def test_a_whole_table_would_be_seen(grown: Acme) -> None:
    (asked,) = asked_by(lambda: list(Run.objects.filter(git_branch="nowhere")))
    assert whole_tables(asked) != []
