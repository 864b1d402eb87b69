"""Runs as the dbt platform tells of them: by events and by its API, whole, partial or strange."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbell.core.dbt_runs import Place, Told, read_event, report_of, run_key, told_by_api, told_by_event
from runbell.core.fields import BadField, Fields
from runbell.core.runs import JobRef, Outcome, RunReport, RunState
from tests.fakes.dbt_platform.world import BEYOND_INT, World

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
JOB = JobRef("shop", "Production", "nightly")


def told(kind: str, **facts: Any) -> Told:
    world = World()
    return told_by_api(world.run_json(world.add_run(kind, ended_at=NOW, **facts), whole=True))


def reported(found: Told) -> RunReport:
    return report_of(found, job=JOB, key="dbt:host:7:1", aliases=(), artifacts={}, now=NOW)


@pytest.mark.parametrize(
    ("kind", "outcome", "commands"),
    [
        ("succeeded", Outcome.SUCCEEDED, ["dbt deps", "dbt build"]),
        ("failed", Outcome.FAILED, ["dbt deps", "dbt seed", "dbt build"]),
        ("cancelled", Outcome.CANCELLED, ["dbt deps", "dbt build"]),
        ("stale", Outcome.WARNED, ["dbt deps", "dbt source freshness", "dbt build"]),
    ],
)
def test_the_platform_says_how_it_ended(kind: str, outcome: Outcome, commands: list[str]) -> None:
    report = reported(told(kind))
    assert (report.state, report.outcome, report.finished_at) == (RunState.FINISHED, outcome, NOW)
    assert [step.command for step in report.steps] == commands


def test_a_running_one_has_no_end() -> None:
    report = reported(told("running"))
    assert (report.state, report.outcome, report.finished_at) == (RunState.STARTED, None, None)


def test_which_artifact_tells_of_a_step() -> None:
    assert [step.artifact for step in told("stale").steps] == ["", "", "", "sources.json", "run_results.json"]
    assert [step.artifact for step in told("cancelled").steps][-1] == ""


def test_a_failed_run_keeps_the_log_of_the_step_that_broke_and_what_was_said() -> None:
    assert reported(told("failed", said="Out of memory")).log_end == "Invoke dbt with `dbt build`\nDone.\nOut of memory"


def test_who_stopped_it_is_told() -> None:
    found = told_by_api({"id": 1, "status": 30, "audit": {"cancellation": {"actor": {"name": "Ada"}}}})
    assert (found.said, found.has_ended) == ("Cancelled by Ada.", True)


def test_ids_beyond_a_small_integer_stay_what_they_are() -> None:
    assert told("succeeded").run_id == str(BEYOND_INT)
    assert run_key("cloud.getdbt.com", "7", str(BEYOND_INT)) == f"dbt:cloud.getdbt.com:7:{BEYOND_INT}"


def test_an_event_says_as_much_as_it_knows() -> None:
    data = {"runId": "5", "runStatusCode": 20, "jobId": 101, "jobName": "nightly", "runStatusMessage": "None", "runReason": "scheduled"}
    found = told_by_event(data | {"runStartedAt": "2026-11-24T08:55:00.123456789Z", "runErroredAt": "2026-11-24T09:00:00Z"})
    assert (found.run_id, found.job, found.said, found.trigger.cause) == ("5", Place("101", "nightly"), "", "scheduled")
    assert found.finished_at == NOW


@pytest.mark.parametrize(
    "run", [{}, {"id": "x", "status": "ten", "run_steps": "none", "trigger": 3, "started_at": "soon", "href": "javascript:0"}]
)
def test_nonsense_does_no_harm(run: dict[str, Any]) -> None:
    found = told_by_api(run)
    assert (found.run_id, found.code, found.steps, found.started_at, found.trigger.url) == ("", 0, (), None, "")


def test_an_end_before_its_beginning_is_moved() -> None:
    found = told_by_api({"id": 1, "status": 10, "started_at": NOW.isoformat(), "finished_at": (NOW - timedelta(hours=1)).isoformat()})
    assert reported(found).finished_at == NOW


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "eventId"),
        ({"eventId": "e", "eventType": "job.run.started", "accountId": "seven"}, "accountId"),
        ({"eventId": "e", "eventType": "job.run.started", "accountId": 7, "data": {}}, "data.runId"),
        ({"eventId": "e", "eventType": "job.run.started", "accountId": 7, "data": {"runId": "-1"}}, "data.runId"),
    ],
)
def test_an_event_that_cannot_be_read_names_its_field(body: Any, field: str) -> None:
    with pytest.raises(BadField) as bad:
        read_event(body)
    assert bad.value.field == field


def test_an_event_of_a_kind_nobody_knows_needs_no_run() -> None:
    event = read_event({"eventId": "e", "eventType": "job.run.queued", "accountId": 7})
    assert (event.account_id, dict(event.raw)) == ("7", {})


def test_a_flag_is_true_or_false() -> None:
    assert [Fields({"a": value}).flag("a") for value in (True, False, None)] == [True, False, None]
    with pytest.raises(BadField, match="must be true or false"):
        Fields({"a": 1}).flag("a")
