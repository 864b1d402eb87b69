"""Notification settings as the dbt platform's Admin API tells of them, read to be carried over (https://docs.getdbt.com/dbt-cloud/api-v2).

Ids are the platform's, and text. What is missing or new does no harm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from runbell.core.dbt_runs import read_id, read_name
from runbell.core.fields import storable
from runbell.core.permissions import Role
from runbell.core.rules import Scope
from runbell.core.runs import Outcome

ON = {
    Outcome.CANCELLED: "on_cancel",
    Outcome.FAILED: "on_failure",
    Outcome.SUCCEEDED: "on_success",
    Outcome.WARNED: "on_warning",
}
"""The Admin API's name for each outcome."""

Box = tuple[Scope, Outcome, str]
"""One box that is ticked: of a job, or of all jobs of an environment, which Runbell's own API tells of and the dbt platform does not have."""

DELETED = 2
_WAYS = {1: "member", 2: "slack", 4: "external", 5: "slack"}


class Way(StrEnum):
    MEMBER = "member"
    EXTERNAL = "external"
    SLACK = "slack"


@dataclass(frozen=True, slots=True)
class Wish:
    """What one setting asks for. `to`: a user's id, an e-mail address or a Slack channel's id; `name`: of the Slack channel; `by`: who made it."""

    id: str
    way: Way
    to: str
    boxes: frozenset[Box]
    name: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """What does not come: of which setting, a code for why, and about whom or what."""

    id: str
    code: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """A user there. `role`: what comes of the licence, never more than a developer's rights: others are given by hand."""

    id: str
    email: str
    name: str
    role: Role
    is_active: bool


def read_wish(row: Mapping[str, Any]) -> Wish | Left | None:
    """None: it was deleted, or nobody chose anything in it."""
    boxes = frozenset(_boxes(row))
    if row.get("state") == DELETED or not boxes:
        return None
    key, kind = read_id(row.get("id")), row.get("type")
    if type(kind) is not int or kind not in _WAYS:
        return Left(key, "webhook" if kind == 3 else "type", str(kind)[:20])
    way = Way(_WAYS[kind])
    user = read_id(row.get("user_id"))
    to = {Way.MEMBER: user, Way.EXTERNAL: _text(row, "external_email"), Way.SLACK: _text(row, "slack_channel_id")}[way]
    name = read_name(row.get("slack_channel_name")).removeprefix("#")
    if not to:
        return Left(key, "nobody", name)
    return Wish(key, way, to, boxes, name, "" if way is Way.MEMBER else user)


def read_person(row: Mapping[str, Any]) -> Person | None:
    key, email = read_id(row.get("id")), _text(row, "email").lower()
    if not key or not email:
        return None
    name = read_name(f"{_text(row, 'first_name')} {_text(row, 'last_name')}".strip())
    return Person(key, email, name, _role(row), row.get("is_active") is not False)


def _role(row: Mapping[str, Any]) -> Role:
    """A developer's licence, or of a Runbell account a role above viewer."""
    licences = {_text(_part(one), "license_type") for one in _list(row.get("permissions")) if _part(one).get("state") != DELETED}
    is_developer = "developer" in licences or _text(row, "runbell_role") in set(Role) - {Role.VIEWER}
    return Role.DEVELOPER if is_developer else Role.VIEWER


def _boxes(row: Mapping[str, Any]) -> set[Box]:
    scopes = {Scope.JOB: row, Scope.ENVIRONMENT: _part(row.get("runbell_environments"))}
    found = {
        (scope, outcome, read_id(key)) for scope, lists in scopes.items() for outcome, name in ON.items() for key in _list(lists.get(name))
    }
    return {box for box in found if box[2]}


def _part(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(row: Mapping[str, Any], name: str) -> str:
    """Never cut: half an address is another one."""
    value = row.get(name)
    return storable(value).strip() if isinstance(value, str) else ""
