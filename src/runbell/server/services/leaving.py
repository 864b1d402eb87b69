"""Leaving an account, and coming back. A member who leaves hears of nothing more; what they set for others stays."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from runbell.core.because import Because
from runbell.core.deliveries import PENDING
from runbell.core.permissions import Action
from runbell.server.db.models import Delivery, Destination, Invitation, Member, Rule, State, Token
from runbell.server.services import audit, deliveries, slack_links
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.destinations import EMAIL, delete_setting
from runbell.server.services.invitations import open_invitations, revoke
from runbell.server.services.members import keep_an_admin, locked_member
from runbell.server.services.slack_links import ChannelLine


@dataclass(frozen=True, slots=True)
class Leaving:
    """What ends and what stays when this member is deactivated."""

    id: int
    name: str
    email: str
    is_self: bool
    rules: int
    waiting: int
    tokens: tuple[str, ...]
    invitations: tuple[str, ...]
    externals: tuple[str, ...]
    silent: tuple[ChannelLine, ...]


def leaving(actor: Actor, member_id: int) -> Leaving:
    """Changes nothing. Raises `NotThere`, `NotAllowed`."""
    actor.require(Action.MANAGE_MEMBERS)
    member = Member.objects.select_related("user").filter(account=actor.account_id, pk=member_id, is_active=True).first()
    if member is None:
        raise NotThere
    stays = Destination.objects.filter(created_by=member, member=None, kind=EMAIL, state=State.ACTIVE)
    return Leaving(
        id=member.pk,
        name=member.user.name or member.user.email,
        email=member.user.email,
        is_self=member.pk == actor.member.pk,
        rules=Rule.objects.filter(destination__in=_own(member)).count(),
        waiting=Delivery.objects.filter(destination__in=_own(member), state__in=PENDING).count(),
        tokens=tuple(Token.objects.filter(member=member, revoked_at=None).order_by("name").values_list("name", flat=True)),
        invitations=tuple(_sent_by(member).values_list("email", flat=True)),
        externals=tuple(stays.order_by("address_key").values_list("address", flat=True)),
        silent=slack_links.would_silence(actor, member.pk),
    )


@transaction.atomic
def deactivate(actor: Actor, member_id: int, *, now: datetime, take_over: bool = False) -> Member:
    """Raises `NotThere`, `NotAllowed`, `LastAdmin`. Somebody deactivated already stays so.

    The links to Slack end; `take_over`: what was sent through them goes on through the actor's. Sessions and tokens need no ending of their own: every door asks whether the member is active.
    """
    member = locked_member(actor, member_id)
    if not member.is_active:
        return member
    keep_an_admin(member)
    for destination in _own(member):
        deliveries.withdraw(Delivery.objects.filter(destination=destination), Because("member_inactive"), now=now)
        delete_setting(destination.pk, actor=actor, now=now)
    slack_links.leave(actor, member, now=now, take_over=take_over)
    for invitation in _sent_by(member):
        revoke(actor, invitation.pk, now=now)
    _set_active(member, is_active=False)
    audit.record(
        account=member.account, actor=actor, action="member.deactivate", subject=member.user.email, now=now, before={"role": member.role}
    )
    return member


@transaction.atomic
def reactivate(actor: Actor, member_id: int, *, now: datetime) -> Member:
    """With the role they had and without rules. Raises `NotThere`, `NotAllowed`."""
    member = locked_member(actor, member_id)
    if not member.is_active:
        _set_active(member, is_active=True)
        audit.record(
            account=member.account, actor=actor, action="member.reactivate", subject=member.user.email, now=now, after={"role": member.role}
        )
    return member


def _own(member: Member) -> QuerySet[Destination]:
    return Destination.objects.filter(account=member.account_id, member=member, state=State.ACTIVE)


def _sent_by(member: Member) -> QuerySet[Invitation]:
    """A link they copied must not let them, or whoever they like, in again."""
    return open_invitations(member.account_id).filter(invited_by=member)


def _set_active(member: Member, *, is_active: bool) -> None:
    member.is_active = is_active
    member.save(update_fields=["is_active"])
