"""The mail of an invitation. It holds a link that lets somebody in, so it is stored encrypted and deleted once sent.

Its purpose is a notice: the built-in mailbox shows it to the admins, who can copy the same link from the members page.
"""

from datetime import datetime

from django.db import transaction

from runbell.channels.base import Recipient
from runbell.channels.registry import channel
from runbell.core.because import Because
from runbell.core.permissions import Role
from runbell.messages.compose import InvitationFacts, compose_invitation
from runbell.messages.message import Links, Reader
from runbell.server.db import bell
from runbell.server.db.models import Delivery, Invitation, User
from runbell.server.db.models.deliveries import Purpose
from runbell.server.services.joining import first_reader
from runbell.server.services.parcels import transport

EMAIL = "email"


def queue_mail(invitation: Invitation, url: str, *, now: datetime) -> Delivery:
    """Call it in a transaction. In the language and zone of a person known here, else as somebody new starts."""
    because = Because("invited", {"by": _inviter(invitation), "address": invitation.email})
    delivery = Delivery.objects.create(
        account=invitation.account, purpose=Purpose.NOTICE, lane=EMAIL, because=because.to_json(), due_at=now, created_at=now
    )
    reader = _reader(invitation, url)
    message = compose_invitation(_facts(invitation), reader.language)
    recipient = Recipient(
        address=invitation.email, because=because, why_url="", settings_url="", unsubscribe_url="", thread="", sent_at=now
    )
    email = channel(EMAIL)
    delivery.payload = email.address(email.render(message, reader, transport()), recipient, f"{delivery.pk}.{delivery.resends}")
    delivery.save(update_fields=["payload"])
    transaction.on_commit(bell.ring)
    return delivery


def _reader(invitation: Invitation, url: str) -> Reader:
    known = User.objects.filter(email=invitation.email).first()
    language, zone = (known.language, known.zone) if known else first_reader(invitation.account, invitation.email)
    return Reader(language, zone, Links(run=url))


def _facts(invitation: Invitation) -> InvitationFacts:
    return InvitationFacts(
        account=invitation.account.name,
        account_id=str(invitation.account_id),
        invited_by=_inviter(invitation),
        role=Role(invitation.role),
        expires_at=invitation.expires_at,
    )


def _inviter(invitation: Invitation) -> str:
    by = invitation.invited_by.user if invitation.invited_by else None
    return (by.name or by.email) if by else ""
