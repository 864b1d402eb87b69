"""Destinations as the dbt Admin API knows them, and what they chose: found, made, saved and deleted. Each save is one transaction, one revision, one audit entry.

Who may: members who set any notifications see and set all; everybody else only their own address.
"""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet

from runbell.core.permissions import Action, Role, may
from runbell.core.rules import Scope
from runbell.server.db.models import Destination, Member, State
from runbell.server.services import audit, confirmations, external_settings, slack_settings
from runbell.server.services.access import Actor, NotAllowed, NotThere
from runbell.server.services.decisions import SECRETS
from runbell.server.services.digests import TAKES_LISTS
from runbell.server.services.external_settings import active_member, save_unique
from runbell.server.services.rules import Boxes, boxes_of, clear_rules, replace_rules
from runbell.server.services.setting_changes import OF_ACCOUNT, Change, HeldToProject, Setting, Stale, Taken
from runbell.server.services.slack_targets import SLACK
from runbell.server.services.targets import Held

EMAIL = "email"


def setting_for(actor: Actor, destination_id: int) -> Setting:
    """A live setting. Raises `NotThere`."""
    return _setting(_find(visible_to(actor), destination_id))


def add_member_email(user_id: int, change: Change, *, actor: Actor, now: datetime) -> Setting:
    """Raises `NotAllowed`, `Taken`, and `BadField` for a user who is no active member or for unknown jobs; then nothing is stored."""
    _require_write(actor, own=user_id == actor.member.user_id)
    member = active_member(actor, user_id)
    taken = Taken(f"Key (account_id, user_id)=({actor.account_id}, {user_id}) already exists.")
    destination = _blank(member) or Destination(member=member)
    destination.created_by = actor.member
    return _add(destination, change, taken, actor=actor, now=now)


def _blank(member: Member) -> Destination | None:
    """One that a notice or a test made (services/letters.py): nobody has set anything for the member yet."""
    blank = Destination.objects.filter(member=member, kind=EMAIL, state=State.ACTIVE, created_by=None, revision=1, rules=None)
    return blank.first()


def add_external_email(change: Change, *, actor: Actor, now: datetime) -> Setting:
    """Raises what `add_member_email` does; a member's address is a `BadField`."""
    _require_write(actor, own=False)
    destination, taken = external_settings.blank(change, actor=actor)
    return _add(destination, change, taken, actor=actor, now=now)


def add_slack_channel(change: Change, *, actor: Actor, now: datetime) -> Setting:
    """Raises `NotAllowed`, `NoLink`, `Taken` and `BadField`; then nothing is stored."""
    _require_write(actor, own=False)
    taken = Taken(f"Key (account_id, slack_channel_id)=({actor.account_id}, {change.slack_channel_id}) already exists.")
    target = slack_settings.startable(actor, change.slack_channel_id, change.slack_channel_name, user_id=change.user_id, now=now)
    if target is None:
        raise taken
    with transaction.atomic():
        destination = slack_settings.start(target, actor=actor, now=now)
        if destination is None:
            raise taken
        if change.is_of_account:
            destination.settings |= {OF_ACCOUNT: True}
            destination.save(update_fields=["settings"])
        _replace_boxes(destination, change, actor, now)
        added = _setting(_find(visible_to(actor), destination.pk))
        _record(added, "notifications.create", actor, now, after=_facts(added))
    return added


def save_setting(destination_id: int, change: Change, *, actor: Actor, now: datetime, revision: int | None = None) -> Setting:
    """Saves over revision `revision`, or over whatever is there when it is None.

    Raises `NotThere`, `NotAllowed`, `NoLink`, `Stale`, `Taken`, `BadField`; then nothing is changed.
    """
    with transaction.atomic():
        before = _locked(actor, destination_id, revision)
        destination, was = before.destination, _facts(before)
        _require_write(actor, own=_is_own(actor, destination))
        held = _HOLD[destination.kind](destination, change, actor, now)
        raise_revision(destination, now)
        _replace_boxes(destination, change, actor, now)
        after = _setting(_find(visible_to(actor), destination_id))
        _record(after, "notifications.update", actor, now, before={**was, **held.before}, after={**_facts(after), **held.after})
    return after


def delete_setting(destination_id: int, *, actor: Actor, now: datetime, revision: int | None = None) -> Setting:
    """Takes the destination and all its rules away; its id is never given again. Raises `NotThere`, `NotAllowed`, `Stale`."""
    with transaction.atomic():
        before = _locked(actor, destination_id, revision)
        # Everybody may silence their own address, a viewer too.
        actor.require(Action.UNSUBSCRIBE_SELF if _is_own(actor, before.destination) else Action.SET_ANY_NOTIFICATIONS)
        destination = before.destination
        destination.state = State.DELETED
        raise_revision(destination, now)
        clear_rules(destination)
        _record(before, "notifications.delete", actor, now, before=_facts(before))
    return Setting(destination, Boxes())


def visible_to(actor: Actor) -> QuerySet[Destination]:
    """What these eyes may see: managers everything, others their own address."""
    if actor.token and actor.token.project_id:
        raise HeldToProject
    if not (actor.may(Action.SEE_JOBS) or actor.may(Action.UNSUBSCRIBE_SELF)):
        raise NotAllowed(Action.SET_OWN_NOTIFICATIONS)
    related = ("member__user", "created_by__user", "link__member__user", "link__workspace")
    rows = Destination.objects.filter(account=actor.account_id, kind__in=_HOLD).select_related(*related).defer(*SECRETS)
    return rows if may(Role(actor.member.role), Action.SET_ANY_NOTIFICATIONS) else rows.filter(member=actor.member)


def _find(rows: QuerySet[Destination], destination_id: int) -> Destination:
    destination = rows.filter(pk=destination_id, state=State.ACTIVE).first()
    if destination is None:
        raise NotThere
    return destination


def _locked(actor: Actor, destination_id: int, revision: int | None) -> Setting:
    """On PostgreSQL the row is locked; on SQLite the transaction has the whole database."""
    destination = _find(visible_to(actor).select_for_update(of=("self",)), destination_id)
    if revision not in (None, destination.revision):
        raise Stale
    return _setting(destination)


def _setting(destination: Destination) -> Setting:
    return Setting(destination, boxes_of([destination.pk])[destination.pk])


def _is_own(actor: Actor, destination: Destination) -> bool:
    return destination.member_id == actor.member.pk


def _require_write(actor: Actor, *, own: bool) -> None:
    if actor.token and actor.token.project_id:
        raise HeldToProject
    actor.require(Action.SET_OWN_NOTIFICATIONS if own else Action.SET_ANY_NOTIFICATIONS)


def _add(destination: Destination, change: Change, taken: Taken, *, actor: Actor, now: datetime) -> Setting:
    destination.account, destination.kind, destination.public_id = actor.member.account, EMAIL, secrets.token_urlsafe(16)
    destination.created_at = destination.updated_at = now
    with transaction.atomic():
        save_unique(destination, taken)
        if destination.member_id is None:
            confirmations.begin(destination, actor=actor, now=now)
        _replace_boxes(destination, change, actor, now)
        added = _setting(_find(visible_to(actor), destination.pk))
        _record(added, "notifications.create", actor, now, after=_facts(added))
    return added


def _hold_email(destination: Destination, change: Change, actor: Actor, now: datetime) -> Held:
    if destination.member_id is None:
        external_settings.hold_saved(destination, change, actor=actor, now=now)
    return Held(destination)


def _hold_slack(destination: Destination, change: Change, actor: Actor, now: datetime) -> Held:
    return slack_settings.hold_saved(destination, change.user_id, actor=actor, now=now)


_HOLD = {EMAIL: _hold_email, SLACK: _hold_slack}
"""The kinds that the dbt Admin API knows, and what a save of each does beside its boxes."""


def raise_revision(destination: Destination, now: datetime) -> None:
    """One save, one revision: whoever saves over an older one learns it. Raises `Stale`."""
    rows = Destination.objects.filter(pk=destination.pk, revision=destination.revision)
    if not rows.update(revision=F("revision") + 1, updated_at=now, state=destination.state):
        raise Stale
    destination.revision += 1
    destination.updated_at = now


def _replace_boxes(destination: Destination, change: Change, actor: Actor, now: datetime) -> None:
    replace_rules(destination, Scope.JOB, change.jobs, actor=actor, now=now)
    replace_rules(destination, Scope.ENVIRONMENT, change.environments, actor=actor, now=now)


def _facts(setting: Setting) -> dict[str, Any]:
    reader = {"language": setting.destination.language, "zone": setting.destination.zone}
    if TAKES_LISTS in setting.destination.settings:
        reader[TAKES_LISTS] = setting.destination.settings[TAKES_LISTS]
    return {"address": setting.recipient, "user_id": setting.user_id, **reader, **setting.boxes.to_json()}


def _record(
    setting: Setting,
    action: audit.Action,
    actor: Actor,
    now: datetime,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    audit.record(
        account=actor.member.account,
        actor=actor,
        action=action,
        subject=setting.recipient,
        now=now,
        before=before,
        after=after,
    )
