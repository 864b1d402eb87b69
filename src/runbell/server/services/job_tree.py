"""Selectors for Account settings › Jobs: the tree, and the page of one project, environment or job. Few queries, however many jobs."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from runbell.core.permissions import Action
from runbell.server.db.models import Environment, Job, JobAlias, Project, Run, State
from runbell.server.services.access import Actor
from runbell.server.services.job_places import FORMS, Kind, Thing, jobs_in, label, owned, place_for, rules_in
from runbell.server.services.job_settings import RESTORE_FOR
from runbell.server.services.rules import live_rules

PAGE = 500
MAX_CHOICES = 300


@dataclass(frozen=True, slots=True)
class Leaf:
    """A job. `last`: run id, outcome (empty while it runs), start; None before the first."""

    id: int
    name: str
    is_hidden: bool
    old_names: tuple[str, ...]
    rules: int
    last: tuple[int, str, datetime] | None


@dataclass(frozen=True, slots=True)
class Branch:
    """An environment and the jobs of it that are on the page; a project without any environment has no `id` here."""

    project_id: int
    project: str
    id: int | None
    name: str
    count: int
    rules: int
    jobs: tuple[Leaf, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    kind: Kind
    id: int
    label: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Tree:
    branches: tuple[Branch, ...]
    total: int
    page: int
    pages: int
    gone: tuple[Gone, ...]


@dataclass(frozen=True, slots=True)
class PlacePage:
    """`choices`: what it could be merged into (id, label), the likest names first; `is_cut` when there are more."""

    kind: Kind
    id: int
    name: str
    label: str
    is_hidden: bool
    lost_after: timedelta | None
    aliases: tuple[tuple[int, str], ...]
    runs: int
    rules: int
    jobs: int
    choices: tuple[tuple[int, str], ...]
    is_cut: bool


def job_tree(actor: Actor, *, search: str, page: int, now: datetime) -> Tree:
    actor.require(Action.MANAGE_JOBS)
    jobs = Job.objects.filter(account=actor.account_id, state=State.ACTIVE)
    if search:
        jobs = jobs.filter(Q(name__icontains=search) | Q(pk__in=JobAlias.objects.filter(name__icontains=search).values("job")))
    total = jobs.count()
    pages = max(1, -(-total // PAGE))
    page = min(max(1, page), pages)
    leaves = _leaves(jobs, page)
    branches = _branches(actor.account_id, leaves, with_empty=page == 1 and not search)
    return Tree(tuple(branches), total, page, pages, tuple(_gone(actor.account_id, now)))


def place_page(actor: Actor, kind: Kind, key: int, *, search: str = "") -> PlacePage:
    thing = place_for(actor, kind, key)
    aliases = FORMS[kind].alias.objects.filter(**{kind.value: thing}).order_by("name", "pk")
    choices = _choices(thing, kind, actor.account_id, search)
    return PlacePage(
        kind=kind,
        id=thing.pk,
        name=thing.name,
        label=label(thing),
        is_hidden=getattr(thing, "hidden_at", None) is not None,
        lost_after=getattr(thing, "lost_after", None),
        aliases=tuple(aliases.values_list("pk", "name")),
        runs=Run.objects.filter(job__in=Job.objects.filter(jobs_in(thing)), merged_into=None).count(),
        rules=live_rules().filter(rules_in(thing)).count(),
        jobs=Job.objects.filter(jobs_in(thing), state=State.ACTIVE).count(),
        choices=tuple(choices[:MAX_CHOICES]),
        is_cut=len(choices) > MAX_CHOICES,
    )


def _leaves(jobs: QuerySet[Job], page: int) -> dict[int, list[Leaf]]:
    """By environment."""
    last = Run.objects.filter(job=OuterRef("pk"), merged_into=None).order_by("-started_at", "-pk")
    ordered = jobs.order_by("environment__project__name", "environment__name", "environment", "name", "pk")
    rows = list(
        ordered.annotate(
            last_id=Subquery(last.values("pk")[:1]),
            last_outcome=Subquery(last.values("outcome")[:1]),
            last_at=Subquery(last.values("started_at")[:1]),
        )[(page - 1) * PAGE : page * PAGE]
    )
    ids = [job.pk for job in rows]
    rules = _counted("job", ids)
    old_names: dict[int, list[str]] = defaultdict(list)
    for job_id, name in JobAlias.objects.filter(job__in=ids).order_by("name").values_list("job", "name"):
        old_names[job_id].append(name)
    leaves: dict[int, list[Leaf]] = defaultdict(list)
    for job in rows:
        seen = (job.last_id, job.last_outcome or "", job.last_at) if job.last_id else None
        names = tuple(name for name in old_names[job.pk] if name != job.name)
        leaves[job.environment_id].append(Leaf(job.pk, job.name, job.hidden_at is not None, names, rules.get(job.pk, 0), seen))
    return leaves


def _branches(account_id: int, leaves: dict[int, list[Leaf]], *, with_empty: bool) -> Iterable[Branch]:
    found = Environment.objects.filter(account=account_id, state=State.ACTIVE).select_related("project")
    environments = list(found.annotate(count=Count("jobs", filter=Q(jobs__state=State.ACTIVE))))
    rules = _counted("environment", [environment.pk for environment in environments])
    branches = [
        Branch(own.project_id, own.project.name, own.pk, own.name, own.count, rules.get(own.pk, 0), tuple(leaves.get(own.pk, ())))
        for own in environments
        if own.pk in leaves or (with_empty and not own.count)
    ]
    if with_empty:
        bare = Project.objects.filter(account=account_id, state=State.ACTIVE).exclude(pk__in=[own.project_id for own in environments])
        branches += [Branch(project.pk, project.name, None, "", 0, 0, ()) for project in bare]
    return sorted(branches, key=lambda branch: (branch.project, branch.name, branch.id or 0))


def _counted(scope: str, ids: list[int]) -> dict[int, int]:
    rules = live_rules().filter(**{f"{scope}__in": ids}, destination__state=State.ACTIVE)
    return dict(rules.values(scope).annotate(n=Count("pk")).values_list(scope, "n").order_by(scope))


def _gone(account_id: int, now: datetime) -> Iterable[Gone]:
    """What can be brought back: of things deleted together only the topmost, and nothing in a place that is gone itself."""
    for kind, form in FORMS.items():
        rows = form.model.objects.filter(account=account_id, state=State.DELETED, deleted_at__gt=now - RESTORE_FOR).select_related(
            form.related
        )
        if form.owner != "account":
            rows = rows.filter(**{f"{form.owner}__state": State.ACTIVE})
        for thing in rows.order_by("-deleted_at"):
            yield Gone(kind, thing.pk, label(thing), thing.deleted_at + RESTORE_FOR)


def _choices(thing: Thing, kind: Kind, account_id: int, search: str) -> list[tuple[int, str]]:
    form = FORMS[kind]
    rows = form.model.objects.filter(account=account_id, state=State.ACTIVE).exclude(pk=thing.pk).select_related(form.related)
    if search:
        rows = rows.filter(name__icontains=search)
    likeness = SequenceMatcher()
    likeness.set_seq2(thing.name)

    def unlike(other: Any) -> tuple[float, bool, str]:
        likeness.set_seq1(other.name)
        return -likeness.quick_ratio(), owned(other) != owned(thing), label(other)

    return [(other.pk, label(other)) for other in sorted(rows, key=unlike)]
