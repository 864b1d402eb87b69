"""Selectors for the page of one job, and “What I get”; `home_pages` shares how lines are made. Few queries, whatever the numbers."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count, DateTimeField, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from runbell.core.because import Because
from runbell.core.permissions import Action, Role
from runbell.core.rules import Scope
from runbell.core.runs import Outcome
from runbell.server.db.models import Destination, Job, Member, Node, Rule, Run, State
from runbell.server.services.access import Actor, job_for
from runbell.server.services.decisions import IN_DESTINATION, address_of, silent_because
from runbell.server.services.histories import Past, usual_seconds
from runbell.server.services.pages import HISTORY, RunLine
from runbell.server.services.pauses import Pause, pauses_of

PAGE = 30
ASKED = 3
_EVER = Value(datetime(1970, 1, 1, tzinfo=UTC), output_field=DateTimeField())
FAILS = Outcome.FAILED.value


@dataclass(frozen=True, slots=True)
class JobLine:
    """`runs`: the last ones, oldest first. `hears`: how many destinations are told of any outcome, and of a failure."""

    id: int
    name: str
    environment: str
    project: str
    environment_id: int
    runs: tuple[RunLine, ...]
    hears: int
    hears_failure: int
    told: int = 0
    gist: tuple[str, str] = ("", "")  # the node that broke first in the last run, and what it said
    paused_until: datetime | None = None

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
        return usual_seconds([Past(Outcome(run.outcome), run.started_at, run.seconds) for run in self.runs if run.outcome])


@dataclass(frozen=True, slots=True)
class Origin:
    """Outcomes that one person chose at one time, for the job or for all jobs of its environment. `by` is empty when they are gone."""

    scope: Scope
    outcomes: tuple[str, ...]
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Listener:
    """A destination that hears of a job. `chosen`: per outcome ``job``, ``environment`` (all jobs) or empty; `silent`: why nothing goes there."""

    address: str
    name: str
    kind: str
    silent: Because | None
    chosen: Mapping[str, str]
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class PastRun:
    """A line of the job's runs. `broken`: names of what broke, in the order reported."""

    run: RunLine
    broken: tuple[str, ...]
    told: int
    not_told: int


@dataclass(frozen=True, slots=True)
class JobPage:
    """`pauses`: what holds messages back now, the longest first. `deciders`: whom to ask, for a reader who may not choose for everybody."""

    job: JobLine
    listeners: tuple[Listener, ...]
    pauses: tuple[Pause, ...]
    past: tuple[PastRun, ...]
    older: int | None  # the run after which older ones follow
    deciders: tuple[str, ...]


def job_page(actor: Actor, job_id: int, *, now: datetime, before: int | None = None) -> JobPage:
    job = job_for(actor, job_id, Action.SEE_JOBS)
    rules = list(
        Rule.objects.filter(Q(job=job) | Q(environment=job.environment_id), destination__state=State.ACTIVE)
        .select_related("destination__member__user", "destination__link__workspace", "set_by__user")
        .defer(*IN_DESTINATION)
        .order_by("destination_id", "set_at", "pk")
    )
    past, older = _past(job, before)
    able = [rule for rule in rules if not silent_because(rule.destination)]
    line = JobLine(
        id=job.pk,
        name=job.name,
        environment=job.environment.name,
        project=job.environment.project.name,
        environment_id=job.environment_id,
        runs=tuple(last_runs(Q(pk=job.pk)).get(job.pk, ())),
        hears=len({rule.destination_id for rule in able}),
        hears_failure=len({rule.destination_id for rule in able if rule.outcome == FAILS}),
    )
    return JobPage(
        line, tuple(_listeners(rules)), tuple(pauses_of(job, now)), tuple(past), older, whom_to_ask(actor, Action.SET_ANY_NOTIFICATIONS)
    )


def whom_to_ask(actor: Actor, action: Action) -> tuple[str, ...]:
    """The first admins by name, for a reader who may not do it."""
    if actor.may(action):
        return ()
    admins = Member.objects.filter(account=actor.account_id, role=Role.ACCOUNT_ADMIN, is_active=True, user__is_active=True)
    rows = admins.order_by("pk").values_list("user__name", "user__email")[:ASKED]
    return tuple(name or email for name, email in rows)


def last_runs(jobs: Q) -> dict[int, list[RunLine]]:
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


def broken_nodes(runs: Iterable[int]) -> dict[int, list[tuple[str, str]]]:
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
    broken = broken_nodes(run.pk for run in shown if run.outcome == FAILS)
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


_KINDS = {"email": "external"}  # an address that is no member's; every other kind is called as it is


def _listeners(rules: list[Rule]) -> Iterator[Listener]:
    """Those who hear come before those who are silent."""
    by_destination: dict[Destination, list[Rule]] = defaultdict(list)
    for rule in rules:
        by_destination[rule.destination].append(rule)
    for destination in sorted(by_destination, key=lambda found: (silent_because(found) is not None, address_of(found))):
        own = by_destination[destination]
        member = destination.member
        chosen = {outcome.value: "" for outcome in Outcome}
        for rule in own:
            chosen[rule.outcome] = "environment" if rule.environment_id else chosen[rule.outcome] or "job"
        yield Listener(
            address=address_of(destination),
            name=member.user.name if member else "",
            kind="member" if member else _KINDS.get(destination.kind, destination.kind),
            silent=silent_because(destination),
            chosen=chosen,
            origins=tuple(_origins(own)),
        )


def _origins(rules: list[Rule]) -> Iterator[Origin]:
    """One save sets several boxes at one time; they are told of together."""
    together: dict[tuple[Scope, str, datetime], set[str]] = defaultdict(set)
    for rule in rules:
        by = (rule.set_by.user.name or rule.set_by.user.email) if rule.set_by else ""
        together[Scope.JOB if rule.job_id else Scope.ENVIRONMENT, by, rule.set_at].add(rule.outcome)
    for (scope, by, at), outcomes in together.items():
        yield Origin(scope, tuple(outcome.value for outcome in Outcome if outcome in outcomes), by, at)
