"""Runs and their steps as the dbt Admin API has them."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings

from runbell.core.because import Because
from runbell.core.runs import Outcome
from runbell.messages.reasons import reason
from runbell.server.api.shapes import environment, job, moment
from runbell.server.services.listings import STATUS_OF, Run
from runbell.server.services.run_details import Details, Node, Step, details_of

INCLUDES = ("trigger", "job", "environment", "run_steps", "debug_logs")
_STATUS_WORDS = {3: "Running", 10: "Success", 20: "Error", 30: "Cancelled"}


def runs(rows: list[Run], includes: Collection[str] = ()) -> list[dict[str, Any]]:
    details = details_of(rows, with_nodes="run_steps" in includes)
    return [run(row, details, includes) for row in rows]


def run(row: Run, details: Details, includes: Collection[str] = ()) -> dict[str, Any]:
    """`includes`: which of `INCLUDES` come with it. `runbell_outcome` is ours: `status` knows no warning."""
    status = STATUS_OF[row.outcome]
    took = row.finished_at - row.started_at if row.finished_at else None
    steps, artifacts = details.steps_of(row.pk), details.artifacts_of(row.pk)
    return {
        "id": row.pk,
        "trigger_id": row.pk,
        "account_id": row.account_id,
        "project_id": row.job.environment.project_id,
        "environment_id": row.job.environment_id,
        "job_definition_id": row.job_id,
        "job_id": row.job_id,
        "status": status,
        "status_humanized": _STATUS_WORDS[status],
        "status_message": reason(Because.from_json(row.because), "en") if row.because and status > STATUS_OF[Outcome.SUCCEEDED] else None,
        "runbell_outcome": row.outcome or None,
        "in_progress": not row.outcome,
        "is_complete": bool(row.outcome),
        "is_running": not row.outcome,
        "is_success": status == STATUS_OF[Outcome.SUCCEEDED],
        "is_error": status == STATUS_OF[Outcome.FAILED],
        "is_cancelled": status == STATUS_OF[Outcome.CANCELLED],
        "dbt_version": next((step.dbt_version for step in reversed(steps) if step.dbt_version), None),
        "git_branch": row.git_branch or None,
        "git_sha": row.git_sha or None,
        "created_at": moment(row.received_at),
        "updated_at": moment(row.finished_at or row.received_at),
        "dequeued_at": moment(row.started_at),
        "started_at": moment(row.started_at),
        "finished_at": moment(row.finished_at),
        "should_start_at": moment(row.started_at),
        **_lasted("duration", took),
        **_lasted("run_duration", took),
        **_lasted("queued_duration", timedelta(0)),
        "notifications_sent": row.pk in details.told,
        "artifacts_saved": bool(artifacts),
        "has_docs_generated": "catalog.json" in artifacts,
        "has_sources_generated": "sources.json" in artifacts,
        "can_retry": False,
        "blocked_by": [],
        "trigger": {"cause": row.trigger.get("cause"), "cause_category": row.trigger.get("category")},
        "href": f"{settings.RUNBELL_PUBLIC_URL}/a/{row.account_id}/runs/{row.pk}",
        **_included(row, steps, includes),
    }


def _included(row: Run, steps: list[Step], includes: Collection[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "job" in includes:
        found["job"] = job(row.job)
    if "environment" in includes:
        found["environment"] = environment(row.job.environment)
    if "run_steps" in includes:
        last = steps[-1].pk if steps else None
        found["run_steps"] = [_step(row, step, row.log_end if step.pk == last and "debug_logs" in includes else None) for step in steps]
    return found


def _step(run: Run, row: Step, debug_logs: str | None) -> dict[str, Any]:
    """The reporter keeps one end of a log for the whole run: it goes with the last step, when asked for."""
    status = STATUS_OF[row.outcome]
    took = row.finished_at - row.started_at if row.finished_at and row.started_at else None
    return {
        "id": row.pk,
        "run_id": run.pk,
        "account_id": run.account_id,
        "index": row.index,
        "status": status,
        "status_humanized": _STATUS_WORDS[status],
        "name": f"Invoke dbt with `{row.command}`",
        "logs": "\n".join(_told(row.nodes.all())),
        "debug_logs": debug_logs,
        "started_at": moment(row.started_at),
        "finished_at": moment(row.finished_at),
        **_lasted("duration", took),
        "run_step_command": {"dbt_command": row.command},
    }


def _told(nodes: Iterable[Node]) -> Iterable[str]:
    for node in nodes:
        yield f"{node.status.upper()} {node.unique_id}"
        if node.message:
            yield node.message


def _lasted(name: str, took: timedelta | None) -> dict[str, str | None]:
    """HH:MM:SS, past 24 hours too, and in words."""
    if took is None:
        return {name: None, f"{name}_humanized": None}
    seconds = max(0, int(took.total_seconds()))
    parts = {"hour": seconds // 3600, "minute": seconds // 60 % 60, "second": seconds % 60}
    words = ", ".join(f"{number} {unit}{'s' * (number != 1)}" for unit, number in parts.items() if number)
    return {name: "{hour:02}:{minute:02}:{second:02}".format(**parts), f"{name}_humanized": words or "0 seconds"}
