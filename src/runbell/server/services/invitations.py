"""Invitations: sent by mail, open for seven days, accepted by the holder of their address.

open ─accept─> accepted        open ─revoke─> revoked ─restore─> open
  └─ seven days ─> expired ─send again─> open        revoked ─invite again─> open, and links sent before are void

A link is an HMAC over id and generation: nothing that opens it is stored. Sending again raises nothing, so earlier links go on
working with it; inviting again after a revocation raises the generation.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from runbell.core.because import Because
from runbell.core.deliveries import DeliveryState
from runbell.core.fields import BadField
from runbell.core.permissions import Action, Role
from runbell.server.db.models import Account, Delivery, Invitation
from runbell.server.services import audit, deliveries
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.invitation_links import join_url
from runbell.server.services.invitation_mail import queue_mail
from runbell.server.services.joining import refuse_members
from runbell.server.services.members import clean_email

LIVES = timedelta(days=7)


class Status(StrEnum):
    OPEN = "open"
    EXPIRED = "expired"
    REVOKED = "revoked"
    ACCEPTED = "accepted"
    REPLACED = "replaced"  # a newer link was sent after this one had been revoked


class InvitedAlready(BadField):
    def __init__(self, email: str) -> None:
        super().__init__("email", f"{email} is invited already")


class Closed(RuntimeError):
    """The invitation cannot be accepted any more."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status


def invite(
    email: str, role: Role, *, now: datetime, actor: Actor | None = None, account: Account | None = None, by_mail: bool = True
) -> Invitation:
    """A new invitation, or the one that has expired or was revoked opened anew. `account` is for the command line, which has no actor.

    Raises `NotAllowed`, `AlreadyMember`, `WasMember`, `InvitedAlready`, and `BadField` for what is no address.
    """
    if actor is not None:
        actor.require(Action.MANAGE_MEMBERS)
        account = actor.member.account
    assert account is not None
    email = _clean(email)
    refuse_members(account, email)
    try:
        with transaction.atomic():
            invitation = _opened(account, email, role, actor, now)
            if by_mail:
                _send(invitation, now)
            _record(invitation, "invitation.create", actor, now, after={"role": role.value})
    except IntegrityError:  # two invited the same address at once; the database decides who was first
        raise InvitedAlready(email) from None
    return invitation


def send_again(actor: Actor, invitation_id: int, *, now: datetime) -> Invitation:
    """Mails the same link once more, good for seven days from now. Raises `NotThere`, `NotAllowed`, `Closed`."""
    with transaction.atomic():
        invitation = _locked(actor, invitation_id)
        if (status := status_of(invitation, now)) not in (Status.OPEN, Status.EXPIRED):
            raise Closed(status)
        before, invitation.expires_at = invitation.expires_at, now + LIVES
        withdraw_mail(invitation, now)
        _send(invitation, now)
        dates = {"before": {"expires_at": before.isoformat()}, "after": {"expires_at": invitation.expires_at.isoformat()}}
        _record(invitation, "invitation.send_again", actor, now, **dates)
    return invitation


def revoke(actor: Actor, invitation_id: int, *, now: datetime) -> Invitation:
    """Its links stop at once, and a mail still waiting is not sent. Raises `NotThere`, `NotAllowed`, `Closed`."""
    with transaction.atomic():
        invitation = _locked(actor, invitation_id)
        if invitation.accepted_at:
            raise Closed(Status.ACCEPTED)
        if invitation.revoked_at is None:
            invitation.revoked_at = now
            invitation.save(update_fields=["revoked_at"])
            withdraw_mail(invitation, now)
            _record(invitation, "invitation.revoke", actor, now, before={"role": invitation.role})
    return invitation


def restore(actor: Actor, invitation_id: int, *, now: datetime) -> Invitation:
    """Takes a revocation back: the same links work again; a mail that was withdrawn is sent. Raises what `revoke` does."""
    with transaction.atomic():
        invitation = _locked(actor, invitation_id)
        if invitation.accepted_at:
            raise Closed(Status.ACCEPTED)
        if invitation.revoked_at is not None:
            invitation.revoked_at = None
            invitation.save(update_fields=["revoked_at"])
            if invitation.delivery and invitation.delivery.state == DeliveryState.SUPPRESSED:
                _send(invitation, now)
            _record(invitation, "invitation.restore", actor, now, after={"role": invitation.role})
    return invitation


def status_of(invitation: Invitation, now: datetime) -> Status:
    if invitation.accepted_at:
        return Status.ACCEPTED
    if invitation.revoked_at:
        return Status.REVOKED
    return Status.OPEN if now < invitation.expires_at else Status.EXPIRED


def open_invitations(account_id: int) -> QuerySet[Invitation]:
    """Neither accepted nor revoked; those that have expired are among them."""
    return Invitation.objects.filter(account=account_id, accepted_at=None, revoked_at=None).order_by("email")


def invitation_for(actor: Actor, invitation_id: int) -> Invitation:
    actor.require(Action.MANAGE_MEMBERS)
    related = ("account", "invited_by__user", "delivery")
    invitation = Invitation.objects.select_related(*related).filter(account=actor.account_id, pk=invitation_id).first()
    if invitation is None:
        raise NotThere
    return invitation


def _clean(email: str) -> str:
    email = clean_email(email)
    if len(email) > 254:
        raise BadField("email", "must have at most 254 characters")
    return email


def _opened(account: Account, email: str, role: Role, actor: Actor | None, now: datetime) -> Invitation:
    last = Invitation.objects.select_for_update().filter(account=account, email=email, accepted_at=None).order_by("-pk").first()
    if last is None:
        last = Invitation(account=account, email=email, generation=0)
    elif status_of(last, now) is Status.OPEN:
        raise InvitedAlready(email)
    if last.revoked_at or last.pk is None:
        last.generation += 1
    last.role, last.invited_by, last.revoked_at = role.value, actor.member if actor else None, None
    last.created_at, last.expires_at = now, now + LIVES
    last.save()
    return last


def _send(invitation: Invitation, now: datetime) -> None:
    invitation.delivery = queue_mail(invitation, join_url(invitation), now=now)
    invitation.save(update_fields=["delivery", "expires_at"])


def withdraw_mail(invitation: Invitation, now: datetime) -> None:
    """One that was not sent yet: the next one says all that it did."""
    if invitation.delivery_id:
        deliveries.withdraw(Delivery.objects.filter(pk=invitation.delivery_id), Because("invitation_withdrawn"), now=now)


def _locked(actor: Actor, invitation_id: int) -> Invitation:
    actor.require(Action.MANAGE_MEMBERS)
    rows = Invitation.objects.select_for_update(of=("self",)).select_related("account", "invited_by__user", "delivery")
    invitation = rows.filter(account=actor.account_id, pk=invitation_id).first()
    if invitation is None:
        raise NotThere
    return invitation


def _record(
    invitation: Invitation,
    action: audit.Action,
    actor: Actor | None,
    now: datetime,
    *,
    before: dict[str, str] | None = None,
    after: dict[str, str] | None = None,
) -> None:
    audit.record(account=invitation.account, actor=actor, action=action, subject=invitation.email, now=now, before=before, after=after)
