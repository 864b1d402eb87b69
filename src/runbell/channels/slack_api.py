"""Slack's Web API, as far as Runbell asks it: typed answers, and every trouble as a `SlackTrouble`.

The client is Slack's own, on a kept connection of ours: it neither tries again (the outbox decides), nor logs, nor reads a proxy by
rules of its own, and what it raises, which holds tokens, goes no further. Posts, of which there are many, take the connection without it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from json import loads
from typing import Any
from urllib.parse import urljoin
from urllib.request import Request

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from runbell.channels.http import Http, Lost, Unreached
from runbell.channels.slack_errors import SlackTrouble, TroubleKind, of_answer, of_lost, of_unreached
from runbell.core.because import Because

PAGE = 999  # channels at once; conversations.list takes fewer than 1,000, twenty times a minute
_SILENT = logging.Logger("slack_sdk.silent", logging.CRITICAL + 1)  # in no hierarchy: at debug level the client would log requests


@dataclass(frozen=True, slots=True)
class Tokens:
    """`expires_in` seconds and `refresh_token` come with token rotation only."""

    token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    expires_in: int | None = None
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Installation:
    """What an admin of Slack allowed. An org-wide one has no team."""

    tokens: Tokens
    team_id: str
    team_name: str
    enterprise_id: str
    is_enterprise_install: bool
    app_id: str
    bot_user_id: str
    user_id: str  # who allowed it


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token is."""

    team_id: str
    team_name: str
    url: str
    enterprise_id: str
    user_id: str
    bot_id: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SlackUser:
    """`rank`: primary_owner, owner, admin or member."""

    id: str
    name: str
    rank: str
    is_deleted: bool
    is_bot: bool
    is_guest: bool


@dataclass(frozen=True, slots=True)
class ChannelFact:
    """`name` without the number sign."""

    id: str
    name: str
    members: int | None
    is_private: bool
    is_archived: bool


@dataclass(frozen=True, slots=True)
class ChannelPage:
    """Empty pages happen; the end is an empty `next_cursor`."""

    channels: tuple[ChannelFact, ...]
    next_cursor: str


class SlackApi:
    """Used by one thread at a time. Every method raises `SlackTrouble` and nothing else."""

    def __init__(self, url: str, token: str = "", *, timeout: float = 10.0) -> None:
        self._http = Http(timeout=timeout)
        self._client = _Client(url, token, self._http)
        self._post_to = urljoin(self._client.base_url, "chat.postMessage")
        self._post_as = {
            "User-Agent": self._client.headers["User-Agent"],
            "Authorization": f"Bearer {self._client.token}",
            "Content-Type": "application/json;charset=utf-8",
        }

    def close(self) -> None:
        self._http.close()

    def access(self, client_id: str, client_secret: str, code: str, redirect_uri: str) -> Installation:
        """The code of one authorization, for a token. Codes live ten minutes and work once."""
        said = self._ask(
            self._client.oauth_v2_access, client_id=client_id, client_secret=client_secret, code=code, redirect_uri=redirect_uri
        )
        return _installation(said)

    def refresh(self, client_id: str, client_secret: str, refresh_token: str) -> Tokens:
        said = self._ask(
            self._client.oauth_v2_access,
            client_id=client_id,
            client_secret=client_secret,
            grant_type="refresh_token",
            refresh_token=refresh_token,
        )
        return _tokens(said)

    def auth_test(self) -> Identity:
        said = self._ask(self._client.auth_test)
        scopes = next((value for name, value in said.headers.items() if name.lower() == "x-oauth-scopes"), "")
        return Identity(
            team_id=_text(said, "team_id"),
            team_name=_text(said, "team"),
            url=_text(said, "url"),
            enterprise_id=_text(said, "enterprise_id"),
            user_id=_text(said, "user_id"),
            bot_id=_text(said, "bot_id"),
            scopes=_scopes(scopes),
        )

    def user(self, user_id: str) -> SlackUser:
        return _user(_part(self._ask(self._client.users_info, user=user_id), "user"))

    def channels(self, cursor: str = "") -> ChannelPage:
        """Public Slack channels that are not archived, a page at a time."""
        said = self._ask(self._client.conversations_list, cursor=cursor or None, exclude_archived=True, limit=PAGE, types="public_channel")
        found = tuple(_channel(item) for item in said.get("channels") or () if isinstance(item, Mapping))
        return ChannelPage(found, _text(_part(said, "response_metadata"), "next_cursor"))

    def channel(self, channel_id: str) -> ChannelFact:
        return _channel(_part(self._ask(self._client.conversations_info, channel=channel_id, include_num_members=True), "channel"))

    def revoke(self) -> None:
        """Takes the token back. Without rotation this takes the bot out of the workspace, for everybody who linked it."""
        self._ask(self._client.auth_revoke)

    def post(self, body: bytes) -> str:
        """chat.postMessage of a JSON object; the timestamp by which Slack knows the message."""
        try:
            answer = self._http.post(self._post_to, body, self._post_as)
        except Unreached as error:
            trouble = of_unreached(error)
        except Lost:
            trouble = of_lost()
        else:
            said = _object(answer.body) or {}
            if answer.status == 200 and said.get("ok"):
                return _text(said, "ts")
            trouble = of_answer(answer.status, answer.headers, said)
        raise trouble  # out here, as below

    def _ask(self, call: Callable[..., SlackResponse], **arguments: Any) -> SlackResponse:
        try:
            return call(**arguments)
        except SlackApiError as refused:
            said = refused.response
            trouble = of_answer(said.status_code, said.headers, said.data)
        except _NoJson as strange:
            trouble = of_answer(strange.status, strange.headers, {})
        except Unreached as error:
            trouble = of_unreached(error)
        except Lost:
            trouble = of_lost()
        raise trouble  # out here, so that it carries along none of the above


class _NoJson(Exception):
    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status, self.headers = status, headers


class _Client(WebClient):
    """The seam below is the sdk's own private one, the only place where it touches the network; a test sees that it is used."""

    def __init__(self, url: str, token: str, http: Http) -> None:
        super().__init__(token=token or None, base_url=url, logger=_SILENT, retry_handlers=[], user_agent_prefix="runbell")
        self._http = http

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        body = req.data if isinstance(req.data, bytes) else b""
        answer = self._http.post(url, body, dict(req.header_items()))
        if _object(answer.body) is None:
            raise _NoJson(answer.status, answer.headers)
        return {"status": answer.status, "headers": answer.headers, "body": answer.body.decode()}


def _object(body: bytes) -> dict[str, Any] | None:
    """None for whatever is no JSON object in UTF-8."""
    try:
        said = loads(body.decode())
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _installation(said: SlackResponse) -> Installation:
    team, enterprise = _part(said, "team"), _part(said, "enterprise")
    return Installation(
        tokens=_tokens(said),
        team_id=_text(team, "id"),
        team_name=_text(team, "name"),
        enterprise_id=_text(enterprise, "id"),
        is_enterprise_install=bool(said.get("is_enterprise_install")),
        app_id=_text(said, "app_id"),
        bot_user_id=_text(said, "bot_user_id"),
        user_id=_text(_part(said, "authed_user"), "id"),
    )


def _tokens(said: SlackResponse) -> Tokens:
    """An app that asks for user scopes alone gets no token of a bot."""
    token, expires_in = _text(said, "access_token"), said.get("expires_in")
    if not token:
        raise SlackTrouble(Because("slack_no_bot_token"), TroubleKind.REFUSED)
    return Tokens(token, _text(said, "refresh_token"), expires_in if isinstance(expires_in, int) else None, _scopes(_text(said, "scope")))


def _user(said: Mapping[str, Any]) -> SlackUser:
    ranks = (("is_primary_owner", "primary_owner"), ("is_owner", "owner"), ("is_admin", "admin"))
    return SlackUser(
        id=_text(said, "id"),
        name=_text(said, "real_name") or _text(said, "name"),
        rank=next((rank for flag, rank in ranks if said.get(flag)), "member"),
        is_deleted=bool(said.get("deleted")),
        is_bot=bool(said.get("is_bot")),
        is_guest=bool(said.get("is_restricted") or said.get("is_ultra_restricted")),
    )


def _channel(said: Mapping[str, Any]) -> ChannelFact:
    members = said.get("num_members")
    return ChannelFact(
        id=_text(said, "id"),
        name=_text(said, "name"),
        members=members if isinstance(members, int) else None,
        is_private=bool(said.get("is_private")),
        is_archived=bool(said.get("is_archived")),
    )


def _scopes(comma_list: str) -> tuple[str, ...]:
    return tuple(filter(None, (scope.strip() for scope in comma_list.split(","))))


def _part(said: Mapping[str, Any] | SlackResponse, name: str) -> Mapping[str, Any]:
    value = said.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(said: Mapping[str, Any] | SlackResponse, name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""
