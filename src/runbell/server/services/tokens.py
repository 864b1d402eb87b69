"""Tokens: made once, shown once, known by their SHA-256."""

import hashlib
import secrets
import string
from collections.abc import Iterable
from datetime import datetime, timedelta

from runbell.core.permissions import Permission
from runbell.server.db.models import Member, Project, Token
from runbell.server.services import audit
from runbell.server.services.access import Actor, actor_of_token

_ALPHABET = string.ascii_letters + string.digits
USE_GRAIN = timedelta(minutes=1)  # last use is for people; a write with every report would double its cost


def create_token(
    *,
    member: Member,
    name: str,
    permissions: Iterable[Permission],
    now: datetime,
    actor: Actor | None = None,
    project: Project | None = None,
) -> str:
    """The new token, `rb_<8>_<32>`: the only time it is known. It acts as `member` and never beyond the member's own rights."""
    prefix, secret = _random(8), _random(32)
    plain = f"rb_{prefix}_{secret}"
    words = sorted({permission.value for permission in permissions})
    Token.objects.create(
        account=member.account,
        member=member,
        name=name,
        prefix=prefix,
        digest=_digest(plain),
        permissions=words,
        project=project,
        created_at=now,
    )
    audit.record(account=member.account, actor=actor, action="token.create", subject=name, now=now, after={"can": words, "prefix": prefix})
    return plain


def authenticate(plain: str, now: datetime) -> Actor:
    """The actor behind a token; raises `NotThere`. The look-up is by prefix, the comparison in constant time."""
    prefix = plain[3:11] if plain.startswith("rb_") else ""
    token = Token.objects.select_related("member__account", "member__user", "account").filter(prefix=prefix).first()
    if token is not None and not secrets.compare_digest(token.digest, _digest(plain)):
        token = None
    actor = actor_of_token(token)
    if token and (token.last_used_at is None or now - token.last_used_at > USE_GRAIN):
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
    return actor


def revoke_token(token: Token, *, now: datetime, actor: Actor | None = None) -> None:
    if token.revoked_at is None:
        Token.objects.filter(pk=token.pk).update(revoked_at=now)
        audit.record(account=token.account, actor=actor, action="token.revoke", subject=token.name, now=now)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _digest(plain: str) -> str:
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()
