"""A run as the dbt platform tells of it, by its webhooks and its Admin API, made into a report. Ids are text: they pass 2^31.

https://docs.getdbt.com/docs/deploy/webhooks and https://docs.getdbt.com/dbt-cloud/api-v2. What is missing or new does no harm.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from runbell.core.artifacts import Artifact, add_artifacts
from runbell.core.fields import BadField, Fields, storable, trim_name
from runbell.core.runs import (
    MAX_KEY,
    MAX_LOG_END,
    MAX_NAME,
    MAX_STEPS,
    MAX_TEXT,
    Git,
    JobRef,
    Outcome,
    RunReport,
    RunState,
    StepReport,
    Trigger,
    last_bytes,
)

EVENTS = ("job.run.started", "job.run.completed", "job.run.errored")
HOST_TOOL = "dbt platform"
MAX_ID = 32
_COMMAND = re.compile(r"`([^`]+)`")  # Invoke dbt with `dbt build`
_DIGITS = re.compile(r"[0-9]{1,19}")


class Code(IntEnum):
    """The Admin API's status of a run or a step."""

    QUEUED = 1
    STARTING = 2
    RUNNING = 3
    SUCCESS = 10
    ERROR = 20
    CANCELLED = 30


ENDS = (Code.SUCCESS, Code.ERROR, Code.CANCELLED)
_OUTCOMES = {Code.SUCCESS: Outcome.SUCCEEDED, Code.ERROR: Outcome.FAILED, Code.CANCELLED: Outcome.CANCELLED}


@dataclass(frozen=True, slots=True)
class Place:
    """A project, an environment or a job there. The name may be unknown."""

    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class ToldStep:
    index: int
    command: str
    code: int
    started_at: datetime | None = None
    finished_at: datetime | None = None
    logs: str = ""

    @property
    def artifact(self) -> str:
        """The artifact that tells of its nodes; empty when there is none to expect."""
        words = self.command.split()
        if words[:1] != ["dbt"] or "deps" in words[1:2] or self.code not in (Code.SUCCESS, Code.ERROR):
            return ""
        return "sources.json" if self.is_freshness else "run_results.json"

    @property
    def is_freshness(self) -> bool:
        return "source" in self.command.split() and "freshness" in self.command.split()


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a run. `has_artifacts`: those there will ever be are there."""

    run_id: str
    code: int
    project: Place = Place()
    environment: Place = Place()
    job: Place = Place()
    started_at: datetime | None = None
    finished_at: datetime | None = None
    trigger: Trigger = field(default_factory=Trigger)
    git: Git = field(default_factory=Git)
    said: str = ""
    steps: tuple[ToldStep, ...] = ()
    has_artifacts: bool = False

    @property
    def has_ended(self) -> bool:
        return self.code in ENDS


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    type: str
    account_id: str
    raw: Mapping[str, Any]  # of its `data`


def read_event(raw: object) -> Event:
    """A webhook's body. Raises `BadField`; fields that nobody knows are passed over."""
    body = Fields(raw)
    data = body.nested("data").value
    event = Event(
        id=body.name("eventId", limit=100), type=body.name("eventType", limit=100), account_id=_required_id(body, "accountId"), raw=data
    )
    if event.type in EVENTS:
        _required_id(body.nested("data"), "runId")
    return event


def told_by_event(data: Mapping[str, Any]) -> Told:
    """The `data` of an event. Texts that stand for nothing are written out there as None."""
    said = _text(data.get("runStatusMessage"))
    return Told(
        run_id=read_id(data.get("runId")),
        code=_code(data.get("runStatusCode")),
        project=_place(data, "project"),
        environment=_place(data, "environment"),
        job=_place(data, "job"),
        started_at=_moment(data.get("runStartedAt")),
        finished_at=_moment(data.get("runFinishedAt")) or _moment(data.get("runErroredAt")),
        trigger=Trigger(cause=read_name(data.get("runReason"))),
        said="" if said == "None" else said,
    )


def told_by_api(run: Mapping[str, Any]) -> Told:
    """A run with `trigger`, `job`, `environment` and `run_steps`."""
    job, environment, trigger = (_part(run, name) for name in ("job", "environment", "trigger"))
    url = _text(run.get("href"))
    audit = _part(run, "audit")
    stopped_by = read_name(_part(_part(audit, "cancellation"), "actor").get("name"))
    said = _text(run.get("status_message"))
    return Told(
        run_id=read_id(run.get("id")),
        code=_code(run.get("status")),
        project=Place(read_id(run.get("project_id"))),
        environment=Place(read_id(run.get("environment_id")), read_name(environment.get("name"))),
        job=Place(read_id(run.get("job_definition_id") or run.get("job_id")), read_name(job.get("name"))),
        started_at=_moment(run.get("started_at")) or _moment(run.get("created_at")),
        finished_at=_moment(run.get("finished_at")),
        trigger=Trigger(
            cause=read_name(trigger.get("cause")),
            category=read_name(trigger.get("cause_category")),
            url=url[:MAX_TEXT] if url.startswith(("https://", "http://")) else "",
            actor=read_name(_part(_part(audit, "trigger"), "actor").get("name")),
        ),
        git=Git(read_name(run.get("git_branch")), trim_name(_text(run.get("git_sha")), 64)),
        said="\n".join(filter(None, (said, f"Cancelled by {stopped_by}." if stopped_by else ""))),
        steps=_steps(run.get("run_steps")),
        has_artifacts=bool(run.get("artifacts_saved")),
    )


def run_key(host: str, account_id: str, run_id: str) -> str:
    return f"dbt:{host}:{account_id}:{run_id}"[:MAX_KEY]


def report_of(
    told: Told, *, job: JobRef, key: str, aliases: tuple[str, ...], artifacts: Mapping[int, Artifact], now: datetime
) -> RunReport:
    """The platform's word is the outcome; artifacts add warnings and what went wrong."""
    started_at = told.started_at or told.finished_at or now
    steps = tuple(_step(step, artifacts.get(step.index), told.code) for step in told.steps if _is_shown(step))
    report = RunReport(
        key=key,
        aliases=aliases,
        state=RunState.FINISHED if told.has_ended else RunState.STARTED,
        job=job,
        started_at=started_at,
        trigger=told.trigger,
        git=told.git,
        host_tool=HOST_TOOL,
        steps=steps[:MAX_STEPS],
    )
    if not told.has_ended:
        return report
    return replace(
        report,
        finished_at=max(told.finished_at or now, started_at),
        outcome=_outcome(told),
        log_end=last_bytes(_log_end(told), MAX_LOG_END),
    )


def _outcome(told: Told) -> Outcome:
    """A source freshness check that is a checkbox of the job fails without failing the run: succeeded would be too much said."""
    outcome = _OUTCOMES[Code(told.code)]
    if outcome is Outcome.SUCCEEDED and any(step.is_freshness and step.code == Code.ERROR for step in told.steps):
        return Outcome.WARNED
    return outcome


def _step(step: ToldStep, artifact: Artifact | None, run_code: int) -> StepReport:
    """No exit code is told. A step that failed without failing the run, and one that was stopped, get none."""
    failed = step.code == Code.ERROR and run_code != Code.SUCCESS
    exit_code = 0 if step.code == Code.SUCCESS else 1 if failed else None
    report = StepReport(
        index=step.index, command=step.command, exit_code=exit_code, started_at=step.started_at, finished_at=_not_before(step)
    )
    return add_artifacts(report, [artifact] if artifact else [])


def _not_before(step: ToldStep) -> datetime | None:
    return max(step.finished_at, step.started_at) if step.finished_at and step.started_at else step.finished_at


def _is_shown(step: ToldStep) -> bool:
    """dbt's own, and what broke before dbt began, such as the clone of the repository."""
    return step.command.startswith("dbt ") or step.code in (Code.ERROR, Code.CANCELLED)


def _log_end(told: Told) -> str:
    broken = next((step.logs for step in told.steps if step.code == Code.ERROR), "")
    return "\n".join(filter(None, (broken.rstrip() if told.code == Code.ERROR else "", told.said)))


def _steps(value: object) -> tuple[ToldStep, ...]:
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, Sequence) else []
    steps = {step.index: step for place, row in enumerate(rows, 1) if (step := _read_step(row, place))}
    return tuple(steps[index] for index in sorted(steps))


def _read_step(row: Mapping[str, Any], place: int) -> ToldStep:
    index = row.get("index")
    name, command = _text(row.get("name")), _text(_part(row, "run_step_command").get("dbt_command"))
    found = _COMMAND.search(name)
    return ToldStep(
        index=index if type(index) is int and index > 0 else place,
        command=(command or (found[1] if found else name))[:MAX_TEXT],
        code=_code(row.get("status")),
        started_at=_moment(row.get("started_at")),
        finished_at=_moment(row.get("finished_at")),
        logs=_text(row.get("logs"))[-4 * MAX_LOG_END :],
    )


def _place(data: Mapping[str, Any], kind: str) -> Place:
    return Place(read_id(data.get(f"{kind}Id")), read_name(data.get(f"{kind}Name")))


def _required_id(body: Fields, name: str) -> str:
    found = read_id(body.required(name))
    if not found:
        raise BadField(body.at(name), "must be the digits of an id")
    return found


def read_id(value: object) -> str:
    """Text or a number: both are in use for the same id."""
    text = str(value) if type(value) is int else value if isinstance(value, str) else ""
    return text if _DIGITS.fullmatch(text) else ""


def _code(value: object) -> int:
    return value if type(value) is int and 0 <= value < 1000 else 0


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(value: object) -> str:
    return storable(value) if isinstance(value, str) else ""


def read_name(value: object) -> str:
    return trim_name(_text(value), MAX_NAME)
