"""Accounts and the people in them."""

from datetime import datetime

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from runbell.core.fields import BadField
from runbell.core.permissions import Role
from runbell.server.db.models import Account, Member, User
from runbell.server.services import audit


@transaction.atomic
def create_account(*, name: str, admin_email: str, password: str, now: datetime, language: str = "en", zone: str = "UTC") -> Account:
    """A new account with its first admin."""
    account = Account.objects.create(name=_account_name(name), language=language, zone=zone, created_at=now)
    add_member(account=account, email=admin_email, role=Role.ACCOUNT_ADMIN, password=password, now=now)
    return account


@transaction.atomic
def add_member(*, account: Account, email: str, role: Role, password: str, now: datetime) -> Member:
    """A member; somebody known from another account keeps their own password. Raises `BadField`."""
    user = User.objects.filter(email=_email(email)).first() or _create_user(account, _email(email), password, now)
    if Member.objects.filter(account=account, user=user).exists():
        raise BadField("email", f"{user.email} is already a member")
    member = Member.objects.create(account=account, user=user, role=role, created_at=now)
    audit.record(account=account, actor=None, action="member.add", subject=user.email, now=now, after={"role": role.value})
    return member


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


def _create_user(account: Account, email: str, password: str, now: datetime) -> User:
    user = User(email=email, language=account.language, zone=account.zone, created_at=now)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise BadField("password", " ".join(error.messages)) from None
    user.set_password(password)
    user.save()
    return user


def _email(raw: str) -> str:
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


def account_of_shell(account_id: int) -> Account:
    """For the command line, whose user owns the whole server."""
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        raise BadField("--account", f"there is no account {account_id}")
    return account


def member_of(account: Account, email: str) -> Member:
    member = Member.objects.select_related("account", "user").filter(account=account, user__email=_email(email), is_active=True).first()
    if member is None:
        raise BadField("--as", f"{email} is no active member of {account.name}")
    return member
