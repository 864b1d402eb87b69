"""A Slack channel, posted to through an incoming webhook: a URL that somebody made in Slack, and the way without OAuth.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any

from runbell.channels.base import Field, Recipient, Transport
from runbell.channels.http import Http, Lost, Unreached
from runbell.channels.http_answer import Answer
from runbell.channels.slack import PACE, slack_page
from runbell.channels.slack_blocks import Post, body, shared
from runbell.channels.slack_errors import of_lost, of_unreached, of_webhook, verdict_of
from runbell.core.deliveries import Dead, Ends, Sent, Verdict
from runbell.core.fields import BadField, Fields
from runbell.messages.message import Message, Reader

MAX_NAME = 80
_URL = re.compile(r"https://hooks\.slack(?:-gov)?\.com/services/[\w-]+/[\w-]+/[\w-]+", re.ASCII)
_HEADERS = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "runbell"}


class SlackWebhook:
    kind = "slack_webhook"
    label = "Slack webhook"
    fields: tuple[Field, ...] = (
        Field("address", "Name", help="What people here call it."),
        Field("secret", "Webhook URL", help="https://hooks.slack.com/services/…", is_secret=True),
    )
    pace: timedelta = PACE
    is_room = True

    def clean(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """`address_key` tells two URLs apart without telling either. No complaint repeats the URL."""
        fields = Fields(raw)
        url = fields.name("secret", limit=500)
        if not _URL.fullmatch(url):
            raise BadField("secret", "must be an incoming-webhook URL of Slack: https://hooks.slack.com/services/… or hooks.slack-gov.com")
        return {"address": fields.name("address", limit=MAX_NAME), "address_key": sha256(url.encode()).hexdigest(), "secret": url}

    def describe(self, settings: Mapping[str, Any]) -> str:
        return str(settings["address"])

    def page(self, destination_id: int, address_key: str) -> str:
        return slack_page(f"w{destination_id}")

    def render(self, message: Message, reader: Reader, transport: Transport) -> Post:
        return shared(message, reader)

    def address(self, rendered: Post, recipient: Recipient, key: str) -> bytes:
        return body(rendered, recipient, {})

    def connect(self, transport: Transport) -> "WebhookConnection":
        return WebhookConnection(transport)


class WebhookConnection:
    """Used by one lane at a time."""

    def __init__(self, transport: Transport) -> None:
        self._http = Http(timeout=transport.timeout)

    def send(self, settings: Mapping[str, Any], payload: bytes, key: str) -> Verdict:
        try:
            return _verdict(self._http.post(settings["secret"], payload, _HEADERS))
        except Unreached as error:
            return verdict_of(of_unreached(error))
        except Lost:
            return verdict_of(of_lost())

    def close(self) -> None:
        self._http.close()


def _verdict(answer: Answer) -> Verdict:
    """`ok`, or a word. Behind a webhook there is no installation: whatever ends, ends the one URL."""
    said = answer.body.decode("utf-8", "replace").strip()
    if answer.status == 200 and said == "ok":
        return Sent()
    verdict = verdict_of(of_webhook(answer.status, answer.headers, said))
    if isinstance(verdict, Dead) and verdict.ends is Ends.INSTALLATION:
        return Dead(verdict.because, is_refusal=True, ends=Ends.DESTINATION)
    return verdict
