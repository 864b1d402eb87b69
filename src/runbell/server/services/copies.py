"""Settings copied: from one address or Slack channel to others, or from one environment to another by equal job names. Planned and done.

A plan says exactly what changes. Doing it recomputes the plan and refuses when it is no longer the one that was shown. Each copy is one
transaction with one revision and one audit entry per destination. A Slack channel that another admin owns is taken over, as by a save.
copy_undo.py takes it all back.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.core.runs import Outcome
from runbell.server.db.models import Destination, Environment, Job, Rule, SettingsCopy, State
from runbell.server.db.rules import add_rules, remove_rules
from runbell.server.services import audit
from runbell.server.services.access import Actor, environment_for
from runbell.server.services.addresses import directory
from runbell.server.services.destinations import raise_revision
from runbell.server.services.jobs import hold_account
from runbell.server.services.rules import choices_json, live_rules
from runbell.server.services.slack_copies import slack_directory
from runbell.server.services.slack_targets import NoLink, OwnerChanged
from runbell.server.services.targets import Target

Choice = tuple[int | None, int | None, str]  # job, environment, outcome


class PlanChanged(RuntimeError):
    """Something was saved since the plan was shown."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`source` is an address' key, or empty: then from `environment` to `to_environment`, of each address to itself.

    `environment` with a source: only what is set there. `to` empty with `everybody`: all addresses of the account.
    `is_slack`: the source is a Slack channel, and so are all others.
    """

    source: str = ""
    environment: int | None = None
    to_environment: int | None = None
    to: tuple[str, ...] = ()
    everybody: bool = False
    replaces: bool = False
    is_slack: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """What changes for one address. Rules that are there already, and in adding those that are more, stay."""

    target: Target
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
        parts = [[line.target.key, line.target.revision, _owner(line), listed(line.add), listed(line.remove)] for line in self.lines]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def plan_copy(actor: Actor, wish: Wish) -> Plan:
    """Changes nothing. Raises `NotAllowed`, `NotThere`, `BadField`."""
    actor.require(Action.SET_ANY_NOTIFICATIONS)
    source, targets = _slack_ends(actor, wish) if wish.is_slack else _ends(actor, wish)
    if not targets:
        raise BadField("to", "must name at least one address")
    return _from_address(actor, source, targets, wish) if source else _from_environment(actor, targets, wish)


@transaction.atomic
def copy_settings(actor: Actor, wish: Wish, *, expect: str, now: datetime) -> SettingsCopy:
    """Does what the plan with the fingerprint `expect` says, or raises `PlanChanged` and changes nothing."""
    hold_account(actor.account_id)
    held = Destination.objects.select_for_update(no_key=True).filter(account=actor.account_id, state=State.ACTIVE)
    list(held.order_by("pk").values_list("pk"))  # from here on nobody else saves
    plan = plan_copy(actor, wish)
    if plan.fingerprint != expect or not plan.lines:
        raise PlanChanged
    try:
        before = dict(_change(line, actor, now) for line in plan.lines)
    except (NoLink, OwnerChanged):
        raise PlanChanged from None
    return SettingsCopy.objects.create(account=actor.member.account, member=actor.member, at=now, before=before)


def _ends(actor: Actor, wish: Wish) -> tuple[Target | None, list[Target]]:
    book = directory(actor)
    if wish.everybody:
        targets = [entry.target for entry in (*book.members, *book.externals) if entry.target.key != wish.source]
    else:
        targets = [book.find(key) for key in dict.fromkeys(wish.to) if key != wish.source]
    return book.find(wish.source) if wish.source else None, [*targets]


def _slack_ends(actor: Actor, wish: Wish) -> tuple[Target, list[Target]]:
    """All: those that the actor may set."""
    book = slack_directory(actor)
    if wish.everybody:
        targets = [target for target in book.all_writable if target.key != wish.source]
    else:
        targets = [book.writable(key) for key in dict.fromkeys(wish.to) if key != wish.source]
    return book.find(wish.source).target, [*targets]


def _from_address(actor: Actor, source: Target, targets: list[Target], wish: Wish) -> Plan:
    scope = Q()
    if wish.environment is not None:
        environment = environment_for(actor, wish.environment, Action.SEE_JOBS)
        scope = Q(environment=environment) | Q(job__environment=environment)
    chosen = _chosen([source, *targets], scope)
    wanted = chosen[source.key]
    return _plan([_line(target, chosen[target.key], wanted, wish.replaces) for target in targets], ())


def _from_environment(actor: Actor, targets: list[Target], wish: Wish) -> Plan:
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


def _chosen(targets: Iterable[Target], scope: Q) -> dict[str, frozenset[Choice]]:
    """What each address has within `scope`, by its key; one query."""
    keys = {target.destination.pk: target.key for target in targets if target.destination}
    found: dict[str, set[Choice]] = defaultdict(set)
    rules = live_rules().filter(scope, destination__in=list(keys))
    for destination, job, environment, outcome in rules.values_list("destination", "job", "environment", "outcome"):
        found[keys[destination]].add((job, environment, outcome))
    return {target.key: frozenset(found[target.key]) for target in targets}


def _line(target: Target, has: frozenset[Choice], wanted: frozenset[Choice], replaces: bool) -> Line:
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


def _owner(line: Line) -> int | None:
    return line.target.destination.link_id if line.target.destination else None


def _change(line: Line, actor: Actor, now: datetime) -> tuple[int, dict[str, Any]]:
    """The destination's id, and what an undo has to know. `link`: of the owner of a Slack channel, before."""
    held, owner = line.target.hold(actor=actor, now=now), _owner(line)
    destination = held.destination
    if line.target.destination is None and destination.rules.exists():
        raise PlanChanged  # made and saved while we looked
    removed = remove(destination, line.remove)
    raise_revision(destination, now)
    add_rules(destination.pk, line.add, set_by=actor.member.pk, set_at=now)
    before, after = {**held.before, **facts(line.remove)}, {**held.after, **facts(line.add)}
    record(line.target.subject, "notifications.copy", actor, now, before=before, after=after)
    kept = {"revision": destination.revision, "rules": removed, "added": listed(line.add), "kind": destination.kind, "link": owner}
    return destination.pk, kept


def remove(destination: Destination, choices: Collection[Choice]) -> list[list[Any]]:
    """What was removed, with who had set it."""
    if not choices:
        return []
    rules = Rule.objects.filter(destination=destination).values_list("pk", "job", "environment", "outcome", "set_by")
    gone = [row for row in rules if row[1:4] in choices]
    remove_rules(row[0] for row in gone)
    return [list(row[1:]) for row in gone]


def listed(choices: Iterable[Choice]) -> list[list[Any]]:
    return sorted((list(choice) for choice in choices), key=lambda row: (row[0] or 0, row[1] or 0, row[2]))


def record(subject: str, action: audit.Action, actor: Actor, now: datetime, *, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    audit.record(account=actor.member.account, actor=actor, action=action, subject=subject, now=now, before=before, after=after)


def facts(choices: Collection[Choice]) -> dict[str, Any]:
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
