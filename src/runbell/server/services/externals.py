"""External addresses as the pages add, change and remove them; refusals are codes, which the pages word."""

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from runbell.channels.registry import channel
from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.server.db.models import Destination, Member, Rule, State, Unsubscription
from runbell.server.db.models.accounts import LANGUAGES
from runbell.server.services import audit
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.addresses import EMAIL, EmailTarget
from runbell.server.services.destinations import add_external_email, delete_setting, raise_revision, save_setting
from runbell.server.services.kept_rules import UNDO_FOR, keep_for_undo, rules_kept
from runbell.server.services.profiles import known_zones
from runbell.server.services.rules import live_rules
from runbell.server.services.setting_changes import Change, Taken

LONGEST, LONGEST_LOCAL = 254, 64  # RFC 5321 §4.5.3.1
REMOVAL = "removal"  # the scope of what is kept of a removed address; nothing of it can be seen while the address is gone


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
    """Those that count: what a deleted job left behind is none."""
    return live_rules().filter(destination=destination).count()


def add_external(address: str, language: str, zone: str, *, actor: Actor, now: datetime) -> Destination:
    """Language and zone may be empty: the account's. Raises `NotAllowed` and `Refused`."""
    require_write(actor)
    address = address.strip()
    check_reader(language, zone)
    try:
        key = channel(EMAIL).clean({"address": address})["address_key"]
        _refuse_known(actor, address, key)
        return add_external_email(Change(external_email=address, language=language, zone=zone), actor=actor, now=now).destination
    except BadField:
        raise Refused("address", why_not(address)) from None
    except Taken:
        raise Refused("address", "duplicate", _with_key(actor, key)) from None


def set_reader(destination: Destination, language: str, zone: str, *, takes_lists: bool | None = None, actor: Actor, now: datetime) -> None:
    """Raises `NotAllowed`, `NotThere` and `Refused`."""
    check_reader(language, zone)
    save_setting(destination.pk, Change(language=language, zone=zone, takes_lists=takes_lists), actor=actor, now=now)


@dataclass(frozen=True, slots=True)
class Removed:
    """An address that can be brought back until then, with so many rules."""

    id: int
    address: str
    rules: int
    until: datetime


@transaction.atomic
def remove_external(destination: Destination, *, actor: Actor, now: datetime) -> None:
    """Its rules go too; both can be brought back for a day. Raises `NotAllowed` and `NotThere`."""
    require_write(actor)
    Destination.objects.select_for_update().get(pk=destination.pk)
    rules = list(destination.rules.order_by("pk"))
    delete_setting(destination.pk, actor=actor, now=now)
    keep_for_undo(destination, rules, REMOVAL, now=now)


def removed_lately(actor: Actor, *, now: datetime) -> list[Removed]:
    """The last removed first."""
    require_write(actor)
    here = {"destination__account": actor.account_id, "destination__state": State.DELETED, "destination__kind": EMAIL}
    rows = Unsubscription.objects.filter(**here, scope=REMOVAL, undone_at=None, at__gt=now - UNDO_FOR).select_related("destination")
    return [Removed(row.destination_id, row.destination.address, len(row.rules), row.at + UNDO_FOR) for row in rows.order_by("-at", "-pk")]


@transaction.atomic
def restore_external(destination_id: int, *, actor: Actor, now: datetime) -> Removed:
    """The address as it was, with the rules that still make sense.

    A second time changes nothing. Raises `NotAllowed`, `NotThere`, and `Refused` when the address has come back otherwise.
    """
    require_write(actor)
    rows = Destination.objects.select_for_update(of=("self",)).filter(account=actor.account_id, kind=EMAIL, member=None)
    destination = rows.filter(pk=destination_id).first()
    kept = _kept_removal(destination, now) if destination else None
    if destination is None or kept is None:
        raise NotThere
    done = Removed(destination.pk, destination.address, len(kept.rules), kept.at + UNDO_FOR)
    if kept.undone_at is None:
        _refuse_known(actor, destination.address, destination.address_key)
        _bring_back(destination, kept, actor, now)
    return done


def _kept_removal(destination: Destination, now: datetime) -> Unsubscription | None:
    return destination.unsubscriptions.filter(scope=REMOVAL, at__gt=now - UNDO_FOR).order_by("-at", "-pk").first()


def _bring_back(destination: Destination, kept: Unsubscription, actor: Actor, now: datetime) -> None:
    destination.state = State.ACTIVE
    try:
        with transaction.atomic():
            raise_revision(destination, now)
    except IntegrityError:  # added anew in this very moment
        raise Refused("address", "duplicate", _with_key(actor, destination.address_key)) from None
    kept.undone_at = now
    kept.save(update_fields=["undone_at"])
    Rule.objects.bulk_create(rules_kept(kept, destination, now), ignore_conflicts=True)
    after = {"rules": destination.rules.count()}
    audit.record(
        account=destination.account, actor=actor, action="notifications.restore", subject=destination.address, now=now, after=after
    )


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


def check_reader(language: str, zone: str) -> None:
    """Raises `Refused`."""
    if language and language not in dict(LANGUAGES):
        raise Refused("language", "language")
    if zone and zone not in known_zones():
        raise Refused("zone", "zone")
