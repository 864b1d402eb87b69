"""Incoming webhooks of Slack, the way without OAuth: a name and a URL that an admin pastes. The URL is a secret: it goes in and never comes out."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.db import IntegrityError, transaction

from runbell.channels.registry import channel
from runbell.core.because import Because
from runbell.core.permissions import Action
from runbell.server.db.models import Destination, Rule, SlackLink, SlackWorkspace, State, Unsubscription
from runbell.server.services import audit
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.decisions import silent_because
from runbell.server.services.destinations import raise_revision
from runbell.server.services.externals import REMOVAL, Refused, check_reader
from runbell.server.services.kept_rules import UNDO_FOR, keep_for_undo, rules_kept
from runbell.server.services.slack_forgetting import WEBHOOK
from runbell.server.services.targets import Held


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Whoever sets any notifications sets its boxes; there is no link that could end."""

    destination: Destination
    is_webhook: ClassVar[bool] = True
    unusable: ClassVar[str] = ""
    owner: ClassVar[SlackLink | None] = None
    workspace: ClassVar[SlackWorkspace | None] = None

    @property
    def key(self) -> str:
        return f"w{self.destination.pk}"

    @property
    def address(self) -> str:
        return self.destination.address

    @property
    def name(self) -> str:
        return self.destination.address

    @property
    def subject(self) -> str:
        return f"{self.destination.address} · {channel(WEBHOOK).label}"

    @property
    def revision(self) -> int:
        return self.destination.revision

    @property
    def silent(self) -> Because | None:
        return silent_because(self.destination)

    def promised(self, owner_link: int) -> "WebhookTarget":
        return self

    def needs_link(self, actor: Actor) -> bool:
        return False

    def may_edit(self, actor: Actor) -> bool:
        return actor.may(Action.SET_ANY_NOTIFICATIONS)

    def takes_over(self, actor: Actor) -> bool:
        return False

    def stored(self, actor: Actor) -> Destination | None:
        return webhook_for(actor, self.destination.pk)

    def require_save(self, actor: Actor) -> None:
        actor.require(Action.SET_ANY_NOTIFICATIONS)

    def hold(self, *, actor: Actor, now: datetime) -> Held:
        return Held(_locked(actor, self.destination.pk))


def webhook_for(actor: Actor, destination_id: int) -> Destination:
    """Raises `NotThere`."""
    found = (
        Destination.objects.defer("secret").filter(account=actor.account_id, kind=WEBHOOK, state=State.ACTIVE, pk=destination_id).first()
    )
    if found is None:
        raise NotThere
    return found


@transaction.atomic
def add_webhook(name: str, url: str, language: str, zone: str, *, actor: Actor, now: datetime) -> Destination:
    """Language and zone may be empty: the account's. Raises `NotAllowed`, `BadField` and `Refused`."""
    actor.require(Action.LINK_SLACK)
    check_reader(language, zone)
    made = Destination(account_id=actor.account_id, kind=WEBHOOK, created_by=actor.member, public_id=secrets.token_urlsafe(16))
    made.language, made.zone, made.created_at, made.updated_at = language, zone, now, now
    _set(made, channel(WEBHOOK).clean({"address": name, "secret": url}))
    _save(made)
    _record("notifications.create", made, actor, now, after={"name": made.address, "language": language, "zone": zone})
    return made


@transaction.atomic
def change_webhook(destination_id: int, name: str, url: str, language: str, zone: str, *, actor: Actor, now: datetime) -> None:
    """An empty URL stays as it is; another one is tried afresh. Raises `NotAllowed`, `NotThere`, `BadField` and `Refused`."""
    actor.require(Action.LINK_SLACK)
    check_reader(language, zone)
    found = _locked(actor, destination_id)
    before = {"name": found.address, "language": found.language, "zone": found.zone}
    key = found.address_key
    _set(found, channel(WEBHOOK).clean({"address": name, "secret": url.strip() or found.secret}))
    if found.address_key != key:
        found.disabled_because, found.refusals, found.trouble_told_at = None, 0, None
    found.language, found.zone = language, zone
    _save(found)
    raise_revision(found, now)
    after = {"name": found.address, "language": language, "zone": zone, **({"url": "replaced"} if found.address_key != key else {})}
    _record("notifications.update", found, actor, now, before=before, after=after)


@transaction.atomic
def remove_webhook(destination_id: int, *, actor: Actor, now: datetime) -> Destination:
    """Its rules go too; both can be brought back for a day. Raises `NotAllowed` and `NotThere`."""
    actor.require(Action.LINK_SLACK)
    found = _locked(actor, destination_id)
    rules = list(found.rules.order_by("pk"))
    keep_for_undo(found, rules, REMOVAL, now=now)
    found.rules.all().delete()
    found.state = State.DELETED
    raise_revision(found, now)
    _record("notifications.delete", found, actor, now, before={"rules": len(rules)})
    return found


@transaction.atomic
def restore_webhook(destination_id: int, *, actor: Actor, now: datetime) -> Destination:
    """A second time changes nothing. Raises `NotAllowed`, `NotThere`, and `Refused` when the URL has come back otherwise."""
    actor.require(Action.LINK_SLACK)
    found = Destination.objects.select_for_update().filter(account=actor.account_id, kind=WEBHOOK, pk=destination_id).first()
    kept = _removal(found, now) if found else None
    if found is None or kept is None:
        raise NotThere
    if kept.undone_at is None:
        found.state = State.ACTIVE
        try:
            with transaction.atomic():
                raise_revision(found, now)
        except IntegrityError:
            raise Refused("secret", "duplicate") from None
        kept.undone_at = now
        kept.save(update_fields=["undone_at"])
        Rule.objects.bulk_create(rules_kept(kept, found, now), ignore_conflicts=True)
        _record("notifications.restore", found, actor, now, after={"rules": found.rules.count()})
    return found


def _removal(destination: Destination, now: datetime) -> Unsubscription | None:
    return destination.unsubscriptions.filter(scope=REMOVAL, at__gt=now - UNDO_FOR).order_by("-at", "-pk").first()


def _locked(actor: Actor, destination_id: int) -> Destination:
    rows = Destination.objects.select_for_update().defer("secret").filter(account=actor.account_id, kind=WEBHOOK, state=State.ACTIVE)
    found = rows.filter(pk=destination_id).first()
    if found is None:
        raise NotThere
    return found


def _set(destination: Destination, clean: dict[str, str]) -> None:
    destination.address, destination.address_key, destination.secret = clean["address"], clean["address_key"], clean["secret"]


def _save(destination: Destination) -> None:
    """The database knows a URL that is there already."""
    try:
        with transaction.atomic():
            destination.save()
    except IntegrityError:
        raise Refused("secret", "duplicate") from None


def _record(action: audit.Action, found: Destination, actor: Actor, now: datetime, **facts: Mapping[str, object]) -> None:
    subject = WebhookTarget(found).subject
    audit.record(account=actor.member.account, actor=actor, action=action, subject=subject, now=now, **facts)
