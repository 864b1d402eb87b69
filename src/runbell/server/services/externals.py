"""External addresses as the pages add, change and remove them; refusals are codes, which the pages word."""

from datetime import datetime

from runbell.channels.registry import channel
from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.server.db.models import Destination, Member, State
from runbell.server.db.models.accounts import LANGUAGES
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.addresses import EMAIL, EmailTarget
from runbell.server.services.destinations import Change, Taken, add_external_email, delete_setting, save_setting
from runbell.server.services.profiles import known_zones

LONGEST, LONGEST_LOCAL = 254, 64  # RFC 5321 §4.5.3.1


class Refused(ValueError):
    """`field` and a `code`; `about`: whom the address already belongs to."""

    def __init__(self, field: str, code: str, about: EmailTarget | None = None) -> None:
        super().__init__(f"{field}: {code}")
        self.field, self.code, self.about = field, code, about


def require_write(actor: Actor) -> None:
    actor.require(Action.SET_ANY_NOTIFICATIONS)


def external_for(actor: Actor, destination_id: int) -> Destination:
    """A live external address. Raises `NotAllowed`, `NotThere`."""
    require_write(actor)
    rows = Destination.objects.filter(account=actor.account_id, kind=EMAIL, state=State.ACTIVE, member=None)
    found = rows.filter(pk=destination_id).first()
    if found is None:
        raise NotThere
    return found


def rules_of(destination: Destination) -> int:
    return destination.rules.count()


def add_external(address: str, language: str, zone: str, *, actor: Actor, now: datetime) -> Destination:
    """Language and zone may be empty: the account's. Raises `NotAllowed` and `Refused`."""
    require_write(actor)
    address = address.strip()
    _check_reader(language, zone)
    try:
        key = channel(EMAIL).clean({"address": address})["address_key"]
        _refuse_known(actor, address, key)
        return add_external_email(Change(external_email=address, language=language, zone=zone), actor=actor, now=now).destination
    except BadField:
        raise Refused("address", why_not(address)) from None
    except Taken:
        raise Refused("address", "duplicate", _with_key(actor, key)) from None


def set_reader(destination: Destination, language: str, zone: str, *, actor: Actor, now: datetime) -> None:
    """Raises `NotAllowed`, `NotThere` and `Refused`."""
    _check_reader(language, zone)
    save_setting(destination.pk, Change(language=language, zone=zone), actor=actor, now=now)


def remove_external(destination: Destination, *, actor: Actor, now: datetime) -> None:
    """Its rules go too. Raises `NotAllowed` and `NotThere`."""
    delete_setting(destination.pk, actor=actor, now=now)


def why_not(address: str) -> str:
    """A code for what is wrong with an address that was not taken."""
    local, at, domain = address.rpartition("@")
    checks = {
        "empty": not address,
        "no_at": not at,
        "too_long": len(address) > LONGEST,
        "no_local": not local,
        "no_domain": not domain,
        "many": any(mark in address for mark in ",;<>"),
        "space": any(char.isspace() or not char.isprintable() for char in address),
        "long_local": len(local) > LONGEST_LOCAL,
        "not_ascii": not local.isascii(),
        "two_ats": "@" in local,
        "dots": ".." in address or local.startswith(".") or local.endswith("."),
    }
    return next((code for code, is_so in checks.items() if is_so), "domain")


def _refuse_known(actor: Actor, address: str, key: str) -> None:
    members = Member.objects.filter(account=actor.account_id, user__email__in={address.lower(), key}).select_related("user")
    if member := members.first():
        is_active = member.is_active and member.user.is_active
        raise Refused("address", "member" if is_active else "former_member", EmailTarget(member, None))
    if known := _with_key(actor, key):
        raise Refused("address", "duplicate", known)


def _with_key(actor: Actor, key: str) -> EmailTarget | None:
    rows = Destination.objects.filter(account=actor.account_id, kind=EMAIL, state=State.ACTIVE, address_key=key)
    found = rows.first()
    return EmailTarget(None, found) if found else None


def _check_reader(language: str, zone: str) -> None:
    if language and language not in dict(LANGUAGES):
        raise Refused("language", "language")
    if zone and zone not in known_zones():
        raise Refused("zone", "zone")
