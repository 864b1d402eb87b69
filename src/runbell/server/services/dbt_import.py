"""Carrying jobs and notification settings over from the dbt platform, in small transactions: one that broke off is carried on by the next.

places, a hundred jobs at a time ─> the plan made anew, all of them known ─> a hundred recipients at a time ─> Slack channels adopted

The account of the dbt platform is kept as one that is not connected: connecting it later finds its jobs.
"""

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import F, Q

from runbell.core.dbt_settings import Box, Way
from runbell.core.rules import Scope
from runbell.core.runs import Outcome
from runbell.server.db.models import Account, AuditEntry, DbtPlatform, Destination, Member, SlackWorkspace, State
from runbell.server.db.rules import add_rules_of_many
from runbell.server.services import audit, confirmations
from runbell.server.services.access import Actor
from runbell.server.services.dbt_mirror import mirror
from runbell.server.services.dbt_plans import EMAIL, SCOPES, Line, Mine, Plan, flat, identity_of, make_plan
from runbell.server.services.dbt_source import Source, Tell
from runbell.server.services.job_places import Kind
from runbell.server.services.joining import join_many, members_by_email
from runbell.server.services.rules import Boxes, boxes_of
from runbell.server.services.slack_targets import SLACK, waiting_key
from runbell.server.services.slack_waiting import adopt_waiting
from runbell.server.services.trust import awaits_confirmation

AT_ONCE = 100

Thing = TypeVar("Thing")


def carry_over(source: Source, *, admin: Member, now: datetime, tell: Tell) -> Plan:
    """What was done. `admin` stands for it where a rule or an address names who set it."""
    account = admin.account
    _carry_places(source, account, now, tell)
    plan = make_plan(source, account)
    lines = [line for line in plan.lines if line.adds]
    for done, chunk in _chunks(lines):
        _write(chunk, plan, admin, now)
        tell(f"settings: {done:,} of {len(lines):,} carried over")
    with transaction.atomic():
        for workspace in SlackWorkspace.objects.filter(account=account).defer("token", "refresh_token").order_by("pk"):
            adopt_waiting(workspace, now=now)
    return plan


def _chunks(things: Sequence[Thing]) -> Iterator[tuple[int, Sequence[Thing]]]:
    """With how many there have been."""
    for start in range(0, len(things), AT_ONCE):
        yield min(start + AT_ONCE, len(things)), things[start : start + AT_ONCE]


def _carry_places(source: Source, account: Account, now: datetime, tell: Tell) -> None:
    projects, environments, jobs = (source.places[kind] for kind in Kind)
    platform = identity_of(source, account) or _identity(source, account, now)
    mirror(platform, projects, environments, {}, now=now)
    for done, chunk in _chunks(list(jobs)):
        mirror(platform, projects, environments, {key: jobs[key] for key in chunk}, now=now)
        tell(f"jobs: {done:,} of {len(jobs):,} looked through")


def _identity(source: Source, account: Account, now: datetime) -> DbtPlatform:
    """As one that was removed: without secrets, and never asked."""
    facts = {"created_at": now, "updated_at": now, "removed_at": now}
    return DbtPlatform.objects.get_or_create(account=account, url=source.url, external_id=source.external_id, defaults=facts)[0]


@transaction.atomic
def _write(lines: Sequence[Line], plan: Plan, admin: Member, now: datetime) -> None:
    """Each with its boxes, or none of them. What somebody else saved meanwhile stays, and boxes add up.

    A fixed number of statements. Two imports at once make one of everything: the database lets one of them through.
    """
    account = admin.account
    people = {line.key: line.person for line in lines if line.way is Way.MEMBER and line.person}
    members = join_many(account, {email: (one.name, one.role) for email, one in people.items()}, now=now)
    makers = members_by_email(account, [line.by.email for line in lines if line.by])
    wanted = [_wanted(line, members, makers, admin, now) for line in lines]
    there = _hold(wanted, account)
    known = boxes_of(row.pk for row in there)
    rules: list[tuple[int, int | None, int | None, str]] = []
    entries: list[AuditEntry] = []
    for line, row, made in zip(lines, there, wanted, strict=True):
        before, after = set(flat(known[row.pk])), _ours(line.boxes, plan.here)
        rules += [_row(row.pk, box) for box in sorted(after - before)]
        entries.append(_entry(line, before, before | after, account, now, is_new=row.public_id == made.public_id))
    add_rules_of_many(rules, set_by=admin.pk, set_at=now)
    AuditEntry.objects.bulk_create(entries)
    _finish(there, {made.public_id for made in wanted}, admin, now)


def _wanted(line: Line, members: Mapping[str, Member], makers: Mapping[str, Member], admin: Member, now: datetime) -> Destination:
    """As it is made when it is not there."""
    maker = makers.get(line.by.email, admin) if line.by else admin
    made = Destination(
        account=admin.account, kind=EMAIL, created_by=maker, public_id=secrets.token_urlsafe(16), created_at=now, updated_at=now
    )
    if line.way is Way.MEMBER:
        made.member = line.member or members[line.key]
    elif line.way is Way.EXTERNAL:
        made.address, made.address_key = line.address, line.key
        made.confirmed_at = None if awaits_confirmation(made) else now
    else:
        made.kind, made.address, made.settings = SLACK, line.address, {"channel_id": line.key}
        made.address_key = line.destination.address_key if line.destination else waiting_key(line.key)
    return made


def _hold(wanted: Sequence[Destination], account: Account) -> list[Destination]:
    """Those that are there, and new ones for the others; all of them locked."""
    Destination.objects.bulk_create(wanted, ignore_conflicts=True)
    mine = Q(member__in=[row.member_id for row in wanted if row.member_id]) | Q(
        address_key__in=[row.address_key for row in wanted if row.address_key]
    )
    rows = Destination.objects.select_for_update(of=("self",)).filter(mine, account=account, kind__in=(EMAIL, SLACK), state=State.ACTIVE)
    found = {_identity_of(row): row for row in rows.defer("secret").order_by("pk")}
    return [found[_identity_of(row)] for row in wanted]


def _identity_of(row: Destination) -> tuple[str, int | None, str]:
    return row.kind, row.member_id, row.address_key


def _finish(there: Sequence[Destination], made: Collection[str], admin: Member, now: datetime) -> None:
    """A save of those that were there already; a question to the holders of new addresses, where that is wanted."""
    old = [row.pk for row in there if row.public_id not in made]
    Destination.objects.filter(pk__in=old).update(revision=F("revision") + 1, updated_at=now)
    for row in there:
        if row.public_id in made and awaits_confirmation(row):
            confirmations.begin(row, actor=Actor(admin), now=now)


def _ours(boxes: Iterable[Box], here: Mapping[Kind, Mapping[str, int]]) -> set[Mine]:
    ours = {scope: here[kind] for kind, scope in SCOPES.items()}
    return {(scope, outcome, ours[scope][key]) for scope, outcome, key in boxes if key in ours[scope]}


def _row(destination_id: int, box: Mine) -> tuple[int, int | None, int | None, str]:
    scope, outcome, key = box
    return destination_id, key if scope is Scope.JOB else None, key if scope is Scope.ENVIRONMENT else None, outcome.value


def _entry(line: Line, before: Collection[Mine], after: Collection[Mine], account: Account, now: datetime, *, is_new: bool) -> AuditEntry:
    return audit.entry(
        account=account,
        actor=None,
        action="notifications.create" if is_new else "notifications.update",
        subject=line.address,
        now=now,
        before={} if is_new else {"address": line.address, **_json(before)},
        after={"address": line.address, **_json(after)},
    )


def _json(boxes: Iterable[Mine]) -> dict[str, Any]:
    choices: dict[Scope, dict[Outcome, set[int]]] = {scope: {} for scope in Scope}
    for scope, outcome, key in boxes:
        choices[scope].setdefault(outcome, set()).add(key)
    return Boxes(choices[Scope.JOB], choices[Scope.ENVIRONMENT]).to_json()
