"""Copied settings taken back: for 24 hours, and where nobody has saved since."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from runbell.core.permissions import Action
from runbell.server.db.models import Destination, Environment, Job, SettingsCopy, SlackLink, State
from runbell.server.db.rules import add_rules
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.addresses import EMAIL
from runbell.server.services.copies import Choice, facts, record, remove
from runbell.server.services.decisions import SECRETS, address_of
from runbell.server.services.destinations import raise_revision
from runbell.server.services.slack_forgetting import WEBHOOK
from runbell.server.services.slack_targets import name_of
from runbell.server.services.slack_webhooks import WebhookTarget

UNDO_FOR = timedelta(hours=24)
RECENT = 20


@dataclass(frozen=True, slots=True)
class RecentCopy:
    id: int
    by: str
    at: datetime
    until: datetime
    count: int
    is_slack: bool


@dataclass(frozen=True, slots=True)
class Undone:
    """`refused`: addresses or Slack channels whose settings were saved since, which stay as they are."""

    restored: int
    refused: tuple[str, ...]
    is_slack: bool


def recent_copies(actor: Actor, *, now: datetime) -> list[RecentCopy]:
    """Those that can be undone, the newest first."""
    actor.require(Action.SET_ANY_NOTIFICATIONS)
    rows = SettingsCopy.objects.filter(account=actor.account_id, undone_at=None, at__gt=now - UNDO_FOR).select_related("member__user")
    return [_recent(row) for row in rows.order_by("-pk")[:RECENT]]


def _recent(row: SettingsCopy) -> RecentCopy:
    by = (row.member.user.name or row.member.user.email) if row.member else ""
    return RecentCopy(row.pk, by, row.at, row.at + UNDO_FOR, len(row.before), _is_slack(row))


def _is_slack(row: SettingsCopy) -> bool:
    return any(change.get("kind", EMAIL) != EMAIL for change in row.before.values())


@transaction.atomic
def undo_copy(actor: Actor, copy_id: int, *, now: datetime) -> Undone:
    """Raises `NotThere` for one that is older, undone or somebody else's. Nothing at all is changed when every address is refused."""
    row = SettingsCopy.objects.select_for_update(of=("self",)).filter(account=actor.account_id, pk=copy_id).first()
    if row is None:
        raise NotThere
    actor.require(Action.SET_ANY_NOTIFICATIONS)
    if row.undone_at or row.at <= now - UNDO_FOR:
        raise NotThere
    related = Destination.objects.select_related("member__user", "link__member__user", "link__workspace").defer(*SECRETS)
    found = related.select_for_update(of=("self",)).filter(pk__in=list(row.before))
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
    return Undone(restored, tuple(refused), _is_slack(row))


def _restore(destination: Destination, change: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    """Jobs that were merged away since have no rules any more."""
    added = {_choice(row) for row in change["added"]}
    remove(destination, added)
    had, has = _give_back(destination, change.get("link"), actor)
    raise_revision(destination, now)
    rows = _still_there(change["rules"])
    for member in {row[3] for row in rows}:
        add_rules(destination.pk, (_choice(row) for row in rows if row[3] == member), set_by=member, set_at=now)
    before, after = {**had, **facts(added)}, {**has, **facts({_choice(row) for row in rows})}
    record(_subject(destination), "notifications.copy_undo", actor, now, before=before, after=after)


def _give_back(destination: Destination, link_id: int | None, actor: Actor) -> tuple[dict[str, str], dict[str, str]]:
    """A Slack channel that was taken over, to whom it was taken from. Not through a link that has ended: it would go silent."""
    if link_id in (None, destination.link_id) or not actor.may(Action.LINK_SLACK):
        return {}, {}
    old = SlackLink.objects.select_related("member__user", "workspace").defer("workspace__token", "workspace__refresh_token")
    link, taker = old.filter(pk=link_id, ended_at=None).first(), destination.link
    if link is None:
        return {}, {}
    destination.link = link
    destination.save(update_fields=["link"])
    return {"owner": name_of(taker)} if taker else {}, {"owner": name_of(link)}


def _subject(destination: Destination) -> str:
    return WebhookTarget(destination).subject if destination.kind == WEBHOOK else address_of(destination)


def _still_there(rows: list[list[Any]]) -> list[list[Any]]:
    merged = {"state": State.DELETED, "deleted_at": None}
    jobs = set(Job.objects.filter(pk__in={row[0] for row in rows if row[0]}, **merged).values_list("pk", flat=True))
    environments = set(Environment.objects.filter(pk__in={row[1] for row in rows if row[1]}, **merged).values_list("pk", flat=True))
    return [row for row in rows if row[0] not in jobs and row[1] not in environments]


def _choice(row: list[Any]) -> Choice:
    return row[0], row[1], row[2]
