"""Merging: a job, environment or project goes into another of its account, under whose name it then reports.

runs move · rules move, those that both have stay once · receipts keep their rule · old names become aliases · what is left is state 2

An environment's jobs go into the jobs of equal name, the others move; a project's environments likewise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F

from runbell.server.db.models import (
    Destination,
    Environment,
    EnvironmentAlias,
    Job,
    JobAlias,
    Member,
    Project,
    ProjectAlias,
    Receipt,
    Rule,
    Run,
    State,
    Token,
)
from runbell.server.services import audit
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.job_places import Kind, Thing, chunks, held_place_for, jobs_in, label, place_for, rules_in
from runbell.server.services.rules import live_rules


@dataclass(frozen=True, slots=True)
class Merging:
    """What goes where. `alike`: how many jobs of the source go into a job of the target; `others`: how many just move."""

    kind: Kind
    source: str
    target: str
    runs: int
    rules: int
    alike: int
    others: int


def merging(actor: Actor, kind: Kind, source_id: int, target_id: int) -> Merging:
    """What a merge would do. Raises `NotThere`, `NotAllowed`."""
    return _merging(kind, *_pair(actor, kind, source_id, target_id))


@transaction.atomic
def merge(actor: Actor, kind: Kind, source_id: int, target_id: int, *, now: datetime) -> Merging:
    """Raises `NotThere` when one of the two is gone, then nothing is changed."""
    held_place_for(actor, kind, source_id)
    source, target = _pair(actor, kind, source_id, target_id)
    done = _merging(kind, source, target)
    merge_into(source, target, now=now)
    before = {"name": done.source, "runs": done.runs, "rules": done.rules}
    account, action = actor.member.account, audit.ACTIONS[f"{kind}.merge"]
    audit.record(account=account, actor=actor, action=action, subject=done.source, now=now, before=before, after={"into": done.target})
    return done


def merge_into(source: Thing, target: Thing, *, now: datetime) -> None:
    """For callers that hold the account, in a transaction."""
    if isinstance(source, Job) and isinstance(target, Job):
        _merge_jobs({source.pk: target.pk}, now)
    elif isinstance(source, Environment) and isinstance(target, Environment):
        _merge_environments(source, target, now)
    elif isinstance(source, Project) and isinstance(target, Project):
        _merge_projects(source, target, now)


def _pair(actor: Actor, kind: Kind, source_id: int, target_id: int) -> tuple[Thing, Thing]:
    if source_id == target_id:
        raise NotThere
    return place_for(actor, kind, source_id), place_for(actor, kind, target_id)


def _merging(kind: Kind, source: Thing, target: Thing) -> Merging:
    jobs = Job.objects.filter(jobs_in(source), state=State.ACTIVE).count()
    alike = 1 if kind is Kind.JOB else _count_alike(source, target)
    return Merging(
        kind=kind,
        source=label(source),
        target=label(target),
        runs=Run.objects.filter(job__in=Job.objects.filter(jobs_in(source)), merged_into=None).count(),
        rules=live_rules().filter(rules_in(source)).count(),
        alike=alike,
        others=jobs - alike,
    )


def _count_alike(source: Thing, target: Thing) -> int:
    if isinstance(source, Environment) and isinstance(target, Environment):
        return len(_alike(source, target))
    pairs = _alike_environments(source, target)
    return sum(len(_alike(one, other)) for one, other in pairs)


def _merge_projects(source: Project, target: Project, now: datetime) -> None:
    for environment, other in _alike_environments(source, target):
        _merge_environments(environment, other, now)
    Environment.objects.filter(project=source).update(project=target)
    taken = Environment.objects.filter(project=target, state=State.ACTIVE).values("name")
    EnvironmentAlias.objects.filter(project=source, name__in=taken).delete()
    EnvironmentAlias.objects.filter(project=source, name__in=EnvironmentAlias.objects.filter(project=target).values("name")).delete()
    EnvironmentAlias.objects.filter(project=source).update(project=target)
    Token.objects.filter(project=source).update(project=target)
    ProjectAlias.objects.filter(project=source).update(project=target)
    if source.name != target.name:
        ProjectAlias.objects.update_or_create(
            account_id=source.account_id, name=source.name, defaults={"project": target, "created_at": now}
        )
    Project.objects.filter(pk=source.pk).update(state=State.DELETED, deleted_at=None)


def _merge_environments(source: Environment, target: Environment, now: datetime) -> None:
    _merge_jobs(_alike(source, target), now)
    Job.objects.filter(environment=source).update(environment=target)
    # A name in use in the target comes before an alias that reports to the source used.
    taken = Job.objects.filter(environment=target, state=State.ACTIVE).values("name")
    JobAlias.objects.filter(environment=source, name__in=taken).delete()
    JobAlias.objects.filter(environment=source, name__in=JobAlias.objects.filter(environment=target).values("name")).delete()
    JobAlias.objects.filter(environment=source).update(environment=target)
    _touch(_join_rules("environment", {source.pk: target.pk}), now)
    Member.objects.filter(last_environment=source).update(last_environment=target)
    EnvironmentAlias.objects.filter(environment=source).update(environment=target)
    if (source.project_id, source.name) != (target.project_id, target.name):
        made = {"environment": target, "created_at": now}
        EnvironmentAlias.objects.update_or_create(project_id=source.project_id, name=source.name, defaults=made)
    Environment.objects.filter(pk=source.pk).update(state=State.DELETED, deleted_at=None)


def _merge_jobs(pairs: Mapping[int, int], now: datetime) -> None:
    """`pairs`: source → target, none of them both. Their rows are held, so that whoever records a run for one waits and looks again."""
    held = Job.objects.select_for_update(no_key=True).filter(pk__in=[*pairs, *pairs.values()]).order_by("pk")
    sources = [job for job in held if job.pk in pairs]
    for job in sources:
        Run.objects.filter(job=job).update(job=pairs[job.pk])
        JobAlias.objects.filter(job=job).update(job=pairs[job.pk])
    names = [JobAlias(environment_id=job.environment_id, name=job.name, job_id=pairs[job.pk], created_at=now) for job in sources]
    JobAlias.objects.bulk_create(names, update_conflicts=True, unique_fields=["environment", "name"], update_fields=["job"])
    _touch(_join_rules("job", pairs), now)
    for ids in chunks(list(pairs)):
        Job.objects.filter(pk__in=ids).update(state=State.DELETED, deleted_at=None, hidden_at=None)


def _join_rules(scope: str, pairs: Mapping[int, int]) -> set[int]:
    """Moves the rules; of two that say the same the target's stays, and receipts of the other point at it. Returns whose they were."""
    kept: dict[tuple[int, str, int], int] = {}
    moved: dict[int, list[int]] = {}
    doubles: dict[int, int] = {}
    affected: set[int] = set()
    rules = [row for ids in chunks([*pairs.values(), *pairs]) for row in _rules(scope, ids)]
    for pk, destination, outcome, place in sorted(rules, key=lambda rule: (rule[3] in pairs, rule[0])):
        chosen = (destination, outcome, pairs.get(place, place))
        same = kept.setdefault(chosen, pk)
        if place not in pairs:
            continue
        affected.add(destination)
        if same == pk:
            moved.setdefault(pairs[place], []).append(pk)
        else:
            doubles[pk] = same
    _drop_doubles(doubles)
    for target, pks in moved.items():
        for ids in chunks(pks):
            Rule.objects.filter(pk__in=ids).update(**{scope: target})
    return affected


def _rules(scope: str, ids: list[int]) -> list[tuple[int, int, str, int]]:
    found = Rule.objects.filter(**{f"{scope}__in": ids})
    return list(found.values_list("pk", "destination_id", "outcome", f"{scope}_id"))


def _drop_doubles(doubles: Mapping[int, int]) -> None:
    for ids in chunks(list(doubles)):
        receipts = list(Receipt.objects.filter(rule__in=ids).only("pk", "rule_id"))
        for receipt in receipts:
            receipt.rule_id = doubles[receipt.rule_id or 0]
        Receipt.objects.bulk_update(receipts, ["rule"], batch_size=200)
        Rule.objects.filter(pk__in=ids).delete()


def _touch(destinations: set[int], now: datetime) -> None:
    """A form opened before learns that the rules it shows have changed."""
    for ids in chunks(sorted(destinations)):
        Destination.objects.filter(pk__in=ids).update(revision=F("revision") + 1, updated_at=now)


def _alike(source: Environment, target: Environment) -> dict[int, int]:
    """Jobs of the source → the job of the target that reports with the same name go to."""
    aliases = JobAlias.objects.filter(environment=target, job__state=State.ACTIVE).exclude(job__environment=source)
    there = dict(aliases.values_list("name", "job"))
    there |= dict(Job.objects.filter(environment=target, state=State.ACTIVE).values_list("name", "pk"))
    jobs = Job.objects.filter(environment=source, state=State.ACTIVE).values_list("pk", "name")
    return {pk: there[name] for pk, name in jobs if name in there}


def _alike_environments(source: Thing, target: Thing) -> list[tuple[Environment, Environment]]:
    aliases = EnvironmentAlias.objects.filter(project=target.pk, environment__state=State.ACTIVE).exclude(environment__project=source.pk)
    there = {alias.name: alias.environment for alias in aliases.select_related("environment__project")}
    there |= {environment.name: environment for environment in _environments(target)}
    return [(one, there[one.name]) for one in _environments(source) if one.name in there]


def _environments(project: Thing) -> list[Environment]:
    return list(Environment.objects.filter(project=project.pk, state=State.ACTIVE).select_related("project"))
