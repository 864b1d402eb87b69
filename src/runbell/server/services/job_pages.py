"""Selectors for the home page and the page of one job: few queries, whatever the number of jobs and runs."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, DateTimeField, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from runbell.core.permissions import Action
from runbell.core.runs import Outcome
from runbell.server.db.models import Job, Node, Receipt, Rule, Run, State
from runbell.server.services.access import Actor, job_for
from runbell.server.services.decisions import address_of, usual_seconds
from runbell.server.services.pages import HISTORY, RunLine

PAGE = 30
_EVER = Value(datetime(1970, 1, 1, tzinfo=UTC), output_field=DateTimeField())
FAILS = Outcome.FAILED.value


@dataclass(frozen=True, slots=True)
class JobLine:
    """`runs`: the last ones, oldest first. `hears`: how many destinations are told of any outcome, and of a failure."""

    id: int
    name: str
    environment: str
    project: str
    runs: tuple[RunLine, ...]
    hears: int
    hears_failure: int
    told: int = 0
    gist: tuple[str, str] = ("", "")  # the node that broke first in the last run, and what it said

    @property
    def last(self) -> RunLine | None:
        return self.runs[-1] if self.runs else None

    @property
    def last_ended(self) -> RunLine | None:
        return next((run for run in reversed(self.runs) if run.outcome), None)

    @property
    def outcome(self) -> str:
        """How it ended the last time; empty if it never has."""
        return self.last_ended.outcome if self.last_ended else ""

    @property
    def is_running(self) -> bool:
        return self.last is not None and self.last.is_running

    @property
    def streak(self) -> tuple[RunLine, ...]:
        """The last runs that ended alike, oldest first."""
        ended = [run for run in self.runs if run.outcome]
        same = next((n for n, run in enumerate(reversed(ended)) if run.outcome != self.outcome), len(ended))
        return tuple(ended[len(ended) - same :])

    @property
    def usual(self) -> tuple[float | None, float | None]:
        return usual_seconds([(Outcome(run.outcome), run.seconds, run.started_at) for run in self.runs if run.outcome])


@dataclass(frozen=True, slots=True)
class Listener:
    """A destination that hears of a job. `chosen`: per outcome ``job``, ``environment`` (all jobs) or empty."""

    address: str
    name: str
    kind: str
    is_silent: bool
    chosen: dict[str, str]


@dataclass(frozen=True, slots=True)
class PastRun:
    run: RunLine
    broken: tuple[str, ...]
    told: int
    not_told: int


@dataclass(frozen=True, slots=True)
class JobPage:
    job: JobLine
    listeners: tuple[Listener, ...]
    past: tuple[PastRun, ...]
    older: int | None  # the run after which older ones follow


def home_page(actor: Actor) -> list[JobLine]:
    """Every job of the account, by project and environment; five queries."""
    actor.require(Action.SEE_JOBS)
    jobs = Job.objects.filter(account=actor.account_id, state=State.ACTIVE).select_related("environment__project")
    jobs = jobs.order_by("environment__project__name", "environment__name", "name")
    runs = _last_runs(Q(account=actor.account_id, state=State.ACTIVE))
    hears, hears_failure = _hearing(actor.account_id)
    lines = [_line(job, runs, hears, hears_failure) for job in jobs]
    return _with_trouble(lines)


def job_page(actor: Actor, job_id: int, *, before: int | None = None) -> JobPage:
    job = job_for(actor, job_id, Action.SEE_JOBS)
    rules = list(
        Rule.objects.filter(Q(job=job) | Q(environment=job.environment_id), destination__state=State.ACTIVE)
        .select_related("destination__member__user")
        .order_by("destination_id")
    )
    past, older = _past(job, before)
    heard = {rule.destination_id for rule in rules}
    failure = {rule.destination_id for rule in rules if rule.outcome == FAILS}
    line = _line(job, _last_runs(Q(pk=job.pk)), {job.pk: heard}, {job.pk: failure})
    return JobPage(line, tuple(_listeners(rules)), tuple(past), older)


def _line(job: Job, runs: dict[int, list[RunLine]], hears: dict[Any, set[int]], hears_failure: dict[Any, set[int]]) -> JobLine:
    environment = ("environment", job.environment_id)
    return JobLine(
        id=job.pk,
        name=job.name,
        environment=job.environment.name,
        project=job.environment.project.name,
        runs=tuple(runs.get(job.pk, ())),
        hears=len(hears.get(job.pk, set()) | hears.get(environment, set())),
        hears_failure=len(hears_failure.get(job.pk, set()) | hears_failure.get(environment, set())),
    )


def _last_runs(jobs: Q) -> dict[int, list[RunLine]]:
    """The last 30 runs of each job, oldest first. The subquery is asked once per job and answered by the index."""
    visible = Run.objects.filter(job=OuterRef("pk"), merged_into=None).order_by("-started_at")
    since = Coalesce(Subquery(visible.values("started_at")[HISTORY - 1 : HISTORY]), _EVER)
    rows = (
        Job.objects.filter(jobs, runs__merged_into=None, runs__started_at__gte=since)
        .order_by("runs__started_at", "runs__pk")
        .values_list("pk", "runs__pk", "runs__outcome", "runs__started_at", "runs__finished_at")
    )
    runs: dict[int, list[RunLine]] = defaultdict(list)
    for job_id, run_id, outcome, started_at, finished_at in rows:
        runs[job_id].append(RunLine(run_id, outcome, started_at, finished_at))
    return {job_id: lines[-HISTORY:] for job_id, lines in runs.items()}


def _hearing(account_id: int) -> tuple[dict[Any, set[int]], dict[Any, set[int]]]:
    """Destinations by job id, and by ``("environment", id)``: of any outcome, and of failures."""
    hears: dict[Any, set[int]] = defaultdict(set)
    hears_failure: dict[Any, set[int]] = defaultdict(set)
    rules = Rule.objects.filter(destination__account=account_id, destination__state=State.ACTIVE)
    for destination, job, environment, outcome in rules.values_list("destination", "job", "environment", "outcome"):
        scope = job or ("environment", environment)
        hears[scope].add(destination)
        if outcome == FAILS:
            hears_failure[scope].add(destination)
    return hears, hears_failure


def _with_trouble(lines: list[JobLine]) -> list[JobLine]:
    """Adds to jobs that fail what broke and how many were told: two queries."""
    failing = {line.last_ended.id: line for line in lines if line.last_ended and line.outcome == FAILS}
    told = dict(
        Receipt.objects.filter(run__in=failing, is_told=True).values("run").annotate(n=Count("pk")).values_list("run", "n").order_by("run")
    )
    broken = {run: nodes[0] for run, nodes in _broken(failing).items()}
    return [
        replace(line, told=told.get(line.last_ended.id, 0), gist=broken.get(line.last_ended.id, ("", "")))
        if line.last_ended and line.outcome == FAILS
        else line
        for line in lines
    ]


def _broken(runs: Iterable[int]) -> dict[int, list[tuple[str, str]]]:
    """Names and messages of the nodes that broke, in the order reported, by run."""
    nodes: dict[int, list[tuple[str, str]]] = defaultdict(list)
    rows = Node.objects.filter(step__run__in=list(runs)).exclude(status="warn").order_by("step__index", "pk")
    for run, name, unique_id, message in rows.values_list("step__run", "name", "unique_id", "message"):
        nodes[run].append((name or unique_id, message))
    return nodes


def _past(job: Job, before: int | None) -> tuple[list[PastRun], int | None]:
    runs = Run.objects.filter(job=job, merged_into=None)
    if before is not None:
        runs = runs.filter(pk__lt=before)
    told = Count("receipts", filter=Q(receipts__is_told=True))
    untold = Count("receipts", filter=Q(receipts__is_told=False))
    rows = list(runs.annotate(told=told, untold=untold).defer("log_end").order_by("-pk")[: PAGE + 1])
    shown = rows[:PAGE]
    broken = _broken([run.pk for run in shown if run.outcome == FAILS])
    past = [
        PastRun(
            RunLine(run.pk, run.outcome, run.started_at, run.finished_at),
            tuple(name for name, _ in broken.get(run.pk, ())),
            run.told,
            run.untold + run.not_told.get("total", 0),
        )
        for run in shown
    ]
    return past, shown[-1].pk if len(rows) > PAGE else None


def _listeners(rules: list[Rule]) -> Iterable[Listener]:
    by_destination: dict[int, list[Rule]] = defaultdict(list)
    for rule in rules:
        by_destination[rule.destination_id].append(rule)
    for own in by_destination.values():
        destination = own[0].destination
        member = destination.member
        chosen = {outcome.value: "" for outcome in Outcome}
        for rule in own:
            chosen[rule.outcome] = "environment" if rule.environment_id else chosen[rule.outcome] or "job"
        yield Listener(
            address=address_of(destination),
            name=member.user.name if member else "",
            kind="member" if member else "external",
            is_silent=bool(destination.disabled_because) or (member is not None and not (member.is_active and member.user.is_active)),
            chosen=chosen,
        )


@dataclass(frozen=True, slots=True)
class OwnRule:
    """One line of “What I get”: a job, or all jobs of an environment (`job_id` None)."""

    job_id: int | None
    job: str
    environment: str
    project: str
    chosen: frozenset[str]


def own_rules(actor: Actor) -> list[OwnRule]:
    """The member's own e-mail rules, all-jobs lines first in each environment; one query."""
    rules = Rule.objects.filter(destination__account=actor.account_id, destination__member=actor.member, destination__kind="email")
    rules = rules.filter(destination__state=State.ACTIVE)
    rows = rules.select_related("job__environment__project", "environment__project")
    lines: dict[tuple[str, str, str, int | None], set[str]] = defaultdict(set)
    for rule in rows:
        environment = rule.job.environment if rule.job else rule.environment
        assert environment is not None  # the table's check: a rule is for a job or for an environment
        lines[environment.project.name, environment.name, rule.job.name if rule.job else "", rule.job_id].add(rule.outcome)
    ordered = sorted(lines.items(), key=lambda line: line[0][:3])
    return [OwnRule(job_id, job, environment, project, frozenset(chosen)) for (project, environment, job, job_id), chosen in ordered]
