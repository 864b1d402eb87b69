"""Joining an account: a member is made and takes over what was set for their address as an external one."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet

from runbell.channels.registry import channel
from runbell.core.deliveries import PENDING
from runbell.core.fields import BadField
from runbell.core.permissions import Role
from runbell.server.db.models import Account, AuditEntry, Delivery, Destination, Member, Rule, State, User
from runbell.server.services import audit
from runbell.server.services.access import Actor
from runbell.server.services.rules import boxes_of, clear_rules

EMAIL = "email"


class AlreadyMember(BadField):
    def __init__(self, email: str) -> None:
        super().__init__("email", f"{email} is already a member")


class WasMember(BadField):
    def __init__(self, email: str) -> None:
        super().__init__("email", f"{email} was a member and can be reactivated")


def join(
    account: Account, user: User, role: Role, *, action: audit.Action, now: datetime, actor: Actor | None = None, through: str = ""
) -> Member:
    """Call it in a transaction. Raises `AlreadyMember`, `WasMember`."""
    refuse_members(account, user.email)
    member = Member.objects.create(account=account, user=user, role=role.value, created_at=now)
    actor = actor or (Actor(member) if through else None)
    after = {"role": role.value} | ({"through": through} if through else {})
    audit.record(account=account, actor=actor, action=action, subject=user.email, now=now, after=after)
    adopt_external(member, now=now, actor=actor)
    return member


def join_many(account: Account, people: Mapping[str, tuple[str, Role]], *, now: datetime) -> dict[str, Member]:
    """`people`: e-mail → name and role. Who is no member becomes one, without a password when nobody knows them yet. Call it in a transaction.

    As `join` does it from the command line, by a fixed number of statements.
    """
    were = members_by_email(account, people)
    new = {email: facts for email, facts in people.items() if email not in were}
    outside = {external.address_key: external for external in _externals(account.pk, new)}
    externals = {email: outside.get(address_key_of(email)) for email in new}
    persons = (_person(email, name, account, externals[email], now) for email, (name, _) in new.items())
    User.objects.bulk_create(persons, ignore_conflicts=True)
    users = User.objects.filter(email__in=new)
    made = [Member(user=user, account=account, role=new[user.email][1].value, created_at=now) for user in users]
    Member.objects.bulk_create(made, ignore_conflicts=True)
    entries = [
        audit.entry(account=account, actor=None, action="member.add", subject=email, now=now, after={"role": role.value})
        for email, (_, role) in new.items()
    ]
    AuditEntry.objects.bulk_create(entries)
    members = members_by_email(account, people)
    for email in (email for email in new if externals[email]):
        adopt_external(members[email], now=now)
    return members


def members_by_email(account: Account, emails: Iterable[str]) -> dict[str, Member]:
    rows = Member.objects.filter(account=account, user__email__in=list(emails)).select_related("user", "account")
    return {member.user.email: member for member in rows}


def _person(email: str, name: str, account: Account, external: Destination | None, now: datetime) -> User:
    language, zone = _reader(account, external)
    user = User(email=email, name=name, language=language, zone=zone, created_at=now)
    user.set_unusable_password()
    return user


def address_key_of(email: str) -> str:
    """By what an external destination with this address is known; empty when there can be none."""
    try:
        return str(channel(EMAIL).clean({"address": email})["address_key"])
    except BadField:
        return ""


def refuse_members(account: Account, email: str) -> None:
    member = Member.objects.filter(account=account, user__email=email).first()
    if member is not None:
        raise AlreadyMember(email) if member.is_active else WasMember(email)


def adopt_external(member: Member, *, now: datetime, actor: Actor | None = None) -> None:
    """The rules of the external destination with this member's address become the member's own. Call it in a transaction.

    Without a destination of the member's yet, the external one becomes it: what waits for it is still sent, links in old mails
    still stop it, and receipts still show it.
    """
    external = _external(member)
    if external is None:
        return
    own = Destination.objects.filter(account=member.account_id, kind=EMAIL, member=member, state=State.ACTIVE).first()
    facts = {"address": external.address, **boxes_of([external.pk])[external.pk].to_json()}
    if own is None:
        # Language and zone are the member's own from here.
        _save(external, now, member=member, address="", address_key="", language="", zone="")
    else:
        _move(external, own, now)
    audit.record(
        account=member.account,
        actor=actor,
        action="notifications.adopt",
        subject=member.user.email,
        now=now,
        before={"external_email": facts.pop("address")},
        after={"address": member.user.email, **facts},
    )


def first_reader(account: Account, email: str) -> tuple[str, str]:
    """Language and zone of somebody new: those set for their address as an external one, else the account's."""
    return _reader(account, _externals(account.pk, [email]).first())


def _reader(account: Account, external: Destination | None) -> tuple[str, str]:
    return (external and external.language) or account.language, (external and external.zone) or account.zone


def _external(member: Member) -> Destination | None:
    return _externals(member.account_id, [member.user.email]).select_for_update().first()


def _externals(account_id: int, emails: Iterable[str]) -> QuerySet[Destination]:
    """Those that are there."""
    keys = [key for email in emails if (key := address_key_of(email))]
    return Destination.objects.filter(account=account_id, kind=EMAIL, state=State.ACTIVE, address_key__in=keys, member=None)


def _move(external: Destination, own: Destination, now: datetime) -> None:
    """Rules that both have stay once; a run that only the external address was to hear of is still told."""
    Rule.objects.bulk_create(
        [
            Rule(destination=own, job_id=job, environment_id=environment, outcome=outcome, set_by_id=set_by, set_at=set_at)
            for job, environment, outcome, set_by, set_at in external.rules.values_list("job", "environment", "outcome", "set_by", "set_at")
        ],
        ignore_conflicts=True,
    )
    clear_rules(external)
    told = Delivery.objects.filter(destination=own, run__isnull=False).values("run")
    Delivery.objects.filter(destination=external, state__in=PENDING).exclude(run__in=told).update(destination=own)
    _save(external, now, state=State.DELETED)
    _save(own, now)


def _save(destination: Destination, now: datetime, **fields: Any) -> None:
    Destination.objects.filter(pk=destination.pk).update(revision=F("revision") + 1, updated_at=now, **fields)
