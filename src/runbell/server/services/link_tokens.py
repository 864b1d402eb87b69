"""Links in mails that are their own right, with nothing stored: an HMAC over what they are for, the address and its generation."""

import base64
import hashlib
import hmac

from django.conf import settings

from runbell.server.db.models import Destination
from runbell.server.services.access import NotThere

LENGTH = 22  # base64 characters: 132 bits
EMAIL = "email"


def link_token(purpose: str, destination: Destination) -> str:
    """Raising `generation` makes every link of before void."""
    return _token(settings.SECRET_KEY, purpose, destination)


def destination_by(purpose: str, public_id: str, token: str) -> Destination:
    """Raises `NotThere` for a link that we did not make, or that is void. Every configured key counts."""
    destination = Destination.objects.select_related("account", "member__user").filter(public_id=public_id, kind=EMAIL).first()
    if destination is None:
        raise NotThere
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(hmac.compare_digest(_token(key, purpose, destination).encode(), token.encode()) for key in keys):
        raise NotThere
    return destination


def _token(key: str, purpose: str, destination: Destination) -> str:
    signed = f"runbell.{purpose}:{destination.public_id}:{destination.generation}".encode()
    return base64.urlsafe_b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest()).decode()[:LENGTH]
