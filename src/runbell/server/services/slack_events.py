"""What Slack tells by itself (https://docs.slack.dev/apis/events-api): believed when it is signed, taken once, and found without it too.

A signature counts when any app known here made it. What an event is about is then looked up under that app alone, so that whoever
owns one app cannot speak for the workspaces of another.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import Q, QuerySet

from runbell.core.because import Because
from runbell.server.db import bell
from runbell.server.db.models import Destination, SlackApp, SlackChannel, SlackLink, SlackWorkspace
from runbell.server.services.slack_links import workspace_broke

WINDOW = 300  # seconds, as Slack advises against replays
REMEMBERED = 3600  # seconds; Slack's last of three repeats comes after five minutes
MAX_BODY = 256 * 1024
HEARD = "runbell.slack.heard"

Event = Mapping[str, Any]
Workspaces = QuerySet[SlackWorkspace]


class NotSigned(Exception):
    """By nobody known here, too long ago, or not at all. Which of these is not told."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose signature fits: the app of some accounts. `account_id` None: the environment's app."""

    client_id: str
    account_id: int | None


def take(body: bytes, timestamp: str, signature: str, *, now: datetime) -> dict[str, Any] | None:
    """What to answer with, if with anything. Raises `NotSigned`."""
    signers = _signers(body, timestamp, signature, now)
    for signer in signers:
        cache.set(f"{HEARD}:{signer.account_id or 0}", now.isoformat(), timeout=None)
    said = _object(body)
    if said.get("type") == "url_verification":
        return {"challenge": str(said.get("challenge") or "")[:1000]}
    event = said.get("event")
    if said.get("type") == "event_callback" and isinstance(event, Mapping):
        _heed_once(event, f"runbell.slack.event:{str(said.get('event_id') or '')[:100]}", _workspaces(said, signers), now)
    return None


def _heed_once(event: Event, name: str, workspaces: Workspaces, now: datetime) -> None:
    """Slack sends again what it got no answer for; what failed here is heeded then."""
    if not cache.add(name, 1, timeout=REMEMBERED):
        return
    try:
        _heed(event, workspaces, now)
    except Exception:
        cache.delete(name)
        raise


def heard_at(account_id: int, *, is_own: bool) -> datetime | None:
    """When an event last came for the app of this account."""
    found = cache.get(f"{HEARD}:{account_id if is_own else 0}")
    return datetime.fromisoformat(found) if found else None


def _signers(body: bytes, timestamp: str, signature: str, now: datetime) -> list[Signer]:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12) or not signature.isascii():
        raise NotSigned
    if abs(now - datetime.fromtimestamp(int(timestamp), UTC)).total_seconds() > WINDOW:
        raise NotSigned
    signed = b"v0:" + timestamp.encode() + b":" + body
    # Every secret is tried, also after a fit: how long it takes tells nothing.
    found = [signer for signer, secret in _secrets() if hmac.compare_digest(_signature(secret, signed), signature)]
    if not found:
        raise NotSigned
    return found


def _signature(secret: str, signed: bytes) -> str:
    return "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _secrets() -> Iterator[tuple[Signer, str]]:
    if settings.RUNBELL_SLACK_SIGNING_SECRET:
        yield Signer(settings.RUNBELL_SLACK_CLIENT_ID, None), settings.RUNBELL_SLACK_SIGNING_SECRET
    for app in SlackApp.objects.exclude(signing_secret=""):
        yield Signer(app.client_id, app.account_id), app.signing_secret


def _object(body: bytes) -> Event:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, Mapping) else {}


def _workspaces(said: Event, signers: list[Signer]) -> Workspaces:
    """Of the event's team, linked through the app that signed; an account's own app speaks for that account alone."""
    of_signers = Q(pk__in=())
    for signer in signers:
        linked = Q(client_id=signer.client_id)
        of_signers |= linked & Q(account=signer.account_id) if signer.account_id else linked
    return SlackWorkspace.objects.filter(of_signers, team_id=str(said.get("team_id") or ""))


@transaction.atomic
def _heed(event: Event, workspaces: Workspaces, now: datetime) -> None:
    heed = KINDS.get(str(event.get("type") or ""))
    if heed:
        heed(event, workspaces, now)


def _uninstalled(event: Event, workspaces: Workspaces, now: datetime) -> None:
    _broke(workspaces, Because("slack_account_inactive"), now)


def _tokens_revoked(event: Event, workspaces: Workspaces, now: datetime) -> None:
    """It names people, not tokens. With rotation a bot's old token ends like this every day, so the token is looked at instead."""
    tokens = event.get("tokens")
    if not isinstance(tokens, Mapping) or not tokens.get("bot"):
        return
    _look_soon(workspaces.exclude(refresh_token=""), now)
    _broke(workspaces.filter(refresh_token=""), Because("slack_token_revoked"), now)


def _broke(workspaces: Workspaces, because: Because, now: datetime) -> None:
    """Only what still had a token: the last Unlink revokes it, and that is no news."""
    for pk in list(workspaces.exclude(token="").values_list("pk", flat=True)):
        if SlackLink.objects.filter(workspace=pk, ended_at=None).exists():
            workspace_broke(pk, because, now=now)


def _renamed(event: Event, workspaces: Workspaces, now: datetime) -> None:
    channel = event.get("channel")
    if not isinstance(channel, Mapping):
        return
    name, channel_id = str(channel.get("name") or "")[:100], str(channel.get("id") or "")
    if name and _mark(workspaces, channel_id, now, name=name):
        for workspace in workspaces:
            Destination.objects.filter(account=workspace.account_id, address_key=f"{workspace.team_id}:{channel_id}").update(
                address=f"#{name}"
            )


def _archived(event: Event, workspaces: Workspaces, now: datetime) -> None:
    _mark(workspaces, str(event.get("channel") or ""), now, is_archived=True)


def _unarchived(event: Event, workspaces: Workspaces, now: datetime) -> None:
    _mark(workspaces, str(event.get("channel") or ""), now, is_archived=False)


def _deleted(event: Event, workspaces: Workspaces, now: datetime) -> None:
    _mark(workspaces, str(event.get("channel") or ""), now, is_gone=True)


def _mark(workspaces: Workspaces, channel_id: str, now: datetime, **facts: Any) -> bool:
    return bool(SlackChannel.objects.filter(workspace__in=workspaces, channel_id=channel_id).update(seen_at=now, **facts))


def _user_changed(event: Event, workspaces: Workspaces, now: datetime) -> None:
    """The event's own flags are not believed: Slack is asked, with all that a check looks at."""
    user = event.get("user")
    if isinstance(user, Mapping):
        links = SlackLink.objects.filter(workspace__in=workspaces, slack_user_id=str(user.get("id") or ""), ended_at=None)
        _look_soon(SlackWorkspace.objects.filter(pk__in=links.values("workspace")), now)


def _look_soon(workspaces: Workspaces, now: datetime) -> None:
    if workspaces.update(check_at=now):
        transaction.on_commit(bell.ring)


KINDS: Mapping[str, Callable[[Event, Workspaces, datetime], None]] = {
    "app_uninstalled": _uninstalled,
    "tokens_revoked": _tokens_revoked,
    "channel_rename": _renamed,
    "channel_archive": _archived,
    "channel_unarchive": _unarchived,
    "channel_deleted": _deleted,
    "user_change": _user_changed,
}
