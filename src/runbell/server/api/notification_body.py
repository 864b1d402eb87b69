"""What a client of the dbt Admin API sends to set notifications."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from runbell.core.fields import MAX_INTEGER, BadField, Fields
from runbell.server.api.shapes import EXTERNAL_EMAIL, MEMBER_EMAIL, SLACK_OF_ACCOUNT, SLACK_TYPES
from runbell.server.services.rules import ON
from runbell.server.services.setting_changes import Change, Stale

ACTIVE, DELETED = 1, 2
MAX_IDS = 5_000  # in one list
_TYPES = (MEMBER_EMAIL, EXTERNAL_EMAIL, *SLACK_TYPES)
_HERE = "1 (a member's e-mail), 2 or 5 (a Slack channel) or 4 (an external e-mail)"
_NOT_HERE = {3: "3 is a webhook, which the dbt platform gave up"}


_NUMBER = {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_INTEGER}
_TEXT = {"type": ["string", "null"]}
_LISTS = {
    name: {"type": ["array", "null"], "maxItems": MAX_IDS, "items": {"type": "integer", "minimum": 1, "maximum": MAX_INTEGER}}
    for name in ON.values()
}
NEW_NOTIFICATION: dict[str, Any] = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"enum": sorted(_TYPES)},
        "state": {"enum": [ACTIVE, DELETED, None]},
        "id": _NUMBER,
        "account_id": _NUMBER,
        "user_id": _NUMBER,
        "external_email": _TEXT,
        "slack_channel_id": _TEXT,
        "slack_channel_name": _TEXT,
        **_LISTS,
        "runbell_environments": {"type": ["object", "null"], "properties": _LISTS},
    },
}
NOTIFICATION = {**NEW_NOTIFICATION, "required": []}  # a deletion needs `state` alone, an update all lists


class NotificationBody:
    """One body, checked field by field; read-only fields are taken and left alone. Raises `BadField`."""

    def __init__(self, raw: object, account_id: int) -> None:
        self._fields = Fields(raw)
        if self._number("account_id") not in (None, account_id):
            raise BadField("account_id", f"is not the account in the address, {account_id}")
        self.state = self._number("state", low=ACTIVE, high=DELETED) or ACTIVE
        self.user_id = self._number("user_id")

    @property
    def type(self) -> int:
        kind = self._number("type") if self._fields.required("type") is not None else None
        if kind in _NOT_HERE:
            raise BadField("type", f"{_NOT_HERE[kind]}; here you can set {_HERE}")
        if kind not in _TYPES:
            raise BadField("type", f"must be {_HERE}")
        return kind

    def recipient(self) -> int:
        self._fields.required("user_id")
        return self.user_id or 0

    def new(self) -> Change:
        """Lists that are not there are empty."""
        if self.state != ACTIVE:
            raise BadField("state", "must be 1 for a new setting")
        return self._change({**dict.fromkeys(ON.values()), **self._fields.value})

    def update_of(self, now_there: Mapping[str, Any]) -> Change:
        """An update names all four lists: a forgotten one would take rules away unasked."""
        for name in ON.values():
            if name not in self._fields.value:
                raise BadField(name, "is required: an update replaces all four lists; send [] for none")
        if self._number("id") not in (None, now_there["id"]):
            raise BadField("id", f"is not the setting in the address, {now_there['id']}")
        if self.type != now_there["type"]:
            raise BadField("type", f"is {now_there['type']} and cannot change; create another setting")
        if self.type == MEMBER_EMAIL and self.user_id not in (None, now_there["user_id"]):
            raise BadField("user_id", "is the recipient and cannot change; create another setting")
        if self._slack_channel_id() not in ("", now_there["slack_channel_id"]):
            raise BadField("slack_channel_id", "is the recipient and cannot change; create another setting")
        return self._change(self._fields.value)

    def _change(self, values: Mapping[str, Any]) -> Change:
        environments = self._fields.nested("runbell_environments")
        return Change(
            jobs={outcome: _ids(values[name], name) for outcome, name in ON.items()},
            environments={
                outcome: _ids(environments.value[name], environments.at(name)) for outcome, name in ON.items() if name in environments.value
            },
            external_email=self._external_email(),
            user_id=self.user_id,
            slack_channel_id=self._slack_channel_id(),
            is_of_account=self.type == SLACK_OF_ACCOUNT,
            slack_channel_name=self._fields.text("slack_channel_name", limit=400),
        )

    def _external_email(self) -> str | None:
        address = self._fields.text("external_email", limit=MAX_INTEGER)
        if self.type == EXTERNAL_EMAIL:
            return self._fields.name("external_email", limit=400)
        if address:
            raise BadField("external_email", "goes with type 4; a member's address is the member's own")
        return None

    def _slack_channel_id(self) -> str:
        channel_id = self._fields.text("slack_channel_id", limit=400)
        if channel_id and self.type not in SLACK_TYPES:
            raise BadField("slack_channel_id", "goes with type 2 or 5")
        return channel_id

    def _number(self, name: str, *, low: int = 0, high: int = MAX_INTEGER) -> int | None:
        return self._fields.integer(name, low=low, high=high)


def _ids(value: object, name: str) -> frozenset[int]:
    """Null is how Terraform's Go writes an empty list."""
    return frozenset(Fields({name: value}).items(name, _id, limit=MAX_IDS))


def _id(value: object, path: str) -> int:
    number = Fields({path: value}).integer(path, low=1)
    if number is None:
        raise BadField(path, "must be a whole number")
    return number


MATCHING = {"parameters": [{"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}}]}


def expected_revision(request: HttpRequest) -> int | None:
    """If-Match, which nobody has to send. Raises `Stale` for what never was an ETag of ours."""
    tag = request.headers.get("If-Match", "*").strip()
    if tag == "*":
        return None
    bare = tag.strip('"')
    if not (bare.isascii() and bare.isdigit() and len(bare) < 16):
        raise Stale
    return int(bare)
