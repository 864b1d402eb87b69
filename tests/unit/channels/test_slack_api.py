"""The typed client against a real server on this machine: what it reads, what it makes of trouble, and what it never tells."""

import logging
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from select import select
from typing import Any

import pytest
import trustme

from runbell.channels.http import IDLE, Http, Lost, trust
from runbell.channels.slack_api import SlackApi
from runbell.channels.slack_errors import SlackTrouble, TroubleKind
from tests.fakes.http_server import Reply, ScriptedHttp
from tests.quiet import MARK

TOKEN, SECRET, CODE = f"xoxb-1234567890-{MARK}-hushtoken", f"{MARK}hushclient", f"{MARK}hushcode"
ACCESS = {
    "ok": True,
    "access_token": TOKEN,
    "token_type": "bot",
    "scope": "channels:read,chat:write",
    "bot_user_id": "U0BOT",
    "app_id": "A1",
    "team": {"id": "T1", "name": "Acme"},
    "enterprise": None,
    "is_enterprise_install": False,
    "authed_user": {"id": "UADA"},
}


@pytest.fixture(autouse=True)
def no_proxy_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def api(server: ScriptedHttp, timeout: float = 5.0) -> SlackApi:
    return SlackApi(f"{server.url}api/", TOKEN, timeout=timeout)


def trouble_of(call: Callable[[], Any]) -> SlackTrouble:
    with pytest.raises(SlackTrouble) as caught:
        call()
    return caught.value


def test_a_code_becomes_an_installation() -> None:
    with ScriptedHttp(Reply(body=ACCESS)) as server:
        found = SlackApi(f"{server.url}api/").access("123.456", SECRET, CODE, "https://runbell.acme.example/integrations/slack/callback")
    assert server.asked[0].path == "/api/oauth.v2.access"
    assert server.asked[0].headers["authorization"].startswith("Basic ")
    assert server.asked[0].form["code"] == CODE
    assert SECRET not in server.asked[0].body.decode()
    assert (found.team_id, found.team_name, found.user_id, found.bot_user_id) == ("T1", "Acme", "UADA", "U0BOT")
    assert (found.tokens.token, found.tokens.scopes) == (TOKEN, ("channels:read", "chat:write"))
    assert (found.tokens.refresh_token, found.tokens.expires_in, found.enterprise_id) == ("", None, "")
    assert "hush" not in repr(found)


def test_rotation_brings_a_refresh_token() -> None:
    said = {**ACCESS, "refresh_token": "xoxe-1-hush", "expires_in": 43_200}
    with ScriptedHttp(Reply(body=said)) as server:
        tokens = SlackApi(server.url).refresh("123.456", SECRET, "xoxe-1-OLD")
    assert server.asked[0].form == {"grant_type": "refresh_token", "refresh_token": "xoxe-1-OLD"}
    assert (tokens.refresh_token, tokens.expires_in) == ("xoxe-1-hush", 43_200)
    assert "hush" not in repr(tokens)


def test_an_org_wide_installation_has_no_team() -> None:
    said = {**ACCESS, "team": None, "enterprise": {"id": "E1", "name": "Acme"}, "is_enterprise_install": True}
    with ScriptedHttp(Reply(body=said)) as server:
        found = SlackApi(server.url).access("1", SECRET, CODE, "https://x.example/")
    assert (found.team_id, found.enterprise_id, found.is_enterprise_install) == ("", "E1", True)


def test_a_grant_without_a_bot_is_refused() -> None:
    with ScriptedHttp(Reply(body={"ok": True, "authed_user": {"id": "UADA", "access_token": "xoxp-1-hush"}})) as server:
        trouble = trouble_of(lambda: SlackApi(server.url).access("1", SECRET, CODE, "https://x.example/"))
    assert (trouble.kind, trouble.because.code) == (TroubleKind.REFUSED, "slack_no_bot_token")


def test_who_a_token_is() -> None:
    said = {"ok": True, "url": "https://acme.slack.com/", "team": "Acme", "team_id": "T1", "user_id": "U0BOT", "bot_id": "B1"}
    with ScriptedHttp(Reply(body=said, headers={"X-OAuth-Scopes": "channels:read, chat:write"})) as server:
        found = api(server).auth_test()
    assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert (found.team_id, found.team_name, found.url) == ("T1", "Acme", "https://acme.slack.com/")
    assert found.scopes == ("channels:read", "chat:write")


@pytest.mark.parametrize(
    ("flags", "rank"),
    [
        ({"is_primary_owner": True, "is_owner": True, "is_admin": True}, "primary_owner"),
        ({"is_owner": True, "is_admin": True}, "owner"),
        ({"is_admin": True}, "admin"),
        ({}, "member"),
    ],
)
def test_ranks(flags: dict[str, bool], rank: str) -> None:
    with ScriptedHttp(Reply(body={"ok": True, "user": {"id": "UADA", "name": "ada", "deleted": False, **flags}})) as server:
        user = api(server).user("UADA")
    assert server.asked[0].form == {"user": "UADA"}
    assert (user.rank, user.name, user.is_deleted, user.is_guest) == (rank, "ada", False, False)


def test_channels_come_in_pages() -> None:
    one = {"id": "C1", "name": "data-alerts", "is_private": False, "is_archived": False, "num_members": 12}
    pages = (
        Reply(body={"ok": True, "channels": [one], "response_metadata": {"next_cursor": "dGVhbQ=="}}),
        Reply(body={"ok": True, "channels": [], "response_metadata": {"next_cursor": ""}}),
        Reply(body={"ok": True, "channel": {**one, "is_archived": True}}),
    )
    with ScriptedHttp(*pages) as server:
        slack = api(server)
        first = slack.channels()
        last = slack.channels(first.next_cursor)
        single = slack.channel("C1")
    assert [(fact.id, fact.name, fact.members) for fact in first.channels] == [("C1", "data-alerts", 12)]
    assert (last.channels, last.next_cursor) == ((), "")
    assert server.asked[0].form == {"exclude_archived": "1", "limit": "999", "types": "public_channel"}
    assert server.asked[1].form["cursor"] == "dGVhbQ=="
    assert server.asked[2].form == {"channel": "C1", "include_num_members": "1"}
    assert single.is_archived
    assert server.connections == 1  # the client's requests pass through our seam, on one kept connection


def test_posting_and_revoking() -> None:
    with ScriptedHttp(
        Reply(body={"ok": True, "ts": "1790000000.000100", "channel": "C1"}), Reply(body={"ok": True, "revoked": True})
    ) as server:
        slack = api(server)
        assert slack.post('{"channel":"C1","text":"ёж & <b>"}'.encode()) == "1790000000.000100"
        slack.revoke()
    assert server.asked[0].json == {"channel": "C1", "text": "ёж & <b>"}
    assert server.asked[0].path == "/api/chat.postMessage"
    assert server.asked[0].headers["content-type"] == "application/json;charset=utf-8"
    for name in ("authorization", "user-agent"):
        assert server.asked[0].headers[name] == server.asked[1].headers[name]  # which Slack's own client made
    assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert server.asked[1].path == "/api/auth.revoke"


TROUBLES = [
    (Reply(body={"ok": False, "error": "is_archived"}), TroubleKind.CHANNEL, "slack_is_archived", None, False),
    (Reply(body={"ok": False, "error": "token_revoked"}), TroubleKind.INSTALLATION, "slack_token_revoked", None, False),
    (Reply(body={"ok": False, "error": "invalid_blocks"}), TroubleKind.REFUSED, "slack_invalid_blocks", None, False),
    (Reply(429, headers={"Retry-After": "7"}), TroubleKind.TRANSIENT, "slack_ratelimited", 7, False),
    (Reply(429, "too many", {"Retry-After": "7"}), TroubleKind.TRANSIENT, "slack_ratelimited", 7, False),
    (Reply(503, "<html>down</html>"), TroubleKind.TRANSIENT, "slack_http", None, False),
    (Reply(500, {"ok": False, "error": "internal_error"}), TroubleKind.TRANSIENT, "slack_internal_error", None, False),
    (Reply(200, "<html>sign in to this network</html>"), TroubleKind.TRANSIENT, "slack_http", None, False),
    (Reply(200, "[" * 100_000), TroubleKind.TRANSIENT, "slack_http", None, False),
    (Reply(200, b"\xff\xfe{\x00}\x00"), TroubleKind.TRANSIENT, "slack_http", None, False),  # JSON, but in UTF-16
    (Reply(200, "[1]"), TroubleKind.TRANSIENT, "slack_http", None, False),
    (Reply(302, "", {"Location": "http://127.0.0.1:9/"}), TroubleKind.TRANSIENT, "slack_http", None, False),
    (Reply(200, b"{\xe4}"), TroubleKind.TRANSIENT, "slack_http", None, False),
    (Reply(drops=True), TroubleKind.TRANSIENT, "slack_no_answer", None, True),
    (Reply(hangs=True), TroubleKind.TRANSIENT, "slack_no_answer", None, True),
    (Reply(headers={"Content-Length": "999"}, closes=True), TroubleKind.TRANSIENT, "slack_no_answer", None, True),
]


@pytest.mark.parametrize(("reply", "kind", "code", "after", "is_lost"), TROUBLES)
def test_troubles(reply: Reply, kind: TroubleKind, code: str, after: int | None, is_lost: bool) -> None:
    with ScriptedHttp(reply) as server:
        slack = api(server, timeout=0.3)
        trouble = trouble_of(lambda: slack.post(b'{"channel":"C1","text":"x"}'))
    assert (trouble.kind, trouble.because.code, trouble.is_lost) == (kind, code, is_lost)
    assert trouble.retry_after == (None if after is None else timedelta(seconds=after))
    assert len(server.asked) == 1  # never tried again by itself


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    trouble = trouble_of(SlackApi(f"http://127.0.0.1:{port}/api/", TOKEN).auth_test)
    assert (trouble.because.code, trouble.is_lost) == ("slack_unreachable", False)
    assert trouble.because.params["text"]


@pytest.mark.parametrize("url", ["https://no-such-host.invalid/api/", "https://127.0.0.1:99999/api/", "https:///api/"])
def test_a_url_that_leads_nowhere(url: str) -> None:
    assert trouble_of(SlackApi(url, TOKEN).auth_test).because.code == "slack_unreachable"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A certificate for slack.test, trusted through SSL_CERT_FILE."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("slack.test").configure_cert(context)
    trust.cache_clear()
    yield context
    trust.cache_clear()


def test_through_a_proxy(authority: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedHttp(Reply(body=ACCESS), tls=authority) as slack, ScriptedHttp() as proxy:
        proxy.forward_to = ("127.0.0.1", slack.port)
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:p%40ss@127.0.0.1:{proxy.port}")
        client = SlackApi("https://slack.test/api/")
        assert client.access("1", SECRET, CODE, "https://x.example/").team_id == "T1"
    assert proxy.tunnels == [("slack.test:443", "Basic YWRhOnBAc3M=")]
    assert slack.asked[0].path == "/api/oauth.v2.access"
    assert "proxy-authorization" not in slack.asked[0].headers


def test_no_proxy_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedHttp(Reply(body={"ok": True, "team_id": "T1"})) as server:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        slack = api(server)
        assert slack.auth_test().team_id == "T1"


def test_a_proxy_that_is_not_there_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:hush@127.0.0.1:9")
    trouble = trouble_of(SlackApi("https://slack.test/api/", TOKEN).auth_test)
    assert trouble.because.params["proxy"] == "127.0.0.1:9"
    assert "hush" not in str(trouble.because)


def test_what_a_proxy_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedHttp() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
        trouble = trouble_of(SlackApi("https://slack.test/api/", TOKEN).auth_test)
    assert trouble.because.code == "slack_unreachable"
    assert "407" in trouble.because.params["text"]


def test_a_certificate_that_nobody_vouches_for() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedHttp(tls=context) as server:
        trouble = trouble_of(api(server).auth_test)
    assert (trouble.because.code, trouble.is_lost) == ("slack_tls", False)
    assert not server.asked


def test_nothing_secret_is_logged_or_raised(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("slack_sdk").setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    replies = [Reply(body={**ACCESS, "ok": False, "error": "invalid_code"}), *(reply for reply, *_ in TROUBLES)]
    for reply in replies:
        with ScriptedHttp(reply) as server:
            slack = api(server, timeout=0.2)
            trouble = trouble_of(lambda: slack.access("123.456", SECRET, CODE, "https://x.example/"))  # noqa: B023
            assert (trouble.__cause__, trouble.__context__) == (None, None)
            posted = trouble_of(lambda: slack.post(b"{}"))  # noqa: B023
            assert (posted.__cause__, posted.__context__) == (None, None)
        assert "hush" not in "".join(traceback.format_exception(trouble)) + repr(trouble) + repr(vars(trouble)) + repr(slack)
    assert "hush" not in caplog.text + "".join(capsys.readouterr())
    assert not caplog.records


@pytest.mark.parametrize("token", ["xoxb-1\r\nhush: 1", "xoxb-hush-ключ"])
def test_a_token_that_cannot_be_sent_is_not_repeated(token: str) -> None:
    with ScriptedHttp() as server:
        slack = SlackApi(server.url, token)
        for call in (slack.auth_test, lambda: slack.post(b"{}")):
            trouble = trouble_of(call)
            assert (trouble.because.code, trouble.is_lost, trouble.__context__) == ("slack_unreachable", False, None)
            assert "hush" not in repr(vars(trouble))
    assert not server.asked


def test_a_connection_that_was_closed_meanwhile_is_opened_anew() -> None:
    with ScriptedHttp(Reply(closes=True), Reply()) as server:
        http = Http(timeout=5)
        assert http.post(server.url, b"1", {}).status == 200
        assert http._kept
        select([http._kept.sock], [], [], 10)  # until the goodbye is here
        assert http.post(server.url, b"2", {}).status == 200
        http.close()
    assert server.connections == 2


def test_a_connection_that_rested_is_opened_anew() -> None:
    """A firewall may have dropped it without a word; what is sent on it would be lost in doubt."""
    now = [0.0]
    with ScriptedHttp() as server:
        http = Http(timeout=5, clock=lambda: now[0])
        for at in (0.0, IDLE, 2 * IDLE + 1):
            now[0] = at
            http.post(server.url, b"", {})
        http.close()
    assert server.connections == 2


def test_after_a_lost_answer_the_next_is_not_mistaken_for_it() -> None:
    with ScriptedHttp(Reply(hangs=True), Reply(body={"ok": True, "n": 2})) as server:
        http = Http(timeout=0.3)
        with pytest.raises(Lost):
            http.post(server.url, b"1", {})
        assert b'"n": 2' in http.post(server.url, b"2", {}).body
        http.close()
