"""Incoming webhooks: `ok`, or a status and a word. https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"""

import json
import time
from typing import Any

from tests.fakes.slack.blocks import Refused, check_message
from tests.fakes.slack.faults import Fault
from tests.fakes.slack.state import Call, Post, State
from tests.fakes.slack.wire import Cut, Request, Response, as_text
from tests.fakes.slack.world import Hook

METHOD = "webhook"


def receive(slack: State, request: Request) -> Response:
    hook = slack.hooks.get(request.path)
    channel, team = (hook.channel.id, hook.team.id) if hook else ("", "")
    fault = slack.fault_of(METHOD, channel, team)
    message = _message(request)
    try:
        response = _stumbled(slack, fault) or _answered(slack, request, hook, message)
    except Cut:
        response = as_text("cut", 0)
    with slack.lock:
        word = "" if response.status == 200 else response.body.decode()
        slack.calls.append(Call(time.monotonic(), METHOD, team, channel, message or {}, response.status, word))
    if fault and fault.kind in ("cut", "lose"):
        raise Cut
    return response


def _stumbled(slack: State, fault: Fault | None) -> Response | None:
    match fault:
        case Fault(kind="refuse"):
            return as_text(fault.word, fault.status)
        case Fault(kind="busy"):
            return as_text("rate_limited", 429, Retry_After=f"{fault.seconds:g}")
        case Fault(kind="broken"):
            return Response(fault.status, fault.page.encode())
        case Fault(kind="cut"):
            raise Cut
        case Fault(kind="slow"):
            slack.ended.wait(fault.seconds)
    return None


def _message(request: Request) -> dict[str, Any] | None:
    try:
        said = json.loads(request.body if request.is_json else request.form["payload"])
    except (KeyError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def _answered(slack: State, request: Request, hook: Hook | None, message: dict[str, Any] | None) -> Response:
    with slack.lock:
        if not hook:
            return as_text("no_service", 404) if request.path.count("/") == 4 else as_text("no_team", 404)
        if hook.gone:
            return as_text(hook.gone[1], hook.gone[0])
        if hook.channel.id not in hook.team.channels:
            return as_text("channel_not_found", 404)
        if hook.channel.is_archived:
            return as_text("channel_is_archived", 410)
        if hook.channel.refuses:
            return as_text("action_prohibited", 403)
        return _posted(slack, hook, message)


def _posted(slack: State, hook: Hook, message: dict[str, Any] | None) -> Response:
    at = time.monotonic()
    if seconds := slack.limits.post(hook.path, at):
        return as_text("rate_limited", 429, Retry_After=str(seconds))
    if message is None:
        return as_text("invalid_payload", 400)
    try:
        check_message(message)
    except Refused as refused:
        return as_text(refused.word, 400)
    slack.keep(Post(at, hook.team, hook.channel, slack.new_ts(), {"type": "message", **message}))
    return as_text("ok")
