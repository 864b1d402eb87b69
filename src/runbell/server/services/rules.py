"""Rules: which outcomes of which jobs and environments a destination chose."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet

from runbell.core.dbt_settings import ON as ON
from runbell.core.fields import BadField
from runbell.core.rules import Scope
from runbell.core.runs import Outcome
from runbell.server.db.models import Destination, Environment, Job, Rule, State
from runbell.server.services.access import Actor

Choices = Mapping[Outcome, Collection[int]]


@dataclass(frozen=True, slots=True)
class Boxes:
    """All that one destination chose. Rules of deleted jobs and environments do not count."""

    jobs: Choices = field(default_factory=dict)
    environments: Choices = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {**choices_json(self.jobs), "runbell_environments": choices_json(self.environments)}


def live_rules() -> QuerySet[Rule]:
    """Those that count. A rule of a deleted job or environment is kept, and counts again when that is brought back."""
    return Rule.objects.exclude(job__state=State.DELETED).exclude(environment__state=State.DELETED)


def count_rules(destinations: QuerySet[Destination]) -> Counter[int]:
    """Live rules by destination, in one query: all of them, which an index counts, and the few that have died, found by what was deleted. Asked
    of each rule whether it lives, PostgreSQL compares every rule with every other."""
    rules = Rule.objects.filter(destination__in=destinations.order_by().values("pk")).order_by().values_list("destination")
    of_gone_jobs = rules.filter(job__in=Job.objects.filter(state=State.DELETED))
    of_gone_places = rules.filter(environment__in=Environment.objects.filter(state=State.DELETED))
    dead = (found.annotate(n=Count("*") * -1) for found in (of_gone_jobs, of_gone_places))
    counts: Counter[int] = Counter()
    for destination, n in rules.annotate(n=Count("*")).union(*dead, all=True):
        counts[destination] += n
    return counts


def choices_json(choices: Choices) -> dict[str, list[int]]:
    return {name: sorted(choices.get(outcome, ())) for outcome, name in ON.items()}


def boxes_of(destination_ids: Iterable[int]) -> dict[int, Boxes]:
    """The choices of many destinations in one query."""
    chosen: dict[int, tuple[dict[Outcome, set[int]], dict[Outcome, set[int]]]] = {pk: ({}, {}) for pk in destination_ids}
    rules = live_rules().filter(destination__in=list(chosen))
    for destination_id, outcome, job_id, environment_id in rules.values_list("destination_id", "outcome", "job_id", "environment_id"):
        jobs, environments = chosen[destination_id]
        (environments if job_id is None else jobs).setdefault(Outcome(outcome), set()).add(job_id or environment_id)
    return {pk: Boxes(jobs, environments) for pk, (jobs, environments) in chosen.items()}


def replace_rules(destination: Destination, scope: Scope, wanted: Choices, *, actor: Actor, now: datetime) -> None:
    """Makes the rules of this scope for the outcomes in `wanted` exactly `wanted`; other outcomes and the other scope stay.

    A rule that stays keeps who set it and when. Raises `BadField` naming the ids that are not there. Call it in a transaction.
    """
    _refuse_strange_ids(scope, wanted, destination.account_id)
    known = live_rules().filter(destination=destination, outcome__in=list(wanted), **{f"{scope}__isnull": False})
    old = {(Outcome(outcome), target): pk for pk, outcome, target in known.values_list("pk", "outcome", f"{scope}_id")}
    new = {(outcome, target) for outcome, targets in wanted.items() for target in targets}
    known.filter(pk__in=[pk for pair, pk in old.items() if pair not in new]).delete()
    Rule.objects.bulk_create(
        Rule(destination=destination, outcome=outcome, set_by=actor.member, set_at=now, **{f"{scope}_id": target})
        for outcome, target in sorted(new - old.keys())
    )


def clear_rules(destination: Destination) -> None:
    Rule.objects.filter(destination=destination).delete()


def _refuse_strange_ids(scope: Scope, wanted: Choices, account_id: int) -> None:
    model = Job if scope is Scope.JOB else Environment
    asked = {target for targets in wanted.values() for target in targets}
    there = set(model._default_manager.filter(account=account_id, state=State.ACTIVE, pk__in=asked).values_list("pk", flat=True))
    for outcome, targets in wanted.items():
        if strange := sorted(set(targets) - there):
            field = ON[outcome] if scope is Scope.JOB else f"runbell_environments.{ON[outcome]}"
            raise BadField(field, f"there is no {scope} {', '.join(map(str, strange[:20]))} in this account")
