"""Accepting an invitation: by a new person, who chooses a name and a password, or by somebody who is signed in."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from runbell.core.fields import BadField, Fields
from runbell.core.permissions import Role
from runbell.server.db.models import Invitation, Member, User
from runbell.server.services.invitation_links import by_link
from runbell.server.services.invitations import Closed, Status, status_of, withdraw_mail
from runbell.server.services.joining import first_reader, join
from runbell.server.services.members import create_user

THROUGH = "invitation link"


class SomebodyElse(RuntimeError):
    """The signed-in person is not who was invited."""


@dataclass(frozen=True, slots=True)
class Invited:
    """What the page behind a link says. `has_user`: the address belongs to somebody who can sign in already. `language`: of the mail."""

    status: Status
    account_id: int
    account: str
    email: str
    role: str
    invited_by: str
    expires_at: datetime
    has_user: bool
    language: str


def invited(invitation_id: int, token: str, *, now: datetime) -> Invited:
    """Changes nothing. Raises `NotThere` for a link that we did not make."""
    invitation, is_current = by_link(invitation_id, token, Invitation.objects.all())
    by = invitation.invited_by.user if invitation.invited_by else None
    known = User.objects.filter(email=invitation.email).first()
    return Invited(
        status=status_of(invitation, now) if is_current else Status.REPLACED,
        account_id=invitation.account_id,
        account=invitation.account.name,
        email=invitation.email,
        role=invitation.role,
        invited_by=(by.name or by.email) if by else "",
        expires_at=invitation.expires_at,
        has_user=known is not None,
        language=known.language if known else first_reader(invitation.account, invitation.email)[0],
    )


@transaction.atomic
def accept_as_new(invitation_id: int, token: str, *, name: str, password: str, now: datetime, language: str = "") -> Member:
    """A new person. `language`: that of the page they joined on. Raises `NotThere`, `Closed`, and `BadField` for name, password, or an address that is known meanwhile."""
    invitation = _acceptable(invitation_id, token, now)
    name = Fields({"name": name}).name("name", limit=200)
    if User.objects.filter(email=invitation.email).exists():
        raise BadField("email", "belongs to somebody who can sign in already")
    user = create_user(invitation.account, email=invitation.email, name=name, password=password, language=language, now=now)
    return _accept(invitation, user, now)


@transaction.atomic
def accept_as(user: User, invitation_id: int, token: str, *, now: datetime) -> Member:
    """Somebody who is signed in. The link alone proves nothing about them: their address must be the invited one, else `SomebodyElse`."""
    invitation = _acceptable(invitation_id, token, now)
    if user.email != invitation.email:
        raise SomebodyElse
    return _accept(invitation, user, now)


def _acceptable(invitation_id: int, token: str, now: datetime) -> Invitation:
    """Locked, so that two clicks at once make one member."""
    invitation, is_current = by_link(invitation_id, token, Invitation.objects.select_for_update(of=("self",)))
    status = status_of(invitation, now) if is_current else Status.REPLACED
    if status is not Status.OPEN:
        raise Closed(status)
    return invitation


def _accept(invitation: Invitation, user: User, now: datetime) -> Member:
    member = join(invitation.account, user, Role(invitation.role), action="member.join", now=now, through=THROUGH)
    invitation.accepted_at = now
    invitation.save(update_fields=["accepted_at"])
    withdraw_mail(invitation, now)
    return member
