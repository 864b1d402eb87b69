"""Whom rules can be set for, as the pages name them: members of the account, who need no destination yet, and external addresses."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from runbell.core.because import Because
from runbell.core.permissions import Action
from runbell.server.db.models import Destination, Member, State
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.rules import count_rules
from runbell.server.services.targets import Held

EMAIL = "email"


@dataclass(frozen=True, slots=True)
class EmailTarget:
    """`destination` is None for a member who never had a rule: the first one makes it."""

    member: Member | None
    destination: Destination | None

    @property
    def key(self) -> str:
        """As in the query string of a page: ``m<member>``, or a destination's id."""
        return f"m{self.member.pk}" if self.member else str(self.destination.pk if self.destination else "")

    @property
    def address(self) -> str:
        return self.member.user.email if self.member else self.destination.address if self.destination else ""

    @property
    def name(self) -> str:
        return self.member.user.name if self.member else ""

    @property
    def revision(self) -> int:
        return self.destination.revision if self.destination else 0

    @property
    def silent(self) -> Because | None:
        """Why nothing goes there now, though rules may say so."""
        stored = self.destination.disabled_because if self.destination else None
        return Because.from_json(stored) if stored else None

    @property
    def subject(self) -> str:
        return self.address

    def is_own(self, actor: Actor) -> bool:
        return self.member is not None and self.member.pk == actor.member.pk

    def stored(self, actor: Actor) -> Destination | None:
        if self.member is None:
            return self.destination
        return Destination.objects.filter(account=actor.account_id, kind=EMAIL, state=State.ACTIVE, member=self.member).first()

    def require_save(self, actor: Actor) -> None:
        actor.require(Action.SET_OWN_NOTIFICATIONS if self.is_own(actor) else Action.SET_ANY_NOTIFICATIONS)

    def hold(self, *, actor: Actor, now: datetime) -> Held:
        return Held(locked(self, actor=actor, now=now))


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the address picker."""

    target: EmailTarget
    rules: int
    is_own: bool


@dataclass(frozen=True, slots=True)
class Directory:
    """All that may be picked: active members first by address, then external addresses."""

    members: tuple[Entry, ...]
    externals: tuple[Entry, ...]

    def find(self, key: str) -> EmailTarget:
        found = next((entry.target for entry in (*self.members, *self.externals) if entry.target.key == key), None)
        if found is None:
            raise NotThere
        return found

    def rules_of(self, target: EmailTarget) -> int:
        return next((entry.rules for entry in (*self.members, *self.externals) if entry.target.key == target.key), 0)


def directory(actor: Actor) -> Directory:
    """Three queries. Who may set only their own sees only their own."""
    rows = Destination.objects.filter(account=actor.account_id, kind=EMAIL, state=State.ACTIVE)
    members = Member.objects.filter(account=actor.account_id, is_active=True, user__is_active=True).select_related("user")
    if not actor.may(Action.SET_ANY_NOTIFICATIONS):
        rows, members = rows.filter(member=actor.member), members.filter(pk=actor.member.pk)
    destinations = list(rows.order_by("address_key"))
    by_member = {row.member_id: row for row in destinations if row.member_id}
    people = [EmailTarget(member, by_member.get(member.pk)) for member in members.order_by("user__email")]
    counts = count_rules(rows)
    return Directory(
        tuple(Entry(one, counts[one.destination.pk] if one.destination else 0, one.is_own(actor)) for one in people),
        tuple(Entry(EmailTarget(None, row), counts[row.pk], is_own=False) for row in destinations if row.member_id is None),
    )


def target_for(actor: Actor, key: str) -> EmailTarget:
    """The own address for an empty key. Others' addresses are for those who may set them: anybody else gets `NotAllowed`.

    A member's destination is not looked up; `locked` does that.
    """
    if key in ("", f"m{actor.member.pk}"):
        return EmailTarget(actor.member, None)
    actor.require(Action.SET_ANY_NOTIFICATIONS)
    number = key.removeprefix("m")
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        raise NotThere
    if key.startswith("m"):
        members = Member.objects.select_related("user").filter(account=actor.account_id, is_active=True, user__is_active=True)
        target = EmailTarget(members.filter(pk=number).first(), None)
    else:
        rows = Destination.objects.filter(account=actor.account_id, kind=EMAIL, state=State.ACTIVE, member=None)
        target = EmailTarget(None, rows.filter(pk=number).first())
    if not (target.member or target.destination):
        raise NotThere
    return target


def locked(target: EmailTarget, *, actor: Actor, now: datetime) -> Destination:
    """The destination, held until the transaction ends; a member's first one is made. Raises `NotThere` for one removed meanwhile."""
    rows = Destination.objects.select_for_update(of=("self",)).filter(account=actor.account_id, kind=EMAIL, state=State.ACTIVE)
    if target.member is None:
        destination = rows.filter(pk=target.destination.pk).first() if target.destination else None
        if destination is None:
            raise NotThere
        return destination
    return rows.filter(member=target.member).first() or _create(target.member, rows, actor, now)


def _create(member: Member, rows: QuerySet[Destination], actor: Actor, now: datetime) -> Destination:
    """Two first saves at once: the database lets one through, the other takes that one's."""
    made = Destination(account_id=actor.account_id, kind=EMAIL, member=member, created_by=actor.member, public_id=secrets.token_urlsafe(16))
    made.created_at = made.updated_at = now
    try:
        with transaction.atomic():
            made.save()
    except IntegrityError:
        return rows.get(member=member)
    return made
