"""How a person signs in: their sessions, the second step, and who is told when that changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session as StoredSession
from django.db import transaction
from django.http import HttpRequest

from runbell.server.db.fields import decrypt, encrypt
from runbell.server.db.models import Member, User
from runbell.server.services import audit
from runbell.server.services.access import Actor


class SecondStepAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """Secrets of authenticator apps and recovery codes are encrypted like every secret at rest."""

    def encrypt(self, text: str) -> str:
        return encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt(encrypted_text.encode()).decode()


class ActivateForm(ActivateTOTPForm):  # type: ignore[misc]
    """allauth keeps the secret that is being set up in the session, and the database keeps sessions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        session = context.request.session
        is_there = SECRET_SESSION_KEY in session
        super().__init__(*args, **kwargs)
        if self.is_bound and is_there:
            self.secret = decrypt(session[SECRET_SESSION_KEY].encode()).decode()
        else:
            session[SECRET_SESSION_KEY] = encrypt(session[SECRET_SESSION_KEY].encode()).decode()


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that is signed in."""

    id: int
    user_agent: str
    address: str
    since: datetime
    seen_at: datetime
    is_this: bool


@dataclass(frozen=True, slots=True)
class SecondStep:
    is_on: bool
    codes_left: int


def sessions_of(user: User, this_key: str | None) -> list[Session]:
    """Live sessions, this one first, then the last used."""
    rows = [
        Session(row.pk, row.user_agent, row.ip, row.created_at, row.last_seen_at, row.session_key == this_key)
        for row in UserSession.objects.purge_and_list(user)
    ]
    return sorted(rows, key=lambda row: (not row.is_this, -row.seen_at.timestamp()))


def note_session(request: HttpRequest) -> None:
    UserSession.objects.create_from_request(request)


def forget_ended_sessions(user: User, *, now: datetime) -> None:
    """Nobody else prunes them. There come to be no more than people sign in, so each sign-in takes away those that have run out."""
    StoredSession.objects.filter(expire_date__lt=now).delete()
    UserSession.objects.filter(user=user).exclude(session_key__in=StoredSession.objects.values("session_key")).delete()


def end_session(user: User, session_id: int, this_key: str | None) -> bool:
    """Whether there was one to end: never somebody else's, nor the one that asks, which signs out instead."""
    session = UserSession.objects.filter(user=user, pk=session_id).exclude(session_key=this_key).first()
    if session is not None:
        session.end()
    return session is not None


def end_other_sessions(user: User, this_key: str | None) -> int:
    """How many were ended."""
    others = list(UserSession.objects.filter(user=user).exclude(session_key=this_key))
    for session in others:
        session.end()
    return len(others)


def second_step_of(user: User) -> SecondStep:
    rows = {row.type: row for row in Authenticator.objects.filter(user=user)}
    codes = rows.get(Authenticator.Type.RECOVERY_CODES)
    return SecondStep(Authenticator.Type.TOTP in rows, len(codes.wrap().get_unused_codes()) if codes else 0)


@transaction.atomic
def reset_second_step(user: User) -> bool:
    """For somebody who lost the app and the codes. Whether there was anything to switch off; their sessions go on."""
    return bool(Authenticator.objects.filter(user=user).delete()[0])


@transaction.atomic
def record_for_person(
    user: User,
    action: audit.Action,
    *,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """What a person changes of themselves is written into the audit log of every account they belong to."""
    for member in Member.objects.select_related("account", "user").filter(user=user, is_active=True):
        audit.record(account=member.account, actor=Actor(member), action=action, subject=user.email, now=now, before=before, after=after)
