"""What there is in this Slack: apps, workspaces with people and channels, installations with their tokens.

    App ──< Installation >── Workspace ──< Person, Channel ──< Post
                └──< Token

Shapes and rules are those of docs.slack.dev, in the points Runbell relies on.
"""

import secrets
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.quiet import MARK

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_numbers = count(1)


def new_id(kind: str) -> str:
    """`C` and ten more letters and digits, in order and unlike any other."""
    number, digits = next(_numbers), ""
    for _ in range(6):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return f"{kind}0FK{digits}Z"


@dataclass(eq=False)
class App:
    """Created at api.slack.com/apps. With `redirect_urls`, the way back must be one of them or lie below."""

    name: str = "Runbell"
    is_distributed: bool = True
    home: "Workspace | None" = None  # where an app that is not distributed can be installed
    has_rotation: bool = False
    redirect_urls: list[str] = field(default_factory=list)
    events_url: str = ""
    id: str = field(default_factory=lambda: new_id("A"))
    client_id: str = field(default_factory=lambda: f"{next(_numbers):010}.{next(_numbers):013}")
    client_secret: str = field(default_factory=lambda: MARK + secrets.token_hex(16))
    signing_secret: str = field(default_factory=lambda: MARK + secrets.token_hex(16))


@dataclass(eq=False)
class Person:
    """`rank`: primary_owner, owner, admin, member, guest, or single (a guest of one channel)."""

    name: str
    email: str
    rank: str
    password: str
    is_deleted: bool = False
    id: str = field(default_factory=lambda: new_id("U"))

    def facts(self, team: "Workspace") -> dict[str, Any]:
        """As users.info gives them: of somebody deactivated no rank is told."""
        said = {
            "id": self.id,
            "team_id": team.id,
            "name": self.name,
            "real_name": self.name.title(),
            "deleted": self.is_deleted,
            "is_bot": False,
            "is_app_user": False,
            "updated": 1795482000,
            "profile": {"real_name": self.name.title(), "display_name": self.name, "team": team.id},
        }
        return said if self.is_deleted else said | self._ranks()

    def _ranks(self) -> dict[str, bool]:
        is_owner = self.rank in ("primary_owner", "owner")
        return {
            "is_admin": is_owner or self.rank == "admin",
            "is_owner": is_owner,
            "is_primary_owner": self.rank == "primary_owner",
            "is_restricted": self.rank in ("guest", "single"),
            "is_ultra_restricted": self.rank == "single",
        }


@dataclass(eq=False)
class Channel:
    """`refuses`: the error word that posting gets, such as restricted_action; empty when all is well."""

    name: str
    is_private: bool = False
    is_archived: bool = False
    refuses: str = ""
    is_general: bool = False
    has_bot: bool = False
    previous_names: list[str] = field(default_factory=list)
    id: str = field(default_factory=lambda: new_id("C"))

    def facts(self, team: "Workspace") -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": True,
            "is_group": False,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "is_archived": self.is_archived,
            "is_general": self.is_general,
            "is_shared": False,
            "is_ext_shared": False,
            "is_org_shared": False,
            "is_member": self.has_bot,
            "created": 1700000000,
            "updated": 1795482000000,
            "creator": next(iter(team.people), ""),
            "num_members": 3,
            "context_team_id": team.id,
            "topic": {"value": "", "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
            "previous_names": self.previous_names,
        }


@dataclass(eq=False)
class Token:
    """`gone`: the error word since it is no longer good."""

    text: str
    installation: "Installation"
    expires_at: float = 0  # 0: never
    gone: str = ""


@dataclass(eq=False)
class Installation:
    """One app in one workspace. Its token belongs to the app: it outlives whoever installed it."""

    app: App
    team: "Workspace"
    scopes: list[str] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    bot_user: str = field(default_factory=lambda: new_id("U"))
    bot_id: str = field(default_factory=lambda: new_id("B"))


@dataclass(eq=False)
class Hook:
    """An incoming webhook. `gone`: status and word that it answers since, such as (404, "no_service")."""

    team: "Workspace"
    channel: Channel
    path: str
    gone: tuple[int, str] | None = None


@dataclass(eq=False)
class Workspace:
    name: str
    domain: str
    enterprise: str = ""
    people: dict[str, Person] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    installations: dict[str, Installation] = field(default_factory=dict)  # by the app's id
    id: str = field(default_factory=lambda: new_id("T"))

    def add_person(self, name: str, rank: str = "member", email: str = "", password: str = "") -> Person:
        person = Person(name, email or f"{name}@{self.domain}.example", rank, password or f"{name}-password")
        self.people[person.id] = person
        return person

    def add_channel(self, name: str, **fields: Any) -> Channel:
        channel = Channel(name, **fields)
        self.channels[channel.id] = channel
        return channel

    def add_channels(self, number: int, prefix: str = "team", *, archived_every: int = 0) -> list[Channel]:
        """Thousands at once; every so many of them archived."""
        return [
            self.add_channel(f"{prefix}-{index:05}", is_archived=bool(archived_every) and index % archived_every == 0)
            for index in range(1, number + 1)
        ]

    def person(self, name: str) -> Person:
        return next(person for person in self.people.values() if person.name == name)

    def channel(self, name: str) -> Channel:
        return next(channel for channel in self.channels.values() if channel.name == name)

    def facts(self) -> dict[str, str]:
        return {"id": self.id, "name": self.name}
