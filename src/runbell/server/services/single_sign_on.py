"""Who a person is that an OpenID Connect provider vouches for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from runbell.core.fields import trim_name
from runbell.core.permissions import Role
from runbell.server.db.models import Account, User
from runbell.server.services.joining import join


class Refused(PermissionError):
    """`code`: unverified, unknown or inactive."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Welcome:
    """Where somebody unknown becomes a member, by RUNBELL_OIDC_CREATE."""

    account_id: int
    role: Role


def welcome(setting: str) -> Welcome | None:
    """`off`, or an account's id and a role, as `1:viewer`. Raises `ValueError`."""
    if setting == "off":
        return None
    account_id, _, role = setting.partition(":")
    return Welcome(int(account_id), Role(role))


def person_of(claims: Mapping[str, Any], *, now: datetime) -> User:
    """The user whose address the provider has verified. Raises `Refused`."""
    email = str(claims.get("email") or "").strip().lower()
    if not email or claims.get("email_verified") not in (True, "true"):  # some providers say it in words
        raise Refused("unverified")
    user = User.objects.filter(email=email).first() or _join(email, str(claims.get("name") or ""), now)
    if not user.is_active:
        raise Refused("inactive")
    return user


@transaction.atomic
def _join(email: str, name: str, now: datetime) -> User:
    offered = welcome(settings.RUNBELL_OIDC_CREATE)
    account = Account.objects.filter(pk=offered.account_id).first() if offered else None
    if offered is None or account is None:
        raise Refused("unknown")
    user = User(email=email, name=trim_name(name, 200), language=account.language, zone=account.zone, created_at=now)
    user.set_unusable_password()
    user.save()
    join(account, user, offered.role, action="member.add", now=now, through="single sign-on")
    return user
