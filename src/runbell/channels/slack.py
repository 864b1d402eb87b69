"""A Slack channel, posted to with the token of its workspace (chat.postMessage)."""

import re
from collections.abc import Mapping
from datetime import timedelta
from json import dumps
from typing import Any
from urllib.parse import urlencode

from runbell.channels.base import Field, Recipient, Transport
from runbell.channels.slack_api import SlackApi
from runbell.channels.slack_blocks import Post, body, shared
from runbell.channels.slack_errors import SlackTrouble, verdict_of
from runbell.core.deliveries import Sent, Verdict
from runbell.core.fields import BadField, Fields
from runbell.messages.message import Message, Reader

PACE = timedelta(seconds=1)  # https://docs.slack.dev/apis/web-api/rate-limits: one message a second for each Slack channel
_ID = re.compile(r"(?:https://[a-z0-9.-]+/(?:archives|app_redirect|client/T[A-Z0-9]+)/)?(?P<id>[CG][A-Z0-9]{6,31})(?:[/?#].*)?")


def slack_page(key: str) -> str:
    return f"settings/notifications/slack?{urlencode({'channel': key})}"


class SlackChannelKind:
    kind = "slack"
    label = "Slack channel"
    fields: tuple[Field, ...] = (Field("channel_id", "Slack channel", help="Its id or link, from its details in Slack."),)
    pace = PACE
    is_room = True

    def clean(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        found = _ID.fullmatch(Fields(raw).name("channel_id", limit=500))
        if not found:
            raise BadField("channel_id", "is neither the id of a Slack channel, like C0123456789, nor its link")
        return {"channel_id": found["id"]}

    def describe(self, settings: Mapping[str, Any]) -> str:
        return str(settings.get("address") or settings["channel_id"])

    def page(self, destination_id: int, address_key: str) -> str:
        return slack_page(address_key)

    def render(self, message: Message, reader: Reader, transport: Transport) -> Post:
        return shared(message, reader)

    def address(self, rendered: Post, recipient: Recipient, key: str) -> bytes:
        """Without the Slack channel, which is a setting. The metadata proves later what was posted; every app there can read it."""
        told = {"delivery": key, **({"run": rendered.run_id} if rendered.run_id else {})}
        return body(rendered, recipient, {"metadata": {"event_type": "runbell_delivery", "event_payload": told}})

    def connect(self, transport: Transport) -> "SlackConnection":
        return SlackConnection(transport)


class SlackConnection:
    """Used by one lane at a time; its connection is kept. The token is the workspace's, and may be a new one at each message."""

    def __init__(self, transport: Transport) -> None:
        self._url, self._timeout = transport.slack_api_url, transport.timeout
        self._api: SlackApi | None = None
        self._token = ""

    def send(self, settings: Mapping[str, Any], payload: bytes, key: str) -> Verdict:
        try:
            return Sent(self._api_with(settings["token"]).post(_to(settings["channel_id"], payload)))
        except SlackTrouble as trouble:
            return verdict_of(trouble)

    def close(self) -> None:
        if self._api:
            self._api.close()
        self._api = None

    def _api_with(self, token: str) -> SlackApi:
        if self._api is None or token != self._token:
            self.close()
            self._api, self._token = SlackApi(self._url, token, timeout=self._timeout), token
        return self._api


def _to(channel_id: str, payload: bytes) -> bytes:
    """The payload is an object of ours and never empty, so it need not be read to be put into a Slack channel."""
    return b'{"channel":%b,%b' % (dumps(channel_id).encode(), payload.removeprefix(b"{"))
