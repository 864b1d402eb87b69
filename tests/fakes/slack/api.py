"""The Web API: https://docs.slack.dev/reference/methods. HTTP 200 with `ok: false` and a word for almost every error."""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fakes.slack import oauth
from tests.fakes.slack.blocks import Refused, check_message
from tests.fakes.slack.faults import Fault
from tests.fakes.slack.state import Call, Post, State
from tests.fakes.slack.wire import Cut, Request, Response, as_json
from tests.fakes.slack.world import Channel, Token

Args = dict[str, Any]
Answer = dict[str, Any]


class Busy(Exception):
    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Method:
    scope: str
    answer: Callable[[State, Token, Args], Answer]


def call(slack: State, request: Request, method: str) -> Response:
    """One call of the Web API; faults that were asked for come first."""
    args = request.args
    token = slack.tokens.get(request.bearer or args.get("token", ""))
    team = token.installation.team.id if token else ""
    channel = str(args.get("channel", ""))
    fault = slack.fault_of(method, channel, team)
    try:
        response, word = _stumbled(slack, fault) or _answered(slack, request, method, args)
    except Cut:
        _record(slack, method, team, channel, args, 0, "cut", token)
        raise
    _record(slack, method, team, channel, args, response.status, word, token)
    if fault and fault.kind == "lose":
        raise Cut
    return response


def _record(slack: State, method: str, team: str, channel: str, args: Args, status: int, word: str, token: Token | None) -> None:
    with slack.lock:
        slack.calls.append(Call(time.monotonic(), method, team, channel, args, status, word, token.text if token else ""))


def _stumbled(slack: State, fault: Fault | None) -> tuple[Response, str] | None:
    match fault:
        case Fault(kind="refuse"):
            return as_json({"ok": False, "error": fault.word, **fault.more}), fault.word
        case Fault(kind="busy"):
            return _too_many(fault.seconds), "ratelimited"
        case Fault(kind="broken"):
            return Response(fault.status, fault.page.encode()), "broken"
        case Fault(kind="cut"):
            raise Cut
        case Fault(kind="slow"):
            slack.ended.wait(fault.seconds)
    return None


def _too_many(seconds: float) -> Response:
    return as_json({"ok": False, "error": "ratelimited"}, 429, Retry_After=f"{seconds:g}")


def _answered(slack: State, request: Request, method: str, args: Args) -> tuple[Response, str]:
    with slack.lock:
        try:
            said, scopes = _said(slack, request, method, args)
        except Busy as busy:
            return _too_many(busy.retry_after), "ratelimited"
        except Missing as missing:
            return as_json({"ok": False, "error": "missing_scope", "needed": missing.needed, "provided": missing.provided}), "missing_scope"
        except Refused as refused:
            more = {"response_metadata": {"messages": list(refused.messages)}} if refused.messages else {}
            return as_json({"ok": False, "error": refused.word, **more}), refused.word
    return as_json({"ok": True, **said}, X_OAuth_Scopes=scopes), ""


def _said(slack: State, request: Request, method: str, args: Args) -> tuple[Answer, str]:
    if method == "oauth.v2.access":
        _let(slack, method, "")
        return oauth.access(slack, request), ""
    if method not in METHODS and method != "apps.uninstall":
        raise Refused("unknown_method")
    token = _token(slack, request, args)
    scopes = token.installation.scopes
    _let(slack, method, token.installation.team.id)
    if method == "apps.uninstall":
        return oauth.uninstall(slack, request, token), ",".join(scopes)
    if METHODS[method].scope and METHODS[method].scope not in scopes:
        raise Missing(METHODS[method].scope, ",".join(scopes))
    return METHODS[method].answer(slack, token, args), ",".join(scopes)


class Missing(Exception):
    def __init__(self, needed: str, provided: str) -> None:
        super().__init__(needed)
        self.needed, self.provided = needed, provided


def _let(slack: State, method: str, team: str) -> None:
    if seconds := slack.limits.call(method, team, time.monotonic()):
        raise Busy(seconds)


def _token(slack: State, request: Request, args: Args) -> Token:
    """JSON needs the header."""
    text = request.bearer or ("" if request.is_json else args.get("token", ""))
    if not text:
        raise Refused("not_authed")
    token = slack.tokens.get(text)
    if not token:
        raise Refused("invalid_auth")
    if token.gone:
        raise Refused(token.gone)
    if token.expires_at and token.expires_at < slack.now:
        raise Refused("token_expired")
    return token


def _auth_test(slack: State, token: Token, args: Args) -> Answer:
    team, installation = token.installation.team, token.installation
    return {
        "url": f"https://{team.domain}.slack.com/",
        "team": team.name,
        "user": installation.app.name.lower(),
        "team_id": team.id,
        "user_id": installation.bot_user,
        "bot_id": installation.bot_id,
        "is_enterprise_install": False,
        **({"enterprise_id": team.enterprise} if team.enterprise else {}),
    }


def _auth_revoke(slack: State, token: Token, args: Args) -> Answer:
    if str(args.get("test", "")).lower() in ("1", "true"):
        return {"revoked": False}
    oauth.end_token(slack, token)
    return {"revoked": True}


def _channels(slack: State, token: Token, args: Args) -> Answer:
    """Archived ones are left out page by page, so that a page can be short, or empty, before the end."""
    wanted = {kind.strip() for kind in str(args.get("types") or "public_channel").split(",")}
    if "private_channel" in wanted and "groups:read" not in token.installation.scopes:
        raise Missing("groups:read", ",".join(token.installation.scopes))
    try:
        limit = int(args.get("limit") or 100)
        start = int(base64.b64decode(str(args.get("cursor") or "")).decode().removeprefix("next:") or 0)
    except ValueError:
        raise Refused("invalid_cursor") from None
    if not 1 <= limit <= 1000:
        raise Refused("invalid_limit")
    team = token.installation.team
    known = [channel for channel in team.channels.values() if not channel.is_private]
    end = start + min(limit, slack.page_size)
    shown = [channel for channel in known[start:end] if not (channel.is_archived and _is_true(args.get("exclude_archived")))]
    following = base64.b64encode(f"next:{end}".encode()).decode() if end < len(known) else ""
    return {"channels": [channel.facts(team) for channel in shown], "response_metadata": {"next_cursor": following}}


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("1", "true")


def _seen(token: Token, args: Args) -> Channel:
    """A channel this app may know of: a private one it was not invited to is not there for it."""
    channel = token.installation.team.channels.get(str(args.get("channel", "")))
    if not channel or (channel.is_private and not channel.has_bot):
        raise Refused("channel_not_found")
    return channel


def _channel(slack: State, token: Token, args: Args) -> Answer:
    facts = _seen(token, args).facts(token.installation.team)
    if not _is_true(args.get("include_num_members")):
        del facts["num_members"]
    return {"channel": facts}


def _post(slack: State, token: Token, args: Args) -> Answer:
    channel = _writable(token, args)
    at = time.monotonic()
    if seconds := slack.limits.post(channel.id, at):
        raise Busy(seconds)
    check_message(args)
    if args.get("thread_ts") and not _find(slack, channel, args["thread_ts"]):
        raise Refused("cannot_reply_to_message")
    ts, installation = slack.new_ts(), token.installation
    message = _message(args) | {
        "type": "message",
        "ts": ts,
        "team": installation.team.id,
        "user": installation.bot_user,
        "bot_id": installation.bot_id,
        "app_id": installation.app.id,
    }
    slack.keep(Post(at, installation.team, channel, ts, message, installation))
    return {"channel": channel.id, "ts": ts, "message": message}


def _writable(token: Token, args: Args) -> Channel:
    channel = _seen(token, args)
    if channel.is_archived:
        raise Refused("is_archived")
    if channel.refuses:
        raise Refused(channel.refuses)
    if not channel.has_bot and "chat:write.public" not in token.installation.scopes:
        raise Refused("not_in_channel")
    return channel


KEPT = ("text", "blocks", "attachments", "metadata", "thread_ts", "unfurl_links", "unfurl_media", "mrkdwn", "markdown_text", "parse")


def _message(args: Args) -> dict[str, Any]:
    return {name: args[name] for name in KEPT if args.get(name) is not None}


def _find(slack: State, channel: Channel, ts: str) -> Post | None:
    return next((post for post in slack.posts_in(channel) if post.ts == ts), None)


def _update(slack: State, token: Token, args: Args) -> Answer:
    channel = _writable(token, args)
    post = _find(slack, channel, str(args.get("ts", "")))
    if not post:
        raise Refused("message_not_found")
    if post.installation is not token.installation:
        raise Refused("cant_update_message")
    check_message(args, is_update=True)
    post.message |= _message(args) | {"edited": {"user": token.installation.bot_user, "ts": slack.new_ts()}}
    return {"channel": channel.id, "ts": post.ts, "text": post.text, "message": post.message}


def _permalink(slack: State, token: Token, args: Args) -> Answer:
    channel = _seen(token, args)
    post = _find(slack, channel, str(args.get("message_ts", "")))
    if not post:
        raise Refused("message_not_found")
    link = f"https://{token.installation.team.domain}.slack.com/archives/{channel.id}/p{post.ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": link}


def _user(slack: State, token: Token, args: Args) -> Answer:
    team = token.installation.team
    person = team.people.get(str(args.get("user", "")))
    if not person:
        raise Refused("user_not_found")
    return {"user": person.facts(team)}


def _team(slack: State, token: Token, args: Args) -> Answer:
    team = token.installation.team
    return {
        "team": {
            **team.facts(),
            "domain": team.domain,
            "email_domain": "",
            "icon": {"image_default": True},
            "enterprise_id": team.enterprise,
        }
    }


METHODS = {
    "auth.test": Method("", _auth_test),
    "auth.revoke": Method("", _auth_revoke),
    "conversations.list": Method("channels:read", _channels),
    "conversations.info": Method("channels:read", _channel),
    "chat.postMessage": Method("chat:write", _post),
    "chat.update": Method("chat:write", _update),
    "chat.getPermalink": Method("", _permalink),
    "users.info": Method("users:read", _user),
    "team.info": Method("team:read", _team),
}
