"""What the operations of our APIs take and answer, for their OpenAPI schemas. Views check what comes by themselves and name the field."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ninja import Schema

from runbell.core.fields import MAX_INTEGER
from runbell.server.services.listings import MAX_PAGE, STATES, Reads

REPORT: dict[str, Any] = json.loads(Path(__file__).with_name("report.schema.json").read_text())
READ, WRITE = frozenset({401, 403, 404}), frozenset({400, 401, 403, 404, 413})
ALWAYS = frozenset({429, 503})  # to addresses that guess tokens, and while the database is out of order


class Reported(Schema):
    """A run as it was taken."""

    id: int
    url: str
    state: str
    outcome: str | None
    created: bool
    ignored: list[str]


class Kept(Schema):
    """An artifact as it was taken."""

    run: int
    step: int
    name: str
    created: bool


class Results(Schema):
    results: list[dict[str, Any]]


class TokenSeen(Schema):
    name: str
    permissions: list[str]
    member: str


class Checked(Schema):
    version: str
    account: dict[str, Any]
    token: TokenSeen | None
    job: dict[str, Any] | None


class Wrong(Schema):
    field: str | None
    message: str


class Problem(Schema):
    """Trouble, in our own API."""

    error: Wrong


class Status(Schema):
    code: int
    is_success: bool
    user_message: str
    developer_message: str


class Found(Schema):
    """One object, in the dbt Admin API's envelope."""

    status: Status
    data: dict[str, Any]


class Pagination(Schema):
    count: int
    total_count: int


class Extra(Schema):
    filters: dict[str, Any]
    order_by: str
    pagination: Pagination


class Listed(Schema):
    """A page of objects, in the dbt Admin API's envelope."""

    status: Status
    data: list[dict[str, Any]]
    extra: Extra


class Names(Schema):
    status: Status
    data: list[str]


class Refused(Schema):
    """Trouble, in the dbt Admin API's envelope."""

    status: Status
    data: None


def taking(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of an operation with such a body."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def listing(filters: Mapping[str, tuple[Reads, str]], orders: Collection[str], includes: Collection[str] = ()) -> dict[str, Any]:
    """`openapi_extra` of a list that `envelope.Query` reads the parameters of."""
    return {
        "parameters": [
            _parameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100}),
            _parameter("offset", {"type": "integer", "minimum": 0, "maximum": MAX_INTEGER, "default": 0}),
            _parameter("order_by", {"enum": [sign + name for name in orders for sign in ("", "-")], "default": "id"}),
            *filtered(filters)["parameters"],
            *including(includes).get("parameters", []),
        ]
    }


def filtered(filters: Mapping[str, tuple[Reads, str]]) -> dict[str, Any]:
    """`openapi_extra` of what takes these filters alone."""
    return {"parameters": [_parameter(name, _VALUES[reads]) for name, (reads, _) in filters.items()]}


def including(includes: Collection[str]) -> dict[str, Any]:
    """`openapi_extra` of what takes `include_related`, if it does."""
    told = "A list of " + ", ".join(includes)
    return {"parameters": [_parameter("include_related", {"type": "string", "description": told})]} if includes else {}


_NUMBER = {"type": "integer", "minimum": 0, "maximum": MAX_INTEGER}
_NUMBERS = {"type": "string", "pattern": r"^\[?[0-9]{1,15}(, ?[0-9]{1,15})*\]?$", "description": "1,2 or [1, 2]"}
_VALUES: dict[Reads, dict[str, Any]] = {
    Reads.NUMBER: _NUMBER,
    Reads.NUMBERS: _NUMBERS,
    Reads.STATUSES: _NUMBERS,
    Reads.TEXT: {"type": "string"},
    Reads.MOMENTS: {"type": "string", "description": 'Two times, like ["2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"]'},
    Reads.STATE: {"enum": list(STATES)},
}


def _parameter(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}
