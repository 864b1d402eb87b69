"""Asking the holder of an external address before anything is sent to it, where `RUNBELL_CONFIRM_EXTERNAL` is on.

`begin` ─not needed──> confirmed at once
        └needed──> mail with a link ─> the holder presses the button on its page ─> confirmed

The link holds an HMAC and nothing is stored for it; an address that changes makes it void. The mail goes the way of sign-in mail:
no admin can read it in the mailbox and confirm for somebody else.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from runbell.channels.base import Recipient
from runbell.channels.registry import channel
from runbell.core.because import Because
from runbell.core.deliveries import DeliveryState
from runbell.core.permissions import Action
from runbell.messages.compose import compose_confirmation
from runbell.messages.facts import ConfirmationFacts
from runbell.messages.message import Links, Reader
from runbell.server.db import bell
from runbell.server.db.models import Delivery, Destination, State
from runbell.server.db.models.deliveries import Purpose
from runbell.server.services import audit, limits
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.decisions import lane_of, language_of
from runbell.server.services.link_tokens import EMAIL, destination_by, link_token
from runbell.server.services.parcels import transport
from runbell.server.services.trust import awaits_confirmation

ASKS_AN_HOUR = 3
_PURPOSE = "confirm"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the page of the link says."""

    address: str
    account: str
    is_confirmed: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """An address whose holder was asked and has not confirmed. `id` is its destination's, `at` when the last mail was put into the outbox.

    `lost`: why that mail will never arrive, if so.
    """

    id: int
    address: str
    at: datetime | None
    lost: Because | None = None


def begin(destination: Destination, *, actor: Actor, now: datetime) -> None:
    """For a new external address, or one that changed: asks its holder if need be, else takes it as confirmed. In a transaction."""
    destination.confirmed_at = None
    if awaits_confirmation(destination):
        _send(destination, actor, now)
    else:
        destination.confirmed_at = now
    destination.save(update_fields=["confirmed_at"])


@transaction.atomic
def ask_again(actor: Actor, destination_id: int, *, now: datetime) -> str:
    """Sends the question once more, and returns the address. Raises `NotThere`, `NotAllowed`, `limits.TooMany`."""
    actor.require(Action.SET_ANY_NOTIFICATIONS)
    rows = Destination.objects.select_related("account").filter(account=actor.account_id, kind=EMAIL, state=State.ACTIVE, member=None)
    destination = rows.filter(pk=destination_id).first()
    if destination is None:
        raise NotThere
    if awaits_confirmation(destination):
        limits.take(f"confirm:{destination.pk}", ASKS_AN_HOUR, now=now, seconds=3600)
        _send(destination, actor, now)
    return destination.address


def confirmation(public_id: str, token: str) -> Confirmation:
    """Changes nothing. Raises `NotThere`."""
    return _confirmation(_live(public_id, token))


@transaction.atomic
def confirm(public_id: str, token: str, *, now: datetime) -> Confirmation:
    """A second time changes nothing. Raises `NotThere`."""
    destination = _live(public_id, token)
    if Destination.objects.filter(pk=destination.pk, confirmed_at=None).update(confirmed_at=now, updated_at=now):
        destination.confirmed_at = now
        audit.record(
            account=destination.account,
            actor=None,
            action="notifications.confirm",
            subject=destination.address,
            now=now,
            after={"through": "confirmation link"},
        )
    return _confirmation(destination)


def open_question(destination: Destination) -> Asked | None:
    """None for an address that gets its messages."""
    if not awaits_confirmation(destination):
        return None
    asked = Delivery.objects.filter(destination=destination, purpose=Purpose.ACCOUNT).order_by("-pk").first()
    if asked is None:
        return Asked(destination.pk, destination.address, None)
    because = asked.last_because if asked.state in (DeliveryState.DEAD, DeliveryState.SUPPRESSED) else None
    return Asked(destination.pk, destination.address, asked.created_at, Because.from_json(because) if because else None)


def _live(public_id: str, token: str) -> Destination:
    destination = destination_by(_PURPOSE, public_id, token)
    if destination.state != State.ACTIVE or destination.member_id is not None:
        raise NotThere
    return destination


def _confirmation(destination: Destination) -> Confirmation:
    return Confirmation(destination.address, destination.account.name, destination.confirmed_at is not None)


def _send(destination: Destination, actor: Actor, now: datetime) -> None:
    Delivery.objects.create(
        account=destination.account,
        purpose=Purpose.ACCOUNT,
        destination=destination,
        lane=lane_of(destination),
        payload=_mail(destination, actor, now),
        due_at=now,
        created_at=now,
    )
    transaction.on_commit(bell.ring)


def _mail(destination: Destination, actor: Actor, now: datetime) -> bytes:
    account, language = destination.account, language_of(destination, destination.account)
    by = actor.member.user.name or actor.member.user.email
    facts = ConfirmationFacts(account=account.name, account_id=str(account.pk), asked_by=by, address=destination.address, asked_at=now)
    link = f"{settings.RUNBELL_PUBLIC_URL}/confirm/{destination.public_id}/{link_token(_PURPOSE, destination)}"
    recipient = Recipient(
        address=destination.address,
        because=Because("confirmation_asked", {"by": by}),
        why_url="",
        settings_url="",
        unsubscribe_url="",
        thread="",
        sent_at=now,
    )
    email = channel(EMAIL)
    reader = Reader(language, destination.zone or account.zone, Links(run=link))
    rendered = email.render(compose_confirmation(facts, language), reader, transport())
    return email.address(rendered, recipient, f"confirm.{secrets.token_hex(8)}")
