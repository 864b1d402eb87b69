"""External addresses through the dbt Admin API (type 4): who made them, where they lead, and in whose language."""

from datetime import datetime

from django.db import IntegrityError, transaction

from runbell.channels.registry import channel
from runbell.core.fields import BadField
from runbell.server.db.models import Destination, Member
from runbell.server.services import confirmations
from runbell.server.services.access import Actor
from runbell.server.services.digests import TAKES_LISTS
from runbell.server.services.link_tokens import EMAIL
from runbell.server.services.rules import Boxes
from runbell.server.services.setting_changes import Change, Setting, Taken


def blank(change: Change, *, actor: Actor) -> tuple[Destination, Taken]:
    """A destination that is not stored yet, and what to raise when somebody is faster."""
    destination = Destination(created_by=actor.member if change.user_id is None else active_member(actor, change.user_id))
    _set_reader(destination, change)
    _set_address(destination, change.external_email or "", actor.account_id)
    return destination, _taken(destination, actor.account_id)


def hold_saved(destination: Destination, change: Change, *, actor: Actor, now: datetime) -> None:
    """In the caller's transaction. Raises `Taken` and `BadField`."""
    old_key = destination.address_key
    _set_reader(destination, change)
    if change.user_id is not None and Setting(destination, Boxes()).user_id != change.user_id:
        destination.created_by = active_member(actor, change.user_id)
    if change.external_email is not None and change.external_email != destination.address:
        _set_address(destination, change.external_email, actor.account_id)
        if destination.address_key != old_key:
            # Links in mails to the old address must not act on the new one, nor may its refusals.
            destination.generation += 1
            destination.disabled_because, destination.refusals, destination.trouble_told_at = None, 0, None
    save_unique(destination, _taken(destination, actor.account_id))
    if destination.address_key != old_key:
        confirmations.begin(destination, actor=actor, now=now)


def active_member(actor: Actor, user_id: int) -> Member:
    members = Member.objects.select_related("user").filter(account=actor.account_id, is_active=True, user__is_active=True)
    member = members.filter(user=user_id).first()
    if member is None:
        raise BadField("user_id", f"{user_id} is no active member of this account")
    return member


def _set_address(destination: Destination, external_email: str, account_id: int) -> None:
    try:
        clean = channel(EMAIL).clean({"address": external_email})
    except BadField as bad:
        raise BadField("external_email", bad.message) from None
    destination.address, destination.address_key = clean["address"], clean["address_key"]
    spellings = {destination.address.lower(), destination.address_key}
    member = Member.objects.filter(account=account_id, user__email__in=spellings).first()
    if member is not None:
        raise BadField("external_email", f"is the address of a member: set type 1 with user_id {member.user_id} instead")


def _taken(destination: Destination, account_id: int) -> Taken:
    return Taken(f"Key (account_id, external_email)=({account_id}, {destination.address}) already exists.")


def save_unique(destination: Destination, taken: Taken) -> None:
    """The database decides who was first; a look beforehand could not."""
    try:
        with transaction.atomic():
            destination.save()
    except IntegrityError:
        raise taken from None


def _set_reader(destination: Destination, change: Change) -> None:
    destination.language = destination.language if change.language is None else change.language
    destination.zone = destination.zone if change.zone is None else change.zone
    if change.takes_lists is not None:
        destination.settings = {**destination.settings, TAKES_LISTS: change.takes_lists}
