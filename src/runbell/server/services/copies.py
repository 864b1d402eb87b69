"""Settings copied: from one address to others, or from one environment to another by equal job names. Planned, done, undone.

A plan says exactly what changes. Doing it recomputes the plan and refuses when it is no longer the one that was shown. Each copy is one
transaction with one revision and one audit entry per destination, and can be undone for 24 hours where nobody has saved since.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.core.runs import Outcome
from runbell.server.db.models import Destination, Environment, Job, Rule, SettingsCopy, State
from runbell.server.db.rules import add_rules, remove_rules
from runbell.server.services import audit
from runbell.server.services.access import Actor, NotThere, environment_for
from runbell.server.services.addresses import Directory, EmailTarget, directory, locked
from runbell.server.services.decisions import address_of
from runbell.server.services.destinations import raise_revision
from runbell.server.services.jobs import hold_account
from runbell.server.services.rules import choices_json, live_rules

UNDO_FOR = timedelta(hours=24)
RECENT = 20
Choice = tuple[int | None, int | None, str]  # job, environment, outcome


class PlanChanged(RuntimeError):
    """Something was saved since the plan was shown."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`source` is an address' key, or empty: then from `environment` to `to_environment`, of each address to itself.

    `environment` with a source: only what is set there. `to` empty with `everybody`: all addresses of the account.
    """

    source: str = ""
    environment: int | None = None
    to_environment: int | None = None
    to: tuple[str, ...] = ()
    everybody: bool = False
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """What changes for one address. Rules that are there already, and in adding those that are more, stay."""

    target: EmailTarget
    add: frozenset[Choice]
    remove: frozenset[Choice]


@dataclass(frozen=True, slots=True)
class Plan:
    """`lines`: addresses for which something changes; `same`: how many stay as they are. `unmatched`: jobs without a counterpart."""

    lines: tuple[Line, ...]
    same: int
    unmatched: tuple[str, ...]
    names: Mapping[tuple[str, int], str]

    @property
    def fingerprint(self) -> str:
        parts = [[line.target.key, line.target.revision, _listed(line.add), _listed(line.remove)] for line in self.lines]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class RecentCopy:
    id: int
    by: str
    at: datetime
    until: datetime
    addresses: int


@dataclass(frozen=True, slots=True)
class Undone:
    """`refused`: addresses whose settings were saved since, which stay as they are."""

    restored: int
    refused: tuple[str, ...]


def plan_copy(actor: Actor, wish: Wish) -> Plan:
    """Changes nothing. Raises `NotAllowed`, `NotThere`, `BadField`."""
    actor.require(Action.SET_ANY_NOTIFICATIONS)
    book = directory(actor)
    targets = _targets(book, wish)
    if not targets:
        raise BadField("to", "must name at least one address")
    if wish.source:
        return _from_address(actor, book.find(wish.source), targets, wish)
    return _from_environment(actor, targets, wish)


@transaction.atomic
def copy_settings(actor: Actor, wish: Wish, *, expect: str, now: datetime) -> SettingsCopy:
    """Does what the plan with the fingerprint `expect` says, or raises `PlanChanged` and changes nothing."""
    hold_account(actor.account_id)
    held = Destination.objects.select_for_update(no_key=True).filter(account=actor.account_id, state=State.ACTIVE)
    list(held.order_by("pk").values_list("pk"))  # from here on nobody else saves
    plan = plan_copy(actor, wish)
    if plan.fingerprint != expect or not plan.lines:
        raise PlanChanged
    before = dict(_change(line, actor, now) for line in plan.lines)
    return SettingsCopy.objects.create(account=actor.member.account, member=actor.member, at=now, before=before)


def recent_copies(actor: Actor, *, now: datetime) -> list[RecentCopy]:
    """Those that can be undone, the newest first."""
    actor.require(Action.SET_ANY_NOTIFICATIONS)
    rows = SettingsCopy.objects.filter(account=actor.account_id, undone_at=None, at__gt=now - UNDO_FOR).select_related("member__user")
    return [
        RecentCopy(
            row.pk, (row.member.user.name or row.member.user.email) if row.member else "", row.at, row.at + UNDO_FOR, len(row.before)
        )
        for row in rows.order_by("-pk")[:RECENT]
    ]


@transaction.atomic
def undo_copy(actor: Actor, copy_id: int, *, now: datetime) -> Undone:
    """Raises `NotThere` for one that is older, undone or somebody else's. Nothing at all is changed when every address is refused."""
    row = SettingsCopy.objects.select_for_update(of=("self",)).filter(account=actor.account_id, pk=copy_id).first()
    if row is None:
        raise NotThere
    actor.require(Action.SET_ANY_NOTIFICATIONS)
    if row.undone_at or row.at <= now - UNDO_FOR:
        raise NotThere
    found = Destination.objects.select_for_update(of=("self",)).select_related("member__user").filter(pk__in=list(row.before))
    restored, refused = 0, []
    for destination in found.order_by("pk"):
        change = row.before[str(destination.pk)]
        if destination.state != State.ACTIVE or destination.revision != change["revision"]:
            refused.append(address_of(destination))
            continue
        _restore(destination, change, actor, now)
        restored += 1
    if restored:
        SettingsCopy.objects.filter(pk=row.pk).update(undone_at=now)
    return Undone(restored, tuple(refused))


def _targets(book: Directory, wish: Wish) -> list[EmailTarget]:
    if wish.everybody:
        return [entry.target for entry in (*book.members, *book.externals) if entry.target.key != wish.source]
    return [book.find(key) for key in dict.fromkeys(wish.to) if key != wish.source]


def _from_address(actor: Actor, source: EmailTarget, targets: list[EmailTarget], wish: Wish) -> Plan:
    scope = Q()
    if wish.environment is not None:
        environment = environment_for(actor, wish.environment, Action.SEE_JOBS)
        scope = Q(environment=environment) | Q(job__environment=environment)
    chosen = _chosen([source, *targets], scope)
    wanted = chosen[source.key]
    return _plan([_line(target, chosen[target.key], wanted, wish.replaces) for target in targets], ())


def _from_environment(actor: Actor, targets: list[EmailTarget], wish: Wish) -> Plan:
    source = environment_for(actor, wish.environment or 0, Action.SEE_JOBS)
    target = environment_for(actor, wish.to_environment or 0, Action.SEE_JOBS)
    if source.pk == target.pk:
        raise BadField("to_environment", "must be another one")
    from_there = _chosen(targets, Q(environment=source) | Q(job__environment=source))
    here = _chosen(targets, Q(environment=target) | Q(job__environment=target))
    alike, names = _alike(source, target)
    lines = [_line(one, here[one.key], _carried(from_there[one.key], alike, target.pk), wish.replaces) for one in targets]
    used = {job for rules in from_there.values() for job, _, _ in rules if job}
    return _plan(lines, tuple(sorted(names[job] for job in used if job not in alike)))


def _alike(source: Environment, target: Environment) -> tuple[dict[int, int], dict[int, str]]:
    """Jobs of one → jobs of equal name of the other; and the names of the first."""
    there = dict(Job.objects.filter(environment=target, state=State.ACTIVE).values_list("name", "pk"))
    names = dict(Job.objects.filter(environment=source, state=State.ACTIVE).values_list("pk", "name"))
    return {pk: there[name] for pk, name in names.items() if name in there}, names


def _carried(rules: Collection[Choice], alike: Mapping[int, int], environment: int) -> frozenset[Choice]:
    jobs: set[Choice] = {(alike[job], None, outcome) for job, _, outcome in rules if job is not None and job in alike}
    return frozenset(jobs | {(None, environment, outcome) for job, _, outcome in rules if job is None})


def _chosen(targets: Iterable[EmailTarget], scope: Q) -> dict[str, frozenset[Choice]]:
    """What each address has within `scope`, by its key; one query."""
    keys = {target.destination.pk: target.key for target in targets if target.destination}
    found: dict[str, set[Choice]] = defaultdict(set)
    rules = live_rules().filter(scope, destination__in=list(keys))
    for destination, job, environment, outcome in rules.values_list("destination", "job", "environment", "outcome"):
        found[keys[destination]].add((job, environment, outcome))
    return {target.key: frozenset(found[target.key]) for target in targets}


def _line(target: EmailTarget, has: frozenset[Choice], wanted: frozenset[Choice], replaces: bool) -> Line:
    return Line(target, wanted - has, has - wanted if replaces else frozenset())


def _plan(lines: list[Line], unmatched: tuple[str, ...]) -> Plan:
    changed = tuple(line for line in lines if line.add or line.remove)
    return Plan(changed, len(lines) - len(changed), unmatched, _names(changed))


def _names(lines: Iterable[Line]) -> dict[tuple[str, int], str]:
    choices = {choice for line in lines for choice in (*line.add, *line.remove)}
    jobs = Job.objects.filter(pk__in={job for job, _, _ in choices if job}).values_list("pk", "name", "environment__name")
    environments = Environment.objects.filter(pk__in={environment for _, environment, _ in choices if environment})
    named = {("job", pk): f"{name} · {environment}" for pk, name, environment in jobs}
    return named | {("environment", pk): name for pk, name in environments.values_list("pk", "name")}


def _change(line: Line, actor: Actor, now: datetime) -> tuple[int, dict[str, Any]]:
    """The destination's id, and what an undo has to know."""
    destination = locked(line.target, actor=actor, now=now)
    if line.target.destination is None and destination.rules.exists():
        raise PlanChanged  # made and saved while we looked
    removed = _remove(destination, line.remove)
    raise_revision(destination, now)
    add_rules(destination.pk, line.add, set_by=actor.member.pk, set_at=now)
    _record(line.target.address, "notifications.copy", actor, now, before=line.remove, after=line.add)
    return destination.pk, {"revision": destination.revision, "rules": removed, "added": _listed(line.add)}


def _restore(destination: Destination, change: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    """Jobs that were merged away since have no rules any more."""
    added = {_choice(row) for row in change["added"]}
    _remove(destination, added)
    raise_revision(destination, now)
    rows = _still_there(change["rules"])
    for member in {row[3] for row in rows}:
        add_rules(destination.pk, (_choice(row) for row in rows if row[3] == member), set_by=member, set_at=now)
    _record(address_of(destination), "notifications.copy_undo", actor, now, before=added, after={_choice(row) for row in rows})


def _still_there(rows: list[list[Any]]) -> list[list[Any]]:
    merged = {"state": State.DELETED, "deleted_at": None}
    jobs = set(Job.objects.filter(pk__in={row[0] for row in rows if row[0]}, **merged).values_list("pk", flat=True))
    environments = set(Environment.objects.filter(pk__in={row[1] for row in rows if row[1]}, **merged).values_list("pk", flat=True))
    return [row for row in rows if row[0] not in jobs and row[1] not in environments]


def _remove(destination: Destination, choices: Collection[Choice]) -> list[list[Any]]:
    """What was removed, with who had set it."""
    if not choices:
        return []
    rules = Rule.objects.filter(destination=destination).values_list("pk", "job", "environment", "outcome", "set_by")
    gone = [row for row in rules if row[1:4] in choices]
    remove_rules(row[0] for row in gone)
    return [list(row[1:]) for row in gone]


def _choice(row: list[Any]) -> Choice:
    return row[0], row[1], row[2]


def _listed(choices: Iterable[Choice]) -> list[list[Any]]:
    return sorted((list(choice) for choice in choices), key=lambda row: (row[0] or 0, row[1] or 0, row[2]))


def _record(
    address: str, action: audit.Action, actor: Actor, now: datetime, *, before: Collection[Choice], after: Collection[Choice]
) -> None:
    audit.record(
        account=actor.member.account, actor=actor, action=action, subject=address, now=now, before=_facts(before), after=_facts(after)
    )


def _facts(choices: Collection[Choice]) -> dict[str, Any]:
    """Under the names of the API, without the empty ones."""
    jobs: dict[Outcome, list[int]] = defaultdict(list)
    environments: dict[Outcome, list[int]] = defaultdict(list)
    for job, environment, outcome in choices:
        if job is not None:
            jobs[Outcome(outcome)].append(job)
        elif environment is not None:
            environments[Outcome(outcome)].append(environment)
    everything = dict(_filled(choices_json(environments)))
    return {**dict(_filled(choices_json(jobs))), **({"runbell_environments": everything} if everything else {})}


def _filled(lists: Mapping[str, list[int]]) -> Iterator[tuple[str, list[int]]]:
    return ((name, ids) for name, ids in lists.items() if ids)
