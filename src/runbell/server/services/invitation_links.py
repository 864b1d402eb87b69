"""The link of an invitation: an HMAC over id and generation. Nothing that opens it is stored; a raised generation voids it."""

import base64
import hashlib
import hmac

from django.conf import settings
from django.db.models import QuerySet

from runbell.server.db.models import Invitation
from runbell.server.services.access import NotThere

TOKEN_LENGTH = 22  # base64 characters: 132 bits


def join_url(invitation: Invitation) -> str:
    return f"{settings.RUNBELL_PUBLIC_URL}/join/{invitation.pk}/{_token(settings.SECRET_KEY, invitation.pk, invitation.generation)}"


def by_link(invitation_id: int, token: str, rows: QuerySet[Invitation]) -> tuple[Invitation, bool]:
    """The invitation, and whether the link is of its present generation."""
    invitation = rows.select_related("account", "invited_by__user").filter(pk=invitation_id).first()
    if invitation is None:
        raise NotThere
    for generation in range(invitation.generation, 0, -1):
        if _fits(token, invitation.pk, generation):
            return invitation, generation == invitation.generation
    raise NotThere


def _token(key: str, invitation_id: int, generation: int) -> str:
    signed = f"runbell.invitation:{invitation_id}:{generation}".encode()
    return base64.urlsafe_b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest()).decode()[:TOKEN_LENGTH]


def _fits(token: str, invitation_id: int, generation: int) -> bool:
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return any(hmac.compare_digest(_token(key, invitation_id, generation).encode(), token.encode()) for key in keys)
