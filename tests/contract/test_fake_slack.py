"""The Slack that tests and the demo use keeps the real one's rules, as slack_sdk sees them."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from tests.fakes.slack import FakeSlack

SCALE = 100
SILENT = logging.Logger("silent", logging.CRITICAL + 1)  # the sdk logs codes and tokens at debug level
BACK = "https://runbell.acme.example/integrations/slack/callback"


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack(scale=SCALE) as slack:
        yield slack


@pytest.fixture
def client(slack: FakeSlack) -> WebClient:
    return client_of(slack, slack.install())


def client_of(slack: FakeSlack, token: str | None = None) -> WebClient:
    return WebClient(token, base_url=slack.api_url, retry_handlers=[], logger=SILENT)


def word(call: Callable[[], Any]) -> str:
    """The error that a call gets, or "ok"."""
    try:
        call()
    except SlackApiError as error:
        return str(error.response.get("error"))
    return "ok"


def exchange(slack: FakeSlack, code: str, **changes: Any) -> Any:
    app = slack.app
    given = {"client_id": app.client_id, "client_secret": app.client_secret, "code": code, "redirect_uri": BACK, **changes}
    return client_of(slack).oauth_v2_access(**given)


def hooked(slack: FakeSlack, url: str, body: bytes = b'{"text": "hello"}') -> tuple[int, str]:
    slack.limits.scale = 1e9
    request = Request(url, body, {"Content-Type": "application/json"}, method="POST")
    try:
        with urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


# Codes and tokens.


def test_a_code_works_once(slack: FakeSlack) -> None:
    ada = slack.acme.person("ada")
    code = slack.code(ada, redirect_uri=BACK)
    given = exchange(slack, code)
    assert given["team"] == {"id": slack.acme.id, "name": "Acme HQ"}
    assert (given["authed_user"]["id"], given["token_type"], given["is_enterprise_install"]) == (ada.id, "bot", False)
    assert client_of(slack, given["access_token"]).auth_test()["team_id"] == slack.acme.id
    assert word(lambda: exchange(slack, code)) == "invalid_code"


def test_a_code_lives_ten_minutes(slack: FakeSlack) -> None:
    early, late = (slack.code(slack.acme.person("ada"), redirect_uri=BACK) for _ in range(2))
    slack.forward(minutes=9)
    assert word(lambda: exchange(slack, early)) == "ok"
    slack.forward(minutes=2)
    assert word(lambda: exchange(slack, late)) == "invalid_code"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"client_id": "1.2"}, "invalid_client_id"),
        ({"client_secret": "wrong"}, "bad_client_secret"),
        ({"redirect_uri": BACK + "/other"}, "bad_redirect_uri"),
        ({"grant_type": "password"}, "invalid_grant_type"),
    ],
)
def test_an_exchange_that_does_not_fit_leaves_the_code_unused(slack: FakeSlack, changes: dict[str, str], said: str) -> None:
    code = slack.code(slack.acme.person("ada"), redirect_uri=BACK)
    assert word(lambda: exchange(slack, code, **changes)) == said
    assert word(lambda: exchange(slack, code)) == "ok"


def test_a_workspace_has_one_token_however_many_link_it(slack: FakeSlack) -> None:
    tokens = [exchange(slack, slack.code(slack.acme.person(who), redirect_uri=BACK))["access_token"] for who in ("ada", "olga")]
    assert tokens[0] == tokens[1]
    client_of(slack, tokens[0]).auth_revoke()
    assert word(client_of(slack, tokens[1]).auth_test) == "token_revoked"


def test_rotation(slack: FakeSlack) -> None:
    slack.app.has_rotation = True
    first = exchange(slack, slack.code(slack.acme.person("ada"), redirect_uri=BACK))
    assert (first["access_token"][:12], first["expires_in"]) == ("xoxe.xoxb-1-", 43200)

    def renew(refresh_token: str) -> Any:
        app = slack.app
        return client_of(slack).oauth_v2_access(
            client_id=app.client_id, client_secret=app.client_secret, grant_type="refresh_token", refresh_token=refresh_token
        )

    second = renew(first["refresh_token"])
    assert word(lambda: renew(first["refresh_token"])) == "invalid_refresh_token"
    assert word(client_of(slack, first["access_token"]).auth_test) == "ok"
    third = renew(second["refresh_token"])
    assert word(client_of(slack, first["access_token"]).auth_test) == "token_revoked"
    slack.forward(hours=13)
    assert word(client_of(slack, third["access_token"]).auth_test) == "token_expired"


def test_uninstalling_ends_every_token(slack: FakeSlack, client: WebClient) -> None:
    assert word(lambda: client.apps_uninstall(client_id=slack.app.client_id, client_secret="no")) == "bad_client_secret"
    client.apps_uninstall(client_id=slack.app.client_id, client_secret=slack.app.client_secret)
    assert word(client.auth_test) == "account_inactive"


def test_a_token_that_is_none(slack: FakeSlack) -> None:
    assert word(client_of(slack).auth_test) == "not_authed"
    assert word(client_of(slack, "xoxb-1").auth_test) == "invalid_auth"


def test_a_missing_scope_is_named(slack: FakeSlack) -> None:
    poor = client_of(slack, slack.install(scopes=("chat:write",)))
    with pytest.raises(SlackApiError) as caught:
        poor.conversations_list()
    assert (caught.value.response["needed"], caught.value.response["provided"]) == ("channels:read", "chat:write")
    assert word(lambda: poor.chat_postMessage(channel=slack.acme.channel("general").id, text="hello")) == "not_in_channel"


# Channels and people.


def pages(client: WebClient, **args: Any) -> Iterator[list[str]]:
    cursor = None
    while cursor != "":
        answer = client.conversations_list(cursor=cursor, **args)
        yield [channel["name"] for channel in answer["channels"]]
        cursor = answer["response_metadata"]["next_cursor"]


def test_every_public_channel_is_listed_once_over_short_and_empty_pages(slack: FakeSlack, client: WebClient) -> None:
    slack.page_size = 3
    slack.acme.add_channels(6, "gone", archived_every=1)
    shown = list(pages(client, limit=200, exclude_archived=True))
    assert [] in shown
    assert [name for page in shown for name in page] == [
        "general",
        "data-alerts",
        "data-platform",
        "finance-close",
        "shop-ops",
        "announcements",
    ]
    assert "old-alerts" in [name for page in pages(client) for name in page]


def test_listing_has_its_limits(slack: FakeSlack, client: WebClient) -> None:
    assert word(lambda: client.conversations_list(limit=1001)) == "invalid_limit"
    assert word(lambda: client.conversations_list(cursor="not one")) == "invalid_cursor"
    assert word(lambda: client.conversations_list(types="private_channel")) == "missing_scope"
    slack.limits.scale = 1
    said = [word(client.conversations_list) for _ in range(20)]
    assert said[-1] == "ratelimited"


def test_a_private_channel_is_not_there(slack: FakeSlack, client: WebClient) -> None:
    secret = slack.acme.channel("data-secret")
    assert word(lambda: client.conversations_info(channel=secret.id)) == "channel_not_found"
    assert word(lambda: client.chat_postMessage(channel=secret.id, text="hello")) == "channel_not_found"
    secret.has_bot = True
    assert client.conversations_info(channel=secret.id)["channel"]["is_private"] is True


def test_what_people_are(slack: FakeSlack, client: WebClient) -> None:
    def is_owner(name: str) -> tuple[bool, bool]:
        user = client.users_info(user=slack.acme.person(name).id)["user"]
        return user["is_owner"], user["is_admin"]

    assert [is_owner(name) for name in ("ada", "olga", "adam", "mel")] == [(True, True), (True, True), (False, True), (False, False)]
    slack.acme.person("olga").is_deleted = True
    gone = client.users_info(user=slack.acme.person("olga").id)["user"]
    assert gone["deleted"] is True
    assert "is_owner" not in gone
    assert word(lambda: client.users_info(user="U1")) == "user_not_found"


# Messages.


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def fields(count: int, size: int) -> dict[str, Any]:
    return {"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * size}] * count}


def button(text: str = "Open", url: str = "https://runbell.acme.example/") -> dict[str, Any]:
    return {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": text}, "url": url}]}


def rich(text: str) -> dict[str, Any]:
    part = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]}
    return {"type": "rich_text", "elements": [part]}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"blocks": [header("x" * 150)]}, "ok"),
        ({"blocks": [header("x" * 151)]}, "invalid_blocks"),
        ({"blocks": [section("x" * 3000)]}, "ok"),
        ({"blocks": [section("x" * 3001)]}, "invalid_blocks"),
        ({"blocks": [section("")]}, "invalid_blocks"),
        ({"blocks": [fields(10, 1000)]}, "ok"),
        ({"blocks": [fields(11, 10)]}, "invalid_blocks"),
        ({"blocks": [fields(1, 2001)]}, "invalid_blocks"),
        ({"blocks": [section("x")] * 50}, "ok"),
        ({"blocks": [section("x")] * 51}, "invalid_blocks"),
        ({"blocks": [section("x" * 2600)] * 5}, "ok"),
        ({"blocks": [section("x" * 2700)] * 5}, "msg_blocks_too_long"),
        ({"attachments": [{"color": "#D9302E", "blocks": [section("x" * 2700)] * 5}]}, "msg_blocks_too_long"),
        ({"attachments": [{"color": "#D9302E", "blocks": [section("x" * 3001)]}]}, "invalid_attachments"),
        ({"attachments": [{"text": "x"}] * 101}, "too_many_attachments"),
        ({"blocks": [button("x" * 76)]}, "invalid_blocks"),
        ({"blocks": [button(url="https://acme.example/" + "x" * 3000)]}, "invalid_blocks"),
        ({"blocks": [rich("x" * 9000)]}, "ok"),
        ({"blocks": [rich("")]}, "invalid_blocks"),
        ({"blocks": [{"type": "marquee"}]}, "invalid_blocks"),
        ({"blocks": "[{"}, "invalid_blocks_format"),
        ({"blocks": [{**section("x"), "block_id": "one"}] * 2}, "invalid_blocks"),
        ({"metadata": {"event_type": "runbell_delivery", "event_payload": {"run": 7}}}, "ok"),
        ({"metadata": {"event_type": "runbell_delivery"}}, "invalid_metadata_schema"),
        ({"markdown_text": "x"}, "markdown_text_conflict"),
        ({"thread_ts": "1.000001"}, "cannot_reply_to_message"),
    ],
)
def test_what_a_message_may_be(slack: FakeSlack, client: WebClient, message: dict[str, Any], said: str) -> None:
    channel = slack.acme.channel("general")
    assert word(lambda: client.chat_postMessage(channel=channel.id, text="hello", **message)) == said
    assert len(slack.posts_in(channel)) == (said == "ok")


def test_a_refused_block_is_pointed_at(slack: FakeSlack, client: WebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel=slack.acme.channel("general").id, text="hello", blocks=[header("x" * 151)])
    said = caught.value.response["response_metadata"]["messages"]
    assert said == ["[ERROR] must be less than 151 characters [json-pointer:/blocks/0/text/text]"]


def test_what_was_posted_is_on_record_and_can_be_changed(slack: FakeSlack, client: WebClient) -> None:
    channel = slack.acme.channel("general")
    metadata = {"event_type": "runbell_delivery", "event_payload": {"delivery": "8.0"}}
    blocks = [section("<https://runbell.acme.example/a/1/runs/7|The run>"), button(url="https://runbell.acme.example/a/1/runs/7#why")]
    ts = client.chat_postMessage(channel=channel.id, text="FAILED", blocks=blocks, metadata=metadata)["ts"]
    [post] = slack.wait_for(1, channel)
    assert (post.text, post.payload, post.runs, post.ts) == ("FAILED", {"delivery": "8.0"}, [7], ts)
    assert ts.replace(".", "") in client.chat_getPermalink(channel=channel.id, message_ts=ts)["permalink"]
    client.chat_update(channel=channel.id, ts=ts, text="SUCCEEDED")
    assert post.text == "SUCCEEDED"
    assert word(lambda: client.chat_update(channel=channel.id, ts=ts, text="x" * 4001)) == "msg_too_long"
    assert word(lambda: client.chat_update(channel=channel.id, ts="1.000001", text="x")) == "message_not_found"


@pytest.mark.parametrize(("name", "said"), [("old-alerts", "is_archived"), ("announcements", "restricted_action"), ("shop-ops", "ok")])
def test_where_one_may_write(slack: FakeSlack, client: WebClient, name: str, said: str) -> None:
    assert word(lambda: client.chat_postMessage(channel=slack.acme.channel(name).id, text="hello")) == said


def test_one_message_a_second_in_each_channel(slack: FakeSlack, client: WebClient) -> None:
    slack.limits.scale = 1
    here, there = slack.acme.channel("general"), slack.acme.channel("shop-ops")
    client.chat_postMessage(channel=here.id, text="hello")
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel=here.id, text="again")
    assert (caught.value.response.status_code, caught.value.response.headers["Retry-After"]) == (429, "1")
    assert word(lambda: client.chat_postMessage(channel=there.id, text="hello")) == "ok"


# What goes wrong on purpose.


def test_faults_hold_where_and_as_often_as_they_were_asked_for(slack: FakeSlack, client: WebClient) -> None:
    here, there = slack.acme.channel("general"), slack.acme.channel("shop-ops")
    slack.refuse("fatal_error", here, skip=1, times=2)
    slack.limits.scale = 1e9
    said = [word(partial(client.chat_postMessage, channel=channel.id, text="x")) for channel in (here, there, here, there, here, here)]
    assert said == ["ok", "ok", "fatal_error", "ok", "fatal_error", "ok"]
    assert [call.word for call in slack.called("chat.postMessage")][2] == "fatal_error"


def test_a_fault_can_be_lifted(slack: FakeSlack, client: WebClient) -> None:
    fault = slack.busy(30, times=None, method="")
    assert [word(client.auth_test), word(client.auth_test)] == ["ratelimited"] * 2
    fault.lift()
    assert word(client.auth_test) == "ok"


@pytest.mark.parametrize(("kind", "kept"), [("lose", 1), ("cut", 0)])
def test_a_connection_is_cut_with_or_without_the_message(slack: FakeSlack, client: WebClient, kind: str, kept: int) -> None:
    getattr(slack, kind)()
    with pytest.raises((URLError, HTTPException, ConnectionError)):
        client.chat_postMessage(channel=slack.acme.channel("general").id, text="hello")
    assert len(slack.posts) == kept


def test_pages_of_html(slack: FakeSlack, client: WebClient) -> None:
    slack.broken(503)
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel=slack.acme.channel("general").id, text="hello")
    assert caught.value.response.status_code == 503
    assert slack.posts == []


# Webhooks.


def test_a_webhook_posts_and_says_what_is_wrong(slack: FakeSlack) -> None:
    channel = slack.acme.channel("data-alerts")
    hook = slack.add_hook(slack.acme, channel)
    url = slack.url_of(hook)
    assert hooked(slack, url) == (200, "ok")
    assert [post.text for post in slack.posts_in(channel)] == ["hello"]
    assert hooked(slack, url, b"{") == (400, "invalid_payload")
    assert hooked(slack, url, b"{}") == (400, "no_text")
    channel.refuses = "restricted_action"
    assert hooked(slack, url) == (403, "action_prohibited")
    channel.is_archived = True
    assert hooked(slack, url) == (410, "channel_is_archived")
    hook.gone = (404, "no_service")
    assert hooked(slack, url) == (404, "no_service")
