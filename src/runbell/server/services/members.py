"""Accounts and the people in them."""

from datetime import datetime

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from runbell.core.fields import BadField
from runbell.core.permissions import Action, Role, may
from runbell.server.db.models import Account, Member, User
from runbell.server.services import audit, slack_links
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.joining import first_reader, join


class LastAdmin(RuntimeError):
    """Nobody would be left who may manage the account."""


@transaction.atomic
def create_account(*, name: str, admin_email: str, password: str, now: datetime, language: str = "en", zone: str = "UTC") -> Account:
    """A new account with its first admin."""
    account = Account.objects.create(name=_account_name(name), language=language, zone=zone, created_at=now)
    add_member(account=account, email=admin_email, role=Role.ACCOUNT_ADMIN, password=password, now=now)
    return account


@transaction.atomic
def add_member(*, account: Account, email: str, role: Role, password: str, now: datetime) -> Member:
    """A member; somebody known from another account keeps their own password. Raises `BadField`."""
    email = clean_email(email)
    user = User.objects.filter(email=email).first() or create_user(account, email=email, password=password, now=now)
    return join(account, user, role, action="member.add", now=now)


def create_user(account: Account, *, email: str, password: str, now: datetime, name: str = "", language: str = "") -> User:
    """A person whose first account this is. `language`: the one they chose already. Raises `BadField`."""
    spoken, zone = first_reader(account, email)
    user = User(email=email, name=name, language=language or spoken, zone=zone, created_at=now)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise BadField("password", " ".join(error.messages)) from None
    user.set_password(password)
    user.save()
    return user


@transaction.atomic
def change_role(actor: Actor, member_id: int, role: Role, *, now: datetime, take_over: bool = False) -> Member:
    """Raises `NotThere`, `NotAllowed`, `LastAdmin`. The role that somebody has already is no change.

    Who ceases to be an admin loses the links to Slack; `take_over`: what was sent through them goes on through the actor's.
    """
    member = locked_member(actor, member_id)
    if member.role == role:
        return member
    if role is not Role.ACCOUNT_ADMIN:
        keep_an_admin(member)
    before, member.role = member.role, role.value
    member.save(update_fields=["role"])
    if not may(role, Action.LINK_SLACK):
        slack_links.leave(actor, member, now=now, take_over=take_over)
    audit.record(
        account=member.account,
        actor=actor,
        action="member.role",
        subject=member.user.email,
        now=now,
        before={"role": before},
        after={"role": role.value},
    )
    return member


def locked_member(actor: Actor, member_id: int) -> Member:
    """A member of the actor's account to change. Who manages members goes one by one, and each is asked again whether they still may.

    The lock is on the account, since two admins who demote each other change two different rows. It hinders no report: inserts
    that point to the account do not wait for it (https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-ROWS).
    """
    actor.require(Action.MANAGE_MEMBERS)
    Account.objects.select_for_update(no_key=True).get(pk=actor.account_id)
    Actor(Member.objects.get(pk=actor.member.pk), actor.token).require(Action.MANAGE_MEMBERS)
    member = Member.objects.select_related("account", "user").filter(account=actor.account_id, pk=member_id).first()
    if member is None:
        raise NotThere
    return member


def keep_an_admin(member: Member) -> None:
    """Before `member` ceases to be one. Raises `LastAdmin`."""
    others = Member.objects.filter(account=member.account_id, role=Role.ACCOUNT_ADMIN, is_active=True, user__is_active=True)
    if member.role == Role.ACCOUNT_ADMIN and member.is_active and not others.exclude(pk=member.pk).exists():
        raise LastAdmin


def first_admin(account: Account) -> Member:
    """Who the command line acts as unless it is told."""
    admin = (
        Member.objects.select_related("account", "user")
        .filter(account=account, role=Role.ACCOUNT_ADMIN, is_active=True)
        .order_by("id")
        .first()
    )
    if admin is None:
        raise BadField("account", f"{account.name} has no active admin")
    return admin


def clean_email(raw: str) -> str:
    email = raw.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise BadField("email", f"{raw!r} is not an e-mail address") from None
    return email


def _account_name(raw: str) -> str:
    name = " ".join(raw.split())
    if not 0 < len(name) <= 200:
        raise BadField("name", "must have 1 to 200 characters")
    return name


@transaction.atomic
def user_of_shell(email: str, action: audit.Action, *, now: datetime) -> User:
    """Somebody for whom the command line does this; the audit log of each of their accounts says so."""
    user = User.objects.filter(email=clean_email(email), is_active=True).first()
    if user is None:
        raise BadField("email", f"nobody signs in as {email}")
    for member in Member.objects.select_related("account").filter(user=user, is_active=True):
        audit.record(account=member.account, actor=None, action=action, subject=user.email, now=now)
    return user


def account_of_shell(account_id: int) -> Account:
    """For the command line, whose user owns the whole server."""
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        raise BadField("--account", f"there is no account {account_id}")
    return account


def only_account() -> Account:
    """For the command line, when nobody said which."""
    accounts = list(Account.objects.order_by("pk")[:2])
    if len(accounts) != 1:
        raise BadField(
            "--into", "which account? There are several" if accounts else "there is no account yet: runbell admin account create"
        )
    return accounts[0]


def member_of(account: Account, email: str) -> Member:
    member = (
        Member.objects.select_related("account", "user").filter(account=account, user__email=clean_email(email), is_active=True).first()
    )
    if member is None:
        raise BadField("--as", f"{email} is no active member of {account.name}")
    return member
