"""What this Slack tells the app's events endpoint, signed: https://docs.slack.dev/authentication/verifying-requests-from-slack."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from tests.fakes.slack.world import Installation, new_id

TIMEOUT = 30


@dataclass(frozen=True)
class Event:
    """One that was sent. `status` 0: nobody answered."""

    body: bytes
    headers: dict[str, str]
    status: int
    answer: str


def sign(secret: str, timestamp: int, body: bytes) -> str:
    return "v0=" + hmac.new(secret.encode(), b"v0:%d:%s" % (timestamp, body), hashlib.sha256).hexdigest()


def tokens_revoked(installation: Installation) -> dict[str, Any]:
    """It names people and bots, not tokens."""
    return {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [installation.bot_user]}}


def wrapped(installation: Installation, event: dict[str, Any], now: float) -> bytes:
    team = installation.team
    said = {
        "token": "none",
        "type": "event_callback",
        "team_id": team.id,
        "enterprise_id": team.enterprise or None,
        "api_app_id": installation.app.id,
        "event": {**event, "event_ts": f"{now:.6f}"},
        "event_id": new_id("Ev"),
        "event_time": int(now),
        "is_ext_shared_channel": False,
        "authorizations": [
            {"enterprise_id": None, "team_id": team.id, "user_id": installation.bot_user, "is_bot": True, "is_enterprise_install": False}
        ],
    }
    return json.dumps(said).encode()


def send(url: str, secret: str, body: bytes, timestamp: int, retry: tuple[int, str] | None = None) -> Event:
    """`retry`: the number of this repetition and why, such as (1, "http_timeout")."""
    headers = {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": str(timestamp),
        "X-Slack-Signature": sign(secret, timestamp, body),
        **({"X-Slack-Retry-Num": str(retry[0]), "X-Slack-Retry-Reason": retry[1]} if retry else {}),
    }
    try:
        with build_opener(ProxyHandler({})).open(Request(url, body, headers, method="POST"), timeout=TIMEOUT) as answer:
            return Event(body, headers, answer.status, answer.read().decode())
    except HTTPError as error:
        with error:
            return Event(body, headers, error.code, error.read().decode(errors="replace"))
    except OSError as error:
        return Event(body, headers, 0, str(error))
