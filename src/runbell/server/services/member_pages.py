"""What the members page shows: people, what each hears about, and invitations with what became of their mail."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Count, Q

from runbell.core.because import Because
from runbell.core.permissions import Action, Role
from runbell.server.db.models import Delivery, Destination, Invitation, Member, State
from runbell.server.services.access import Actor
from runbell.server.services.invitation_links import join_url
from runbell.server.services.invitations import Status, invitation_for, open_invitations, status_of
from runbell.server.services.pages import initials


@dataclass(frozen=True, slots=True)
class MemberLine:
    """`is_refused`: nothing is sent to the address until it is set right. `is_only_admin`: can be neither demoted nor deactivated."""

    id: int
    name: str
    email: str
    role: str
    rules: int
    is_refused: bool
    seen_at: datetime | None
    is_self: bool
    is_only_admin: bool

    @property
    def initials(self) -> str:
        return initials(self.name, self.email)


@dataclass(frozen=True, slots=True)
class InvitationLine:
    """`mail` is the state of the delivery, empty when there is none; `mail_at` is when it was settled, or is tried again."""

    id: int
    email: str
    role: str
    invited_by: str
    is_own: bool
    created_at: datetime
    expires_at: datetime
    status: Status
    mail: str
    mail_at: datetime | None
    mail_because: Because | None
    url: str


@dataclass(frozen=True, slots=True)
class People:
    """`is_relayed`: mail leaves this server; else it lies in the mailbox."""

    active: tuple[MemberLine, ...]
    inactive: tuple[MemberLine, ...]
    invitations: tuple[InvitationLine, ...]
    is_relayed: bool


@dataclass(frozen=True, slots=True)
class _Heard:
    rules: int
    is_refused: bool


def people(actor: Actor, *, now: datetime) -> People:
    """Three queries. Raises `NotAllowed`."""
    actor.require(Action.MANAGE_MEMBERS)
    members = list(Member.objects.select_related("user").filter(account=actor.account_id).order_by("user__name", "user__email"))
    heard, admins = _heard(actor.account_id), _admins(members)
    lines = {member: _line(member, actor, heard.get(member.pk), is_only_admin=admins == [member]) for member in members}
    invitations = open_invitations(actor.account_id).select_related("account", "invited_by__user", "delivery").defer("delivery__payload")
    return People(
        active=tuple(line for member, line in lines.items() if member.is_active),
        inactive=tuple(line for member, line in lines.items() if not member.is_active),
        invitations=tuple(_invitation_line(invitation, actor, now) for invitation in invitations),
        is_relayed=bool(settings.RUNBELL_SMTP_URL),
    )


def invitation_line(actor: Actor, invitation_id: int, *, now: datetime) -> InvitationLine:
    """Raises `NotThere`, `NotAllowed`."""
    return _invitation_line(invitation_for(actor, invitation_id), actor, now)


def _admins(members: list[Member]) -> list[Member]:
    return [member for member in members if member.role == Role.ACCOUNT_ADMIN and member.is_active and member.user.is_active]


def _heard(account_id: int) -> Mapping[int, _Heard]:
    """By member: rules for jobs and environments that are there."""
    counts = ~Q(rules__job__state=State.DELETED) & ~Q(rules__environment__state=State.DELETED)
    rows = Destination.objects.filter(account=account_id, kind="email", member__isnull=False, state=State.ACTIVE)
    found = rows.annotate(n=Count("rules", filter=counts)).values_list("member", "n", "disabled_because")
    return {member: _Heard(n, bool(disabled)) for member, n, disabled in found}


def _line(member: Member, actor: Actor, heard: _Heard | None, *, is_only_admin: bool) -> MemberLine:
    return MemberLine(
        id=member.pk,
        name=member.user.name,
        email=member.user.email,
        role=member.role,
        rules=heard.rules if heard else 0,
        is_refused=heard is not None and heard.is_refused,
        seen_at=member.seen_at,
        is_self=member.pk == actor.member.pk,
        is_only_admin=is_only_admin,
    )


def _invitation_line(invitation: Invitation, actor: Actor, now: datetime) -> InvitationLine:
    by, mail = invitation.invited_by, invitation.delivery
    return InvitationLine(
        id=invitation.pk,
        email=invitation.email,
        role=invitation.role,
        invited_by=(by.user.name or by.user.email) if by else "",
        is_own=by is not None and by.pk == actor.member.pk,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
        status=status_of(invitation, now),
        mail=mail.state if mail else "",
        mail_at=_mail_at(mail),
        mail_because=Because.from_json(mail.last_because) if mail and mail.last_because else None,
        url=join_url(invitation),
    )


def _mail_at(mail: Delivery | None) -> datetime | None:
    return (mail.settled_at or mail.due_at) if mail else None
