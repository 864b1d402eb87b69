"""Selectors for the home page: all jobs are counted, a bounded number is shown in full; a fixed number of queries.

heads (every job: how it is) ─> counts, filter, search ─> what is shown ─> runs, ears and trouble of those alone
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Q, Subquery

from runbell.core.permissions import Action
from runbell.core.rules import Scope
from runbell.server.db.ids import Ids
from runbell.server.db.models import Environment, Job, Receipt, Rule, Run, State
from runbell.server.services.access import Actor
from runbell.server.services.hearing import ears
from runbell.server.services.job_pages import FAILS, JobLine, broken_nodes, last_runs
from runbell.server.services.pauses import Pause, pause_of

LIMIT = 500  # lines of jobs on one page
FEWEST = 5  # of each environment, when not all fit
TOP = 10  # failing and running jobs listed above the table

Ears = dict[int, tuple[int, int]]
"""By id, how many destinations get messages: of any outcome, and of failures."""
NOBODY = (0, 0)


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of every job. `outcome`: how it ended the last time, empty if it never has."""

    id: int
    name: str
    environment_id: int
    outcome: str
    is_running: bool
    is_heard: bool  # a failure reaches somebody
    paused_until: datetime | None


@dataclass(frozen=True, slots=True)
class Wish:
    """What of all jobs to show. `show`: a word of `FILTERS`; `after`: only those behind this job, in one environment."""

    show: str = "all"
    search: str = ""
    environment: int | None = None
    after: int | None = None

    def fits(self, head: Head) -> bool:
        words = self.search.casefold().split()
        name = head.name.casefold()
        return FILTERS[self.show](head) and all(word in name for word in words) and self.environment in (None, head.environment_id)


FILTERS: Mapping[str, Callable[[Head], bool]] = {
    "all": lambda _: True,
    "failing": lambda head: head.outcome == FAILS,
    "warned": lambda head: head.outcome == "warned",
    "running": lambda head: head.is_running,
    "deaf": lambda head: not head.is_heard,
    "paused": lambda head: head.paused_until is not None,
}


@dataclass(frozen=True, slots=True)
class Group:
    """An environment. `counts` are of all its jobs, by outcome and ``running``; `matching` fit the wish, `lines` are shown."""

    id: int
    environment: str
    project: str
    jobs: int
    counts: Mapping[str, int]
    pause: Pause | None
    matching: int
    lines: tuple[JobLine, ...]

    @property
    def after(self) -> int | None:
        """The job behind which more follow."""
        return self.lines[-1].id if self.lines else None


@dataclass(frozen=True, slots=True)
class Home:
    """`counts` by filter word, of all jobs; `well`: how many succeeded the last time they ended."""

    counts: Mapping[str, int]
    well: int
    failing: tuple[JobLine, ...]
    running: tuple[JobLine, ...]
    groups: tuple[Group, ...]

    @property
    def shown(self) -> int:
        return sum(len(group.lines) for group in self.groups)


def home_page(actor: Actor, wish: Wish, *, now: datetime) -> Home | None:
    """None while there is no job at all."""
    actor.require(Action.SEE_JOBS)
    places = _places(actor.account_id)
    hearing, whole = _hearing(actor.account_id)
    heads = _heads(actor.account_id, places, hearing, whole, now)
    if not heads:
        return None
    failing = [head for head in heads if FILTERS["failing"](head)]
    running = [head for head in heads if FILTERS["running"](head)]
    shown = _share([head for head in heads if wish.fits(head)], wish.after)
    picked = [head for group in shown.values() for head in group[0]]
    lines = _lines(hearing, [*picked, *failing[:TOP], *running[:TOP]], places, whole)
    return Home(
        counts={word: sum(map(fits, heads)) for word, fits in FILTERS.items()},
        well=sum(head.outcome == "succeeded" for head in heads),
        failing=tuple(_with_trouble([lines[head.id] for head in failing[:TOP]])),
        running=tuple(lines[head.id] for head in running[:TOP]),
        groups=tuple(_groups(heads, shown, lines, places, now)),
    )


def _places(account_id: int) -> dict[int, Environment]:
    found = Environment.objects.filter(account=account_id, state=State.ACTIVE).select_related("project", "paused_by__user")
    return {place.pk: place for place in found}


def _heads(account_id: int, places: Mapping[int, Environment], hearing: Ids, whole: Ears, now: datetime) -> list[Head]:
    """Every job that is listed, by project, environment and name; `whole` are the environments' ears. Indexes answer each job's subqueries."""
    runs = Run.objects.filter(job=OuterRef("pk"), merged_into=None).order_by("-started_at")
    rules = Rule.objects.filter(job=OuterRef("pk"), outcome=FAILS, destination__in=hearing)
    rows = (
        Job.objects.filter(account=account_id, state=State.ACTIVE, hidden_at=None)
        .annotate(last=Subquery(runs.values("outcome")[:1]), ended=Subquery(runs.exclude(outcome="").values("outcome")[:1]))
        .annotate(is_heard=Exists(rules))
        .values_list("pk", "name", "environment_id", "last", "ended", "is_heard", "paused_until")
    )
    heads = [
        Head(
            pk,
            name,
            place,
            outcome=ended or "",
            is_running=last == "",
            is_heard=is_heard or whole.get(place, NOBODY)[1] > 0,
            paused_until=_latest(until, places[place].paused_until, now),
        )
        for pk, name, place, last, ended, is_heard, until in rows
        if place in places
    ]
    return sorted(heads, key=lambda head: (*_order(places[head.environment_id]), head.name.casefold(), head.id))


def _order(place: Environment) -> tuple[str, str, int]:
    return place.project.name.casefold(), place.name.casefold(), place.pk


def _latest(own: datetime | None, whole: datetime | None, now: datetime) -> datetime | None:
    return max((until for until in (own, whole) if until and until > now), default=None)


def _share(heads: Sequence[Head], after: int | None) -> dict[int, tuple[list[Head], int]]:
    """Heads to show by environment, and how many fit: all if the page holds them, else some of each as long as there is room."""
    groups = {place: list(found) for place, found in groupby(heads, lambda head: head.environment_id)}
    each = LIMIT if len(heads) <= LIMIT or len(groups) == 1 else max(FEWEST, LIMIT // len(groups))
    room, shown = LIMIT, {}
    for place, found in groups.items():
        start = next((n for n, head in enumerate(found, start=1) if head.id == after), 0)
        part = found[start : start + min(each, room)]
        room -= len(part)
        shown[place] = (part, len(found) - start)
    return shown


def _groups(
    heads: Iterable[Head],
    shown: Mapping[int, tuple[list[Head], int]],
    lines: Mapping[int, JobLine],
    places: Mapping[int, Environment],
    now: datetime,
) -> Iterable[Group]:
    for place, found in groupby(heads, lambda head: head.environment_id):
        if place in shown:
            jobs = list(found)
            part, matching = shown[place]
            counts = Counter("running" if head.is_running else head.outcome for head in jobs)
            named = places[place]
            pause = pause_of(named, Scope.ENVIRONMENT, now)
            part_lines = tuple(lines[head.id] for head in part)
            yield Group(place, named.name, named.project.name, len(jobs), counts, pause, matching, part_lines)


def _lines(hearing: Ids, heads: Sequence[Head], places: Mapping[int, Environment], whole: Ears) -> dict[int, JobLine]:
    """Three queries for the lines in full."""
    by_id = {head.id: head for head in heads}
    runs = last_runs(Q(pk__in=list(by_id)))
    own = _job_ears(hearing, by_id)
    lines = {}
    for head in by_id.values():
        place = places[head.environment_id]
        of_all, of_it = whole.get(place.pk, NOBODY), own.get(head.id, NOBODY)
        lines[head.id] = JobLine(
            id=head.id,
            name=head.name,
            environment=place.name,
            project=place.project.name,
            environment_id=place.pk,
            runs=tuple(runs.get(head.id, ())),
            hears=of_all[0] + of_it[0],
            hears_failure=of_all[1] + of_it[1],
            paused_until=head.paused_until,
        )
    broken = broken_nodes(line.last_ended.id for line in lines.values() if line.last_ended and line.outcome == FAILS)
    return {pk: replace(line, gist=_gist(line, broken)) for pk, line in lines.items()}


def _gist(line: JobLine, broken: Mapping[int, list[tuple[str, str]]]) -> tuple[str, str]:
    return broken.get(line.last_ended.id, [("", "")])[0] if line.last_ended else ("", "")


def _hearing(account_id: int) -> tuple[Ids, Ears]:
    """Who gets messages now, and of each environment how many of them hear of all its jobs; one query."""
    wide = FilteredRelation("rules", condition=Q(rules__environment__isnull=False))
    rows = list(ears(account_id).annotate(wide=wide).values_list("pk", "wide__environment", "wide__outcome"))
    some = Counter(place for _, place in {(pk, place) for pk, place, _ in rows})
    failures = Counter(place for _, place, outcome in rows if outcome == FAILS)
    return Ids({pk for pk, _, _ in rows}), {place: (some[place], failures[place]) for place in some}


def _job_ears(hearing: Ids, jobs: Iterable[int]) -> Ears:
    """Of each job those who hear of it beside whoever hears of all. Counted in the database: they may be many."""
    whole = Rule.objects.filter(environment=OuterRef("job__environment"), destination=OuterRef("destination"))
    fails = Q(outcome=FAILS)
    rules = Rule.objects.filter(job__in=list(jobs), destination__in=hearing).order_by()
    counted = rules.values_list("job").annotate(
        some=Count("destination", distinct=True, filter=~Q(Exists(whole))),
        failures=Count("pk", filter=fails & ~Q(Exists(whole.filter(fails)))),
    )
    return {job: (some, failures) for job, some, failures in counted}


def _with_trouble(lines: Collection[JobLine]) -> Iterable[JobLine]:
    """How many were told of the last failure of each."""
    failures = [line.last_ended.id for line in lines if line.last_ended]
    told = dict(
        Receipt.objects.filter(run__in=failures, is_told=True)
        .values("run")
        .annotate(n=Count("pk"))
        .values_list("run", "n")
        .order_by(F("run"))
    )
    return [replace(line, told=told.get(line.last_ended.id, 0)) if line.last_ended else line for line in lines]
