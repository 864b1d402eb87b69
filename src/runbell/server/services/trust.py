"""Which external addresses may get messages before their holder has said yes. It matters only with `RUNBELL_CONFIRM_EXTERNAL`."""

from django.conf import settings
from django.db.models import Q

from runbell.server.db.models import Destination

EMAIL = "email"


def is_trusted(address_key: str) -> bool:
    """Whether its domain, or one above, is of those whose addresses need no confirming."""
    domain = address_key.rpartition("@")[2].lower()
    return any(domain == name or domain.endswith(f".{name}") for name in settings.RUNBELL_CONFIRM_EXTERNAL_TRUSTED)


def awaits_confirmation(destination: Destination) -> bool:
    """Addresses added while nobody asked were marked as confirmed then, so switching this on silences none of them."""
    is_open = destination.kind == EMAIL and destination.member_id is None and destination.confirmed_at is None
    return settings.RUNBELL_CONFIRM_EXTERNAL and is_open and not is_trusted(destination.address_key)


def unconfirmed(prefix: str = "") -> Q:
    """`awaits_confirmation` as a condition of the database; `prefix` leads to the destination, such as ``destination__``."""
    if not settings.RUNBELL_CONFIRM_EXTERNAL:
        return Q(pk__in=())
    trusted = Q(pk__in=())
    for ending in (f"{before}{name}" for name in settings.RUNBELL_CONFIRM_EXTERNAL_TRUSTED for before in ("@", ".")):
        trusted |= Q(**{f"{prefix}address_key__endswith": ending})
    return Q(**{f"{prefix}kind": EMAIL, f"{prefix}member": None, f"{prefix}confirmed_at": None}) & ~trusted
