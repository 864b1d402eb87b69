"""Tokens: made once, shown once, known by their SHA-256."""

import hashlib
import hmac
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction

from runbell.core.fields import BadField, Fields
from runbell.core.permissions import Action, Permission, Role, useful_permissions
from runbell.server.db.models import Member, Project, State, Token
from runbell.server.db.prepared import Given, Prepared
from runbell.server.services import audit
from runbell.server.services.access import Actor, NotThere, actor_of_token

_ALPHABET = string.ascii_letters + string.digits
USE_GRAIN = timedelta(minutes=1)  # last use is for people; a write with every report would double its cost
MAX_NAME = 200
_with_prefix = Prepared(lambda: Token.objects.select_related("member__account", "member__user").filter(prefix=Given("prefix")))


class AlreadyMade(RuntimeError):
    """The form was sent before: its token exists, and was shown then."""


class RoleTooLow(BadField):
    """The member in whose name the token would act may do nothing of what `permission` is for."""

    def __init__(self, permission: Permission) -> None:
        super().__init__("permissions", f"{permission} is of no use: the member's role allows nothing of it")
        self.permission = permission


@dataclass(frozen=True, slots=True)
class TokenLine:
    """A token as the settings page lists it. `is_silent`: the member left, so it is refused though nobody revoked it."""

    id: int
    name: str
    prefix: str
    permissions: tuple[str, ...]
    project: str
    acts_as: str
    is_silent: bool
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenWish:
    """What the form asks for."""

    name: str = ""
    permissions: tuple[str, ...] = ()
    member_id: int | None = None
    project_id: int | None = None


@dataclass(frozen=True, slots=True)
class TokenChoices:
    """Whom a token can act as (id, label, role), and to which project it can be held (id, name)."""

    members: tuple[tuple[int, str, str], ...]
    projects: tuple[tuple[int, str], ...]


def list_tokens(actor: Actor) -> list[TokenLine]:
    """All tokens of the account, the newest first, in one query."""
    actor.require(Action.MANAGE_TOKENS)
    tokens = Token.objects.filter(account=actor.account_id).select_related("member__user", "project").order_by("-pk")
    return [_line(token) for token in tokens]


def token_for(actor: Actor, token_id: int) -> TokenLine:
    return _line(_token(actor, token_id))


def token_choices(actor: Actor) -> TokenChoices:
    actor.require(Action.MANAGE_TOKENS)
    members = Member.objects.filter(account=actor.account_id, is_active=True, user__is_active=True).select_related("user")
    projects = Project.objects.filter(account=actor.account_id, state=State.ACTIVE).order_by("name", "pk")
    return TokenChoices(
        tuple((member.pk, member.user.name or member.user.email, member.role) for member in members.order_by("user__email")),
        tuple(projects.values_list("pk", "name")),
    )


def issue_token(wish: TokenWish, *, actor: Actor, now: datetime, once: str = "") -> str:
    """The new token; a second call with the same `once` raises `AlreadyMade` and makes none. Raises `NotAllowed`, `BadField`."""
    actor.require(Action.MANAGE_TOKENS)
    name = Fields({"name": wish.name}).name("name", limit=MAX_NAME)
    member = _acting_member(actor, wish.member_id)
    permissions = _permissions(wish.permissions, Role(member.role))
    project = _project(actor, wish.project_id)
    prefix = _prefix_of(actor.account_id, once) if once else ""
    try:
        with transaction.atomic():
            return create_token(member=member, name=name, permissions=permissions, now=now, actor=actor, project=project, prefix=prefix)
    except IntegrityError:
        raise AlreadyMade from None


def revoke_token_of(actor: Actor, token_id: int, *, now: datetime) -> TokenLine:
    """Revokes for good; a second time changes nothing. Raises `NotThere`, `NotAllowed`."""
    with transaction.atomic():
        token = _token(actor, token_id)
        revoke_token(token, now=now, actor=actor)
    return _line(token)


def _token(actor: Actor, token_id: int) -> Token:
    token = Token.objects.select_related("account", "member__user", "project").filter(account=actor.account_id, pk=token_id).first()
    if token is None:
        raise NotThere
    actor.require(Action.MANAGE_TOKENS)
    return token


def _line(token: Token) -> TokenLine:
    user = token.member.user
    return TokenLine(
        id=token.pk,
        name=token.name,
        prefix=token.prefix,
        permissions=tuple(word.value for word in Permission if word in token.permissions),
        project=token.project.name if token.project else "",
        acts_as=user.name or user.email,
        is_silent=not (token.member.is_active and user.is_active),
        created_at=token.created_at,
        last_used_at=token.last_used_at,
        revoked_at=token.revoked_at,
    )


def _acting_member(actor: Actor, member_id: int | None) -> Member:
    members = Member.objects.select_related("account", "user").filter(account=actor.account_id, is_active=True, user__is_active=True)
    member = members.filter(pk=member_id or 0).first()
    if member is None:
        raise BadField("member", "must be an active member of this account")
    return member


def _permissions(words: Iterable[str], role: Role) -> list[Permission]:
    try:
        permissions = [Permission(word) for word in words]
    except ValueError:
        raise BadField("permissions", "must be of " + ", ".join(Permission)) from None
    if not permissions:
        raise BadField("permissions", "must not be empty")
    for permission in permissions:
        if permission not in useful_permissions(role):
            raise RoleTooLow(permission)
    return permissions


def _project(actor: Actor, project_id: int | None) -> Project | None:
    if project_id is None:
        return None
    project = Project.objects.filter(account=actor.account_id, pk=project_id, state=State.ACTIVE).first()
    if project is None:
        raise BadField("project", "must be a project of this account")
    return project


def _prefix_of(account_id: int, once: str) -> str:
    """One form, one prefix: the table's unique prefix then refuses a second token, also when two requests come at once."""
    digest = hmac.new(settings.SECRET_KEY.encode(), f"runbell.token:{account_id}:{once}".encode(), hashlib.sha256).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:8])


def create_token(
    *,
    member: Member,
    name: str,
    permissions: Iterable[Permission],
    now: datetime,
    actor: Actor | None = None,
    project: Project | None = None,
    prefix: str = "",
) -> str:
    """The new token, `rb_<8>_<32>`: the only time it is known. It acts as `member` and never beyond the member's own rights."""
    prefix, secret = prefix or _random(8), _random(32)
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
    after = {"can": words, "prefix": prefix, "acts_as": member.user.email, "project": project.name if project else None}
    audit.record(account=member.account, actor=actor, action="token.create", subject=name, now=now, after=after)
    return plain


def authenticate(plain: str, now: datetime) -> Actor:
    """The actor behind a token; raises `NotThere`. The look-up is by prefix, the comparison in constant time."""
    prefix = plain[3:11] if plain.startswith("rb_") else ""
    token = _with_prefix.first(prefix=prefix)
    if token is not None and not secrets.compare_digest(token.digest, _digest(plain)):
        token = None
    actor = actor_of_token(token)
    if token and (token.last_used_at is None or now - token.last_used_at > USE_GRAIN):
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
    return actor


def revoke_token(token: Token, *, now: datetime, actor: Actor | None = None) -> None:
    if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        token.revoked_at = now
        audit.record(
            account=token.account, actor=actor, action="token.revoke", subject=token.name, now=now, before={"prefix": token.prefix}
        )


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _digest(plain: str) -> str:
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()
