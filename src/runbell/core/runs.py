"""A run as its reporter tells it: the facts, and the only reader and writer of the report JSON (docs/reference/report.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from runbell.core.fields import BadField, Fields

VERSION = 1
MAX_NAME = 200
MAX_KEY = 200
MAX_ALIASES = 20
MAX_STEPS = 200
MAX_NODES_PER_STEP = 200
MAX_INTAKE_NODES = 50_000  # a caller that lists every node of a big project is taken, the first 200 are kept
MAX_MESSAGE = 4_000  # characters of one node's error text; the database's own words come first in it
MAX_LOG_END = 32 * 1024  # bytes of UTF-8
MAX_TEXT = 2_000  # a command, a URL
MAX_BODY = 5 * 1024 * 1024  # bytes, counted after inflating

COUNTS = ("passed", "warned", "failed", "skipped", "no_op", "sources")
"""Keys of `StepReport.counts`. `sources` says how many of the results were source freshness checks; the others add up to all results."""


class Outcome(StrEnum):
    """How a run ended; one per run. Order of trust: `worst`."""

    SUCCEEDED = "succeeded"
    WARNED = "warned"
    FAILED = "failed"
    CANCELLED = "cancelled"


SEVERITY = (Outcome.SUCCEEDED, Outcome.WARNED, Outcome.FAILED, Outcome.CANCELLED)


def worst(outcomes: list[Outcome]) -> Outcome:
    """The one that names the whole: cancelled › failed › warned › succeeded."""
    return max(outcomes, key=SEVERITY.index)


class RunState(StrEnum):
    STARTED = "started"
    FINISHED = "finished"


class NodeStatus(StrEnum):
    """Only trouble is reported node by node; passed and skipped nodes are counts."""

    ERROR = "error"
    FAIL = "fail"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class JobRef:
    project: str
    environment: str
    name: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """What started the run. `category` is the dbt Admin API's word (`api`, `ci`, `scheduled`, `ui`, …), `cause` a short text for people."""

    cause: str = ""
    category: str = ""
    url: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Git:
    branch: str = ""
    sha: str = ""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node that did not pass. `message` is the engine's error text, masked. A source has its freshness in place of a text.

    `name` is the short name: `stg_payments`, `raw.payments` for a source. `failures` counts the rows that a test found.
    """

    unique_id: str
    status: NodeStatus
    message: str = ""
    resource_type: str = ""
    name: str = ""
    path: str = ""
    failures: int | None = None
    age_seconds: float | None = None  # these four are of a source: how old its newest row was, and what it was held to
    loaded_at: datetime | None = None
    warn_after_seconds: float | None = None
    error_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class StepReport:
    """One command. `signal` is the number of the signal that stopped it: it killed the process, or the reporter passed it on."""

    index: int
    command: str
    exit_code: int | None = None
    signal: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    invocation_id: str = ""
    dbt_version: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    nodes: tuple[NodeReport, ...] = ()


@dataclass(frozen=True, slots=True)
class RunReport:
    """A whole snapshot of a run, never a difference. Twice the same report is one run."""

    key: str
    state: RunState
    job: JobRef
    started_at: datetime
    finished_at: datetime | None = None
    outcome: Outcome | None = None
    aliases: tuple[str, ...] = ()
    trigger: Trigger = Trigger()
    git: Git = Git()
    host_tool: str = ""
    log_end: str = ""
    steps: tuple[StepReport, ...] = ()


def parse_report(raw: object, *, now: datetime) -> RunReport:
    """The report in decoded JSON. Raises `BadField`; never takes a part of a report.

    Nodes past `MAX_NODES_PER_STEP` are dropped (the counts tell of them) and long texts are cut; names never are.
    """
    body = Fields(raw)
    if body.integer("version", low=1) not in (None, VERSION):
        raise BadField("version", f"must be {VERSION}")
    state = body.word("state", RunState)
    if state is None:
        raise BadField("state", "is required")
    started_at = body.moment("started_at")
    if started_at is None:
        raise BadField("started_at", "is required")
    report = RunReport(
        key=body.name("key", limit=MAX_KEY),
        aliases=body.items("aliases", _alias, limit=MAX_ALIASES),
        state=state,
        job=_job(body.nested("job")),
        started_at=started_at,
        finished_at=body.moment("finished_at"),
        outcome=body.word("outcome", Outcome),
        trigger=_trigger(body.nested("trigger")),
        git=_git(body.nested("git")),
        host_tool=body.text("host_tool", limit=MAX_NAME),
        log_end=last_bytes(body.text("log_end", limit=MAX_BODY), MAX_LOG_END),
        steps=_steps(body),
    )
    _check_times(report, now)
    _check_end(report)
    return report


def _check_times(report: RunReport, now: datetime) -> None:
    if report.finished_at and report.finished_at < report.started_at:
        raise BadField("finished_at", "is before started_at")
    for name in ("started_at", "finished_at"):
        moment = getattr(report, name)
        if moment and moment > now + timedelta(days=1):
            raise BadField(name, "is more than a day in the future; check the clock of the machine that reports")
    for place, step in enumerate(report.steps):
        if step.started_at and step.finished_at and step.finished_at < step.started_at:
            raise BadField(f"steps[{place}].finished_at", "is before started_at")


def _check_end(report: RunReport) -> None:
    if report.state is RunState.STARTED:
        return
    if report.finished_at is None:
        raise BadField("finished_at", "is required when state is finished")
    if report.outcome is None and not any(step.exit_code is not None or step.signal for step in report.steps):
        raise BadField("outcome", "is required when no step has an exit_code")


def _alias(value: object, path: str) -> str:
    try:
        return Fields({"alias": value}).name("alias", limit=MAX_KEY)
    except BadField as bad:
        raise BadField(path, bad.message) from None


def _job(job: Fields) -> JobRef:
    return JobRef(
        project=job.name("project", limit=MAX_NAME),
        environment=job.name("environment", limit=MAX_NAME),
        name=job.name("name", limit=MAX_NAME),
    )


def _trigger(trigger: Fields) -> Trigger:
    url = trigger.text("url", limit=MAX_TEXT)
    return Trigger(
        cause=trigger.text("cause", limit=MAX_NAME),
        category=trigger.text("category", limit=MAX_NAME),
        url=url if url.startswith(("https://", "http://")) else "",  # it becomes a link in mails and pages
        actor=trigger.text("actor", limit=MAX_NAME),
    )


def _git(git: Fields) -> Git:
    return Git(branch=git.text("branch", limit=MAX_NAME), sha=git.text("sha", limit=64))


def _steps(body: Fields) -> tuple[StepReport, ...]:
    """Steps in the order they were told; one without an index is numbered by its place."""
    steps = body.items("steps", _step, limit=MAX_STEPS)
    numbered = tuple(replace(step, index=step.index or place) for place, step in enumerate(steps, 1))
    seen: set[int] = set()
    for place, step in enumerate(numbered):
        if step.index in seen:
            raise BadField(f"steps[{place}].index", f"is {step.index}, as in an earlier step")
        seen.add(step.index)
    return numbered


def _step(raw: object, path: str) -> StepReport:
    step = Fields(raw, path)
    counts = step.nested("counts")
    return StepReport(
        index=step.integer("index", low=1, high=MAX_STEPS) or 0,
        command=step.text("command", limit=MAX_TEXT),
        exit_code=step.integer("exit_code", low=-64, high=2**32 - 1),
        signal=step.integer("signal", low=1, high=64),
        started_at=step.moment("started_at"),
        finished_at=step.moment("finished_at"),
        invocation_id=step.text("invocation_id", limit=64),
        dbt_version=step.text("dbt_version", limit=64),
        counts={name: counts.integer(name, low=0) or 0 for name in COUNTS if counts.has(name)},
        nodes=step.items("nodes", _node, limit=MAX_INTAKE_NODES)[:MAX_NODES_PER_STEP],
    )


def _node(raw: object, path: str) -> NodeReport:
    node = Fields(raw, path)
    status = node.word("status", NodeStatus)
    if status is None:
        raise BadField(node.at("status"), "is required")
    return NodeReport(
        unique_id=node.name("unique_id", limit=MAX_TEXT),
        status=status,
        message=node.text("message", limit=MAX_MESSAGE),
        resource_type=node.text("resource_type", limit=MAX_NAME),
        name=node.text("name", limit=MAX_TEXT),
        path=node.text("path", limit=MAX_TEXT),
        failures=node.integer("failures", low=0),
        age_seconds=node.seconds("age_seconds"),
        loaded_at=node.moment("loaded_at"),
        warn_after_seconds=node.seconds("warn_after_seconds"),
        error_after_seconds=node.seconds("error_after_seconds"),
    )


def report_to_json(report: RunReport) -> dict[str, Any]:
    """The report as JSON values; empty fields are left out. `parse_report` reads it back to an equal report."""
    return {"version": VERSION, **to_json(report)}


def to_json(value: Any) -> Any:
    """A report, or a part of one."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__dataclass_fields__"):
        pairs = ((name, getattr(value, name)) for name in value.__dataclass_fields__)
        return {name: to_json(item) for name, item in pairs if item not in (None, "", (), {})}
    return str(value) if isinstance(value, StrEnum) else value


def last_bytes(text: str, limit: int) -> str:
    """The end of `text` in at most `limit` bytes of UTF-8, from the start of a line where there is one."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return text
    tail = encoded[-limit:].decode("utf-8", "ignore")
    return tail.split("\n", 1)[1] if "\n" in tail[:-1] else tail
