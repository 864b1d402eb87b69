"""Steps and their nodes: out of a report into rows, and back."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from runbell.core.outcomes import step_outcome
from runbell.core.runs import NodeReport, NodeStatus, Outcome, RunReport, RunState, StepReport
from runbell.messages.facts import StepFacts
from runbell.server.db import new_rows
from runbell.server.db.inserts import insert
from runbell.server.db.models import Node, Run, Step

Told = tuple[Run, Sequence[StepReport]]


def numbered(report: RunReport) -> tuple[StepReport, ...]:
    """Its steps as they are stored: the first is 1."""
    return tuple(replace(step, index=number) for number, step in enumerate(report.steps, start=1))


def told_steps(run: Run, steps: Iterable[StepReport]) -> list[StepFacts]:
    """What `stored_steps` would find of a run that has ended, without asking the database."""
    return [StepFacts(step, step_outcome(step, otherwise=Outcome(run.outcome))) for step in steps]


def stored_steps(run: Run) -> list[StepFacts]:
    rows = run.steps.order_by("index").prefetch_related("nodes")
    return [StepFacts(_step_report(row), Outcome(row.outcome or "failed")) for row in rows]


def store_steps(told: Iterable[Told]) -> None:
    """Of any number of runs by two statements; SQLite takes a thousand values in one."""
    steps = [(run, report) for run, reports in told for report in reports]
    ids = insert(Step, (_step(run, report) for run, report in steps))
    insert(Node, (_node(pk, node) for pk, (_, report) in zip(ids, steps, strict=True) for node in report.nodes))


def complete_steps(run: Run, reports: Iterable[StepReport]) -> None:
    """What comes after the decision: the steps of a run without any, and the nodes of a step that has none. What was told stays."""
    known = {(step.index, step.command): step for step in run.steps.prefetch_related("nodes")}
    if not known:
        store_steps([(run, tuple(reports))])
    for report in reports:
        step = known.get((report.index, report.command))
        if step and not step.counts and not step.nodes.all():
            _complete(step, report)


def _complete(step: Step, report: StepReport) -> None:
    step.counts, step.invocation_id = dict(report.counts), step.invocation_id or report.invocation_id
    step.dbt_version = step.dbt_version or report.dbt_version
    step.save(update_fields=["counts", "invocation_id", "dbt_version"])
    insert(Node, (_node(step.pk, node) for node in report.nodes))


def _step(run: Run, step: StepReport) -> new_rows.Step:
    return new_rows.Step(
        run_id=run.pk,
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


def _node(step_id: int, node: NodeReport) -> new_rows.Node:
    return new_rows.Node(
        step_id=step_id,
        unique_id=node.unique_id,
        name=node.name,
        status=node.status,
        resource_type=node.resource_type,
        path=node.path,
        message=node.message,
        failures=node.failures,
        facts=dict(_freshness(node)),
    )


def _freshness(node: NodeReport) -> Iterator[tuple[str, Any]]:
    for name in ("age_seconds", "warn_after_seconds", "error_after_seconds"):
        if (seconds := getattr(node, name)) is not None:
            yield name, seconds
    if node.loaded_at:
        yield "loaded_at", node.loaded_at.isoformat()


def _step_report(step: Step) -> StepReport:
    return StepReport(
        index=step.index,
        command=step.command,
        exit_code=step.exit_code,
        signal=step.signal,
        started_at=step.started_at,
        finished_at=step.finished_at,
        invocation_id=step.invocation_id,
        dbt_version=step.dbt_version,
        counts=step.counts,
        nodes=tuple(map(_node_report, sorted(step.nodes.all(), key=lambda node: node.pk))),
    )


def _node_report(node: Node) -> NodeReport:
    facts = dict(node.facts)
    if facts.get("loaded_at"):
        facts["loaded_at"] = datetime.fromisoformat(facts["loaded_at"])
    return NodeReport(
        unique_id=node.unique_id,
        status=NodeStatus(node.status),
        message=node.message,
        resource_type=node.resource_type,
        name=node.name,
        path=node.path,
        failures=node.failures,
        **facts,
    )
