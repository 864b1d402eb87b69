"""Saving changed boxes of the matrix: one transaction, one revision, one audit entry, or nothing at all."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from runbell.core.cells import ALL_JOBS, Box, Cell, Conflict, Merge, Stored, merge
from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Destination, Environment, Job, Rule, State
from runbell.server.db.rules import add_rules, remove_rules
from runbell.server.services import audit
from runbell.server.services.access import Actor, environment_for
from runbell.server.services.destinations import raise_revision
from runbell.server.services.rules import ON, choices_json
from runbell.server.services.targets import Held, Target


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """Who saved last, and when; `who` is empty when it was no member, such as a link in a mail."""

    who: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Saved:
    """`changed` counts boxes. `meanwhile`: somebody else had saved since the form was made, and nothing of theirs was touched.

    `is_taken`: the destination is the actor's now, and was not before.
    """

    changed: int
    meanwhile: Meanwhile | None
    is_taken: bool = False


class Clash(RuntimeError):
    """Somebody else saved meanwhile and meant something else for these boxes. Nothing is saved."""

    def __init__(self, conflicts: tuple[Conflict, ...], revision: int, meanwhile: Meanwhile | None) -> None:
        super().__init__(f"{len(conflicts)} boxes differ")
        self.conflicts, self.revision, self.meanwhile = conflicts, revision, meanwhile


@transaction.atomic
def save_cells(target: Target, environment_id: int, cells: Sequence[Cell], *, revision: int, actor: Actor, now: datetime) -> Saved:
    """`revision` is the form's. Twice is as once. Raises `NotThere`, `BadField`, `Clash` and what the target does; then nothing is changed."""
    target.require_save(actor)
    environment = environment_for(actor, environment_id, Action.SEE_JOBS)
    held = target.hold(actor=actor, now=now)
    destination = held.destination
    rules = _rules(destination, environment)
    merged = merge(cells, Stored(_jobs(cells, environment), frozenset(rules)))
    is_stale = destination.revision != revision
    if merged.conflicts:
        raise Clash(merged.conflicts, destination.revision, _last_save(destination, target))
    if not (merged.add or merged.remove or held.after):
        return Saved(0, None)
    meanwhile = _last_save(destination, target) if is_stale and revision else None
    raise_revision(destination, now)
    _apply(destination, environment, merged, rules, actor, now)
    _record(target, held, environment, merged, actor, now)
    return Saved(len(merged.add) + len(merged.remove), meanwhile, is_taken=bool(held.after))


def _rules(destination: Destination, environment: Environment) -> dict[Box, int]:
    """Every rule here, by its box."""
    rows = Rule.objects.filter(Q(job__environment=environment) | Q(environment=environment), destination=destination)
    return {(job_id or ALL_JOBS, Outcome(outcome)): pk for pk, job_id, outcome in rows.values_list("pk", "job_id", "outcome")}


def _jobs(cells: Sequence[Cell], environment: Environment) -> frozenset[int]:
    """The active jobs here. One that was deleted or merged away is gone; one of anywhere else never was here: `BadField`."""
    states = dict(Job.objects.filter(environment=environment).values_list("pk", "state"))
    if strange := sorted({cell.line for cell in cells} - states.keys() - {ALL_JOBS}):
        raise BadField("cells", f"there is no job {', '.join(map(str, strange[:20]))} in this environment")
    return frozenset(pk for pk, state in states.items() if state == State.ACTIVE)


def _apply(destination: Destination, environment: Environment, merged: Merge, rules: dict[Box, int], actor: Actor, now: datetime) -> None:
    if merged.remove:
        remove_rules(rules[box] for box in merged.remove)
    if merged.add:
        rows = ((None, environment.pk, outcome) if line == ALL_JOBS else (line, None, outcome) for line, outcome in merged.add)
        add_rules(destination.pk, rows, set_by=actor.member.pk, set_at=now)


def _record(target: Target, held: Held, environment: Environment, merged: Merge, actor: Actor, now: datetime) -> None:
    """Only what changed, under the names of the API."""
    audit.record(
        account=actor.member.account,
        actor=actor,
        action="notifications.update",
        subject=target.subject,
        now=now,
        before={**held.before, **_facts(merged.remove, environment)},
        after={**held.after, **_facts(merged.add, environment)},
    )


def _facts(boxes: Sequence[Box], environment: Environment) -> dict[str, Any]:
    jobs: dict[Any, list[int]] = defaultdict(list)
    for line, outcome in boxes:
        if line != ALL_JOBS:
            jobs[outcome].append(line)
    everything = [ON[outcome] for line, outcome in boxes if line == ALL_JOBS]
    return {
        "environment": f"{environment.name} · {environment.project.name}",
        **{name: ids for name, ids in choices_json(jobs).items() if ids},
        **({"runbell_environments": {name: [environment.pk] for name in everything}} if everything else {}),
    }


def _last_save(destination: Destination, target: Target) -> Meanwhile | None:
    """From the audit log, which knows by whom."""
    saves = Q(action__startswith="notifications.") | Q(action__startswith="email.")
    entry = AuditEntry.objects.filter(saves, account=destination.account_id, subject=target.subject).select_related("member__user")
    last = entry.order_by("-at", "-pk").first()
    if last is None:
        return None
    return Meanwhile((last.member.user.name or last.member.user.email) if last.member else "", last.at)
