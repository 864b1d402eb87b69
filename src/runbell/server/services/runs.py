"""A report becomes a run: one transaction for run, steps, nodes, decisions and deliveries; a 2xx answer comes after its commit.

report ─ keys known? ─no──> new run ──────────┐
              └─yes─> known run (or two: merge) ─> decided? ─no──> take the snapshot ─ finished? ─> decide_run
                                                      └─yes─> fill what was empty, say what was ignored
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from runbell.core.because import Because
from runbell.core.outcomes import because_of, run_outcome, step_outcome
from runbell.core.permissions import Action
from runbell.core.redact import redact_report
from runbell.core.runs import NodeReport, Outcome, RunReport, RunState, StepReport, report_to_json
from runbell.server.db.models import Job, Node, Run, RunKey, Step
from runbell.server.services.access import Actor, NotThere, in_project
from runbell.server.services.decisions import decide_run
from runbell.server.services.jobs import find_or_create_job

LATE_FIELDS = ("git_branch", "git_sha", "host_tool", "log_end")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a report. `ignored`: the fields that came too late to change what was decided."""

    run: Run
    is_new: bool
    ignored: tuple[str, ...] = ()


def record_run(report: RunReport, *, actor: Actor, now: datetime) -> Recorded:
    """Stores a report; the same one told twice is one run and one notification. Raises `NotAllowed`, `NotThere`, `BadField`."""
    actor.require(Action.REPORT_RUNS)
    report = redact_report(report)
    try:
        with transaction.atomic():
            return _record(report, actor, now)
    except IntegrityError:
        # Another process stored the same key, or moved the run, between our look and our write: now it is there to be found.
        with transaction.atomic():
            return _record(report, actor, now)


def _record(report: RunReport, actor: Actor, now: datetime) -> Recorded:
    keys = list(dict.fromkeys([report.key, *report.aliases, *_invocations(report)]))
    known = dict(RunKey.objects.filter(account=actor.account_id, key__in=keys).values_list("key", "run_id"))
    related = "job__environment__project"
    runs = list(Run.objects.select_for_update(of=("self",)).select_related(related).filter(pk__in=set(known.values())).order_by("pk"))
    if len(runs) < len(set(known.values())):
        # The row was moved to another job while we waited for it, and the join with its old one fails (PostgreSQL).
        raise IntegrityError("a run was merged into another job meanwhile")
    if not all(in_project(actor, run.job.environment.project_id) for run in runs):
        raise NotThere  # a key is no way around a token's limits
    is_new = not runs
    run = _merge(runs) if runs else _new_run(report, find_or_create_job(report.job, actor=actor, now=now), actor, now)
    RunKey.objects.bulk_create([RunKey(account_id=actor.account_id, key=key, run=run) for key in keys if key not in known])
    if run.decided_at is not None:
        return Recorded(run, is_new, _add_late(run, report))
    if report.state is RunState.FINISHED or run.state == RunState.STARTED:
        _take_snapshot(run, report, is_new=is_new)
    if run.state == RunState.FINISHED and run.settle_at is None:
        decide_run(run, now=now, account=actor.member.account)
    return Recorded(run, is_new)


def _invocations(report: RunReport) -> list[str]:
    return [f"inv:{step.invocation_id}" for step in report.steps if step.invocation_id]


def _new_run(report: RunReport, job: Job, actor: Actor, now: datetime) -> Run:
    run = Run(account_id=actor.account_id, job=job, token=actor.token, received_at=now, state=report.state, started_at=report.started_at)
    run.lost_at = now + (job.lost_after or settings.RUNBELL_LOST_RUN_AFTER) if report.state is RunState.STARTED else None
    run.save()
    return run


def _merge(runs: list[Run]) -> Run:
    """Keys that met: the older run stays and gets the details, the younger points at it. What was decided once is not sent again."""
    oldest, *younger = runs
    for other in younger:
        RunKey.objects.filter(run=other).update(run=oldest)
        if other.decided_at is not None and oldest.decided_at is None:
            _adopt_end(oldest, other)
        Run.objects.filter(pk=other.pk).update(merged_into=oldest, lost_at=None, settle_at=None)
    return oldest


def _adopt_end(run: Run, other: Run) -> None:
    for name in ("state", "outcome", "because", "finished_at", "decided_at", "not_told", *LATE_FIELDS):
        setattr(run, name, getattr(other, name) or getattr(run, name))
    run.lost_at = run.settle_at = None
    run.save()
    if not run.steps.exists():
        other.steps.update(run=run)
    # Told once, under the younger's name: the receipts and deliveries come along.
    other.deliveries.update(run=run)
    other.receipts.update(run=run)


def _take_snapshot(run: Run, report: RunReport, *, is_new: bool) -> None:
    """The newest snapshot replaces the one before, steps and all."""
    run.state, run.started_at, run.finished_at = report.state, report.started_at, report.finished_at
    run.trigger = report_to_json(report)["trigger"]
    run.git_branch, run.git_sha = report.git.branch, report.git.sha
    run.host_tool, run.log_end = report.host_tool, report.log_end
    if report.state is RunState.FINISHED:
        run.outcome, run.because, run.lost_at = run_outcome(report), because_of(report).to_json(), None
    run.save()
    _store_steps(run, report.steps, is_new=is_new)


def _store_steps(run: Run, reports: Iterable[StepReport], *, is_new: bool) -> None:
    numbered = [replace(step, index=number) for number, step in enumerate(reports, start=1)]
    if not is_new:
        run.steps.all().delete()
    if not numbered:
        return
    steps = Step.objects.bulk_create([_step(run, step) for step in numbered])
    pairs = [(step, node) for step, told in zip(steps, numbered, strict=True) for node in told.nodes]
    Node.objects.bulk_create([_node(step, node) for step, node in pairs], batch_size=500)


def _step(run: Run, step: StepReport) -> Step:
    return Step(
        run=run,
        index=step.index,
        command=step.command,
        outcome=step_outcome(step, otherwise=Outcome(run.outcome)) if run.state == RunState.FINISHED else "",
        exit_code=step.exit_code,
        signal=step.signal,
        started_at=step.started_at,
        finished_at=step.finished_at,
        invocation_id=step.invocation_id,
        dbt_version=step.dbt_version,
        counts=dict(step.counts),
    )


def _node(step: Step, node: NodeReport) -> Node:
    return Node(
        step=step,
        unique_id=node.unique_id,
        name=node.name,
        status=node.status,
        resource_type=node.resource_type,
        path=node.path,
        message=node.message,
        failures=node.failures,
        facts=_freshness(node),
    )


def _freshness(node: NodeReport) -> dict[str, Any]:
    facts = {
        "age_seconds": node.age_seconds,
        "loaded_at": node.loaded_at.isoformat() if node.loaded_at else None,
        "warn_after_seconds": node.warn_after_seconds,
        "error_after_seconds": node.error_after_seconds,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _add_late(run: Run, report: RunReport) -> tuple[str, ...]:
    """After the decision: empty fields are filled, a differing end is kept for the page, the rest is named as ignored."""
    told = {"git_branch": report.git.branch, "git_sha": report.git.sha, "host_tool": report.host_tool, "log_end": report.log_end}
    for name, value in told.items():
        if value and not getattr(run, name):
            setattr(run, name, value)
    ignored = [name for name, value in told.items() if value and getattr(run, name) != value]
    if report.state is RunState.FINISHED:
        ignored += _late_end(run, report)
    run.save()
    return tuple(ignored)


def _late_end(run: Run, report: RunReport) -> list[str]:
    if not run.steps.exists():
        _store_steps(run, report.steps, is_new=True)
    outcome = run_outcome(report)
    if outcome == run.outcome and run.finished_at:
        return []
    run.late_end = {
        "outcome": outcome.value,
        "because": because_of(report).to_json(),
        "finished_at": report_to_json(report).get("finished_at"),
    }
    return ["outcome"] if outcome != run.outcome else []


def lose_runs(*, now: datetime, limit: int = 100) -> int:
    """Started runs whose end never came fail, and ring. Returns how many; fewer than `limit` means that none are left."""
    with transaction.atomic():
        lost = (
            Run.objects.select_for_update(of=("self",))
            .select_related("account", "job")
            .filter(lost_at__lte=now)
            .order_by("lost_at")[:limit]
        )
        for run in (runs := list(lost)):
            run.state, run.outcome, run.lost_at = RunState.FINISHED, "failed", None
            run.because = Because("no_end_reported").to_json()
            run.save()
            decide_run(run, now=now, account=run.account)
    return len(runs)
