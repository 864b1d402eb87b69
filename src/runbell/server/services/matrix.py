"""The matrix: jobs of one environment × outcomes, as one destination has them. For every kind of destination."""

from collections import defaultdict
from dataclasses import dataclass

from django.db.models import CharField, Exists, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from runbell.core.permissions import Action
from runbell.core.runs import Outcome
from runbell.server.db.models import Destination, Environment, Job, Member, Rule, Run, State
from runbell.server.services.access import Actor, NotThere

NEVER = "-"  # beside an outcome's word, and the empty one of a run that goes on


@dataclass(frozen=True, slots=True)
class Line:
    """A job. `last`: the outcome of its last run, empty while that runs, `NEVER` without one. `own`: its own rules."""

    id: int
    name: str
    last: str
    own: frozenset[Outcome]


@dataclass(frozen=True, slots=True)
class Matrix:
    """`everything`: outcomes chosen for all jobs, also new ones; they cover each line, whatever its own rules are."""

    environment: Environment
    everything: frozenset[Outcome]
    lines: tuple[Line, ...]

    @property
    def set_lines(self) -> int:
        """Jobs that have a rule of their own beside what all jobs have."""
        return sum(bool(line.own - self.everything) for line in self.lines)


def list_environments(actor: Actor) -> list[Environment]:
    actor.require(Action.SEE_JOBS)
    rows = Environment.objects.filter(account=actor.account_id, state=State.ACTIVE, project__state=State.ACTIVE)
    return list(rows.select_related("project").order_by("name", "project__name"))


def pick_environment(actor: Actor, environments: list[Environment], asked: int | None) -> Environment | None:
    """The one asked for, else the one last used, else where something ran last. Raises `NotThere` for one that is not in the list."""
    known = {environment.pk: environment for environment in environments}
    if asked is not None and asked not in known:
        raise NotThere
    picked = known.get(asked or actor.member.last_environment_id or 0) or _busiest(known) or next(iter(environments), None)
    if picked and picked.pk != actor.member.last_environment_id:
        Member.objects.filter(pk=actor.member.pk).update(last_environment=picked)
    return picked


def _busiest(known: dict[int, Environment]) -> Environment | None:
    last = Run.objects.filter(job__environment__in=known).order_by("-pk").values_list("job__environment", flat=True).first()
    return known.get(last or 0)


def get_matrix(destination: Destination | None, environment: Environment) -> Matrix:
    """Two queries. Hidden jobs are listed while they have rules here: what sends mail can be switched off."""
    own: dict[int | None, set[Outcome]] = defaultdict(set)
    rules = Rule.objects.filter(Q(job__environment=environment) | Q(environment=environment), destination=destination)
    for job_id, outcome in rules.values_list("job_id", "outcome") if destination else ():
        own[job_id].add(Outcome(outcome))
    lines = tuple(Line(pk, name, last, frozenset(own.get(pk, ()))) for pk, name, last in _jobs(destination, environment))
    return Matrix(environment, frozenset(own.get(None, ())), lines)


def _jobs(destination: Destination | None, environment: Environment) -> list[tuple[int, str, str]]:
    runs = Run.objects.filter(job=OuterRef("pk"), merged_into=None).order_by("-started_at", "-pk")
    last = Coalesce(Subquery(runs.values("outcome")[:1]), Value(NEVER), output_field=CharField())
    is_listed = Q(hidden_at=None) | Exists(Rule.objects.filter(job=OuterRef("pk"), destination=destination))
    jobs = Job.objects.filter(is_listed, environment=environment, state=State.ACTIVE)
    rows = jobs.annotate(last=last).values_list("pk", "name", "last")
    return sorted(rows, key=lambda row: (row[1].casefold(), row[0]))
