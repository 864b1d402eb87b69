"""The fake Slack's pages and events: the way from Link and back, without a browser, and what the events endpoint hears."""

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier

from tests.fakes.slack import FakeSlack
from tests.fakes.slack.mrkdwn import mrkdwn
from tests.fakes.slack.world import Workspace

BACK = "https://runbell.acme.example/integrations/slack/callback"
HEADER = {"type": "header", "text": {"type": "plain_text", "text": "FAILED · nightly"}}
STATE = "state with / and = and é"


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as slack:
        yield slack


class Visitor:
    """A browser as far as these pages need one: cookies, and the page that is open."""

    def __init__(self, slack: FakeSlack) -> None:
        self.slack, self.browser, self.page = slack, requests.Session(), requests.Response()
        self.browser.trust_env = False

    def go(self, method: str, url: str, **form: str) -> None:
        self.page = self.browser.request(method, self.slack.url + url, data=form or None, allow_redirects=False, timeout=20)
        if self.page.is_redirect and self.way_back() is None:
            self.go("GET", self.page.headers["Location"])

    def link(self, **more: str) -> None:
        app = self.slack.app
        query = {"client_id": app.client_id, "scope": "channels:read,chat:write", "redirect_uri": BACK, "state": STATE, **more}
        self.go("GET", f"/oauth/v2/authorize?{urlencode(query)}")

    def fill(self, **form: str) -> None:
        action = re.findall(r'<form method="post" action="([^"]+)"', self.page.text)[-1].replace("&amp;", "&")
        self.go("POST", action, **form)

    def way_back(self) -> dict[str, str] | None:
        """The answer to the app, when the visitor was sent back."""
        to = self.page.headers.get("Location", "")
        return {name: values[0] for name, values in parse_qs(urlsplit(to).query).items()} if to.startswith(BACK) else None


@pytest.fixture
def visitor(slack: FakeSlack) -> Iterator[Visitor]:
    visitor = Visitor(slack)
    yield visitor
    visitor.browser.close()


def test_signed_out_through_workspace_password_and_permissions(slack: FakeSlack, visitor: Visitor) -> None:
    visitor.link()
    assert "Sign in to your workspace" in visitor.page.text
    visitor.fill(domain="nobody")
    assert "find your workspace" in visitor.page.text
    visitor.fill(domain="acme.slack.com")
    visitor.fill(email="ada@acme.example", password="wrong")
    assert "incorrect email address or password" in visitor.page.text
    visitor.fill(email="ada@acme.example", password="ada-password")
    assert "permission to access the Acme HQ Slack workspace" in visitor.page.text
    slack.forward(minutes=9)
    visitor.fill(choice="allow")
    back = visitor.way_back()
    assert back
    assert back["state"] == STATE
    granted = slack.grants[back["code"]]
    assert (granted.person, granted.team, granted.scopes) == (slack.acme.person("ada"), slack.acme, ("channels:read", "chat:write"))


def signed_in(visitor: Visitor, name: str = "ada", team: Workspace | None = None) -> None:
    team = team or visitor.slack.acme
    session = visitor.browser.cookies.get("fake_slack")
    cookie = visitor.slack.sign_in(team.person(name), team, {"value": session} if session else None)
    visitor.browser.cookies["fake_slack"] = cookie["value"]


def test_cancelling_says_so(visitor: Visitor) -> None:
    signed_in(visitor)
    visitor.link()
    visitor.fill(choice="cancel")
    assert visitor.way_back() == {"error": "access_denied", "state": STATE}


def test_a_workspace_is_picked(slack: FakeSlack, visitor: Visitor) -> None:
    beta = slack.add_workspace("Beta Labs", "beta")
    ada = beta.add_person("ada", "owner")
    signed_in(visitor)
    signed_in(visitor, team=beta)
    visitor.link()
    assert "the Acme HQ Slack workspace" in visitor.page.text
    visitor.link(team=beta.id)
    assert "the Beta Labs Slack workspace" in visitor.page.text
    visitor.fill(choice="allow")
    back = visitor.way_back()
    assert back
    assert (slack.grants[back["code"]].team, slack.grants[back["code"]].person) == (beta, ada)


def test_a_whole_organization(slack: FakeSlack, visitor: Visitor) -> None:
    corp = slack.add_workspace("Corp", "corp", enterprise="E0CORP")
    corp.add_person("ada", "owner")
    signed_in(visitor, team=corp)
    visitor.link(team="E0CORP")
    visitor.fill(choice="allow", org="1")
    back = visitor.way_back()
    assert back
    app = slack.app
    form = {"client_id": app.client_id, "client_secret": app.client_secret, "code": back["code"], "redirect_uri": BACK}
    given = requests.post(f"{slack.api_url}oauth.v2.access", data=form, timeout=20).json()
    assert (given["team"], given["enterprise"]["id"], given["is_enterprise_install"]) == (None, "E0CORP", True)


def test_who_may_not(slack: FakeSlack, visitor: Visitor) -> None:
    signed_in(visitor, "gus")
    visitor.link()
    assert "not authorized to install" in visitor.page.text
    slack.app.is_distributed, slack.app.home = False, slack.add_workspace("Home")
    signed_in(visitor)
    visitor.link()
    assert "invalid_team_for_non_distributed_app" in visitor.page.text


@pytest.mark.parametrize(
    "wrong", [{"client_id": "1"}, {"redirect_uri": "https://evil.example/"}, {"redirect_uri": "http://acme.example/"}, {"scope": ""}]
)
def test_a_link_that_is_wrong_goes_nowhere(slack: FakeSlack, visitor: Visitor, wrong: dict[str, str]) -> None:
    slack.app.redirect_urls = ["https://runbell.acme.example/integrations"]
    visitor.link(**wrong)
    assert visitor.page.status_code == 400
    assert visitor.way_back() is None


# What was posted, as people see it.


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("*bold* _it_ ~gone~ snake_case_name", "<strong>bold</strong> <em>it</em> <s>gone</s> snake_case_name"),
        ("&lt;!channel&gt; &amp;amp; <b>", "&lt;!channel&gt; &amp;amp; b"),
        ("<https://acme.example/?a=1&amp;b=2|the run>", '<a href="https://acme.example/?a=1&amp;b=2">the run</a>'),
        ("<javascript:alert(1)|the run>", "the run"),
        ("`SELECT *` <!channel>", "<code>SELECT *</code> <strong>@channel</strong>"),
    ],
)
def test_markup_is_drawn_as_slack_does(written: str, shown: str) -> None:
    assert mrkdwn(written) == shown


def test_a_channel_shows_what_was_posted_there(slack: FakeSlack, visitor: Visitor) -> None:
    here, rich = slack.acme.channel("data-alerts"), {"type": "text", "text": "<script>", "style": {"code": True}}
    blocks = [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [rich]}]}]
    attachments = [{"color": "#D9302E", "blocks": blocks}]
    client = WebClient(slack.install(), base_url=slack.api_url, retry_handlers=[])
    client.chat_postMessage(channel=here.id, text="FAILED", blocks=[HEADER], attachments=attachments)
    visitor.go("GET", f"/channel/{here.id}")
    for drawn in ("FAILED · nightly", "--bar: #D9302E", "<code>&lt;script&gt;</code>"):
        assert drawn in visitor.page.text
    visitor.go("POST", "/acts", act="archive", channel=here.id)
    assert here.is_archived
    assert "Unarchive" in visitor.page.text


# Events.


class Endpoint(BaseHTTPRequestHandler):
    heard: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append((dict(self.headers), body))
        said = json.loads(body).get("challenge", "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


@pytest.fixture
def heard(slack: FakeSlack) -> Iterator[list[tuple[dict[str, str], bytes]]]:
    Endpoint.heard.clear()
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    slack.app.events_url = f"http://127.0.0.1:{server.server_address[1]}/integrations/slack/events"
    slack.install()
    yield Endpoint.heard
    server.shutdown()
    thread.join()
    server.server_close()


def event(heard: list[tuple[dict[str, str], bytes]], index: int = -1) -> Any:
    return json.loads(heard[index][1])["event"]


def test_events_are_signed_and_wrapped(slack: FakeSlack, heard: list[tuple[dict[str, str], bytes]]) -> None:
    assert slack.verify_url()
    slack.rename(slack.acme.channel("shop-ops"), "shop-operations")
    headers, body = heard[-1]
    assert SignatureVerifier(slack.app.signing_secret).is_valid_request(body, headers)
    assert (json.loads(body)["team_id"], json.loads(body)["api_app_id"]) == (slack.acme.id, slack.app.id)
    assert (event(heard)["type"], event(heard)["channel"]["name"]) == ("channel_rename", "shop-operations")
    slack.send_again(slack.sent[-1])
    assert json.loads(heard[-1][1])["event_id"] == json.loads(body)["event_id"]
    assert heard[-1][0]["X-Slack-Retry-Num"] == "1"


def test_what_happens_in_slack_is_told(slack: FakeSlack, heard: list[tuple[dict[str, str], bytes]]) -> None:
    channel, olga = slack.acme.channel("shop-ops"), slack.acme.person("olga")
    slack.archive(channel)
    slack.unarchive(channel)
    slack.delete(channel)
    slack.demote(olga)
    slack.deactivate(olga)
    assert [event(heard, index)["type"] for index in range(5)] == [
        "channel_archive", "channel_unarchive", "channel_deleted", "user_change", "user_change",
    ]  # fmt: skip
    assert event(heard, 3)["user"]["is_owner"] is False
    assert event(heard, 4)["user"]["deleted"] is True
    assert {sent.status for sent in slack.sent} == {200}


def test_an_app_hears_of_its_end_once(slack: FakeSlack, heard: list[tuple[dict[str, str], bytes]]) -> None:
    slack.uninstall(slack.acme)
    assert [event(heard, index)["type"] for index in range(2)] == ["tokens_revoked", "app_uninstalled"]
    assert len(heard) == 2
    slack.demote(slack.acme.person("olga"))
    assert len(heard) == 2


def test_no_events_without_an_address(slack: FakeSlack) -> None:
    slack.install()
    slack.archive(slack.acme.channel("shop-ops"))
    slack.uninstall(slack.acme)
    assert slack.sent == []
