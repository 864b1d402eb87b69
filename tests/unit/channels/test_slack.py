"""A Slack message holds whatever it is given, and every answer of Slack becomes the right verdict."""

import json
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from runbell.channels.base import Channel, Transport
from runbell.channels.http import trust
from runbell.channels.registry import channel
from runbell.channels.slack_blocks import cut, markup, units
from runbell.channels.slack_errors import KINDS, TroubleKind
from runbell.core.because import Because
from runbell.core.deliveries import Dead, Ends, Retry, Sent, Verdict
from runbell.core.fields import BadField
from runbell.core.runs import Git, NodeReport, NodeStatus, Outcome, StepReport, Trigger
from runbell.messages.compose import compose_digest, compose_run
from runbell.messages.example_runs import FAILED_RUN
from runbell.messages.examples import EXAMPLES
from runbell.messages.facts import DigestFacts, DigestRun, RunFacts, StepFacts
from runbell.messages.message import Fact, Message, Moment, Tone, Trouble
from tests.fakes.http_server import Reply, ScriptedHttp
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.blocks import check_message
from tests.hostile import HOSTILE
from tests.mails import RECIPIENT, TRANSPORT, URL, reader

SLACK, WEBHOOK = channel("slack"), channel("slack_webhook")
HOOK = "https://hooks.slack.com/services/T0123/B0123/QuietPlease-hushhushhush"
RUN_URL = f"{URL}/a/1/runs/4711"

texts = st.one_of(st.sampled_from([*HOSTILE.values(), "&" * 500, "`" * 500, "*_~:fire:<!here>" * 40]), st.text(max_size=600))
moments = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def runs(draw: st.DrawFn) -> RunFacts:
    """Any run of any size: names, errors, causes from outside in every place, up to what a report may bring."""
    text = draw(texts)
    statuses = st.sampled_from([NodeStatus.ERROR, NodeStatus.FAIL, NodeStatus.WARN])
    node = NodeReport(draw(texts), draw(statuses), draw(texts), draw(texts), draw(texts), draw(texts))
    outcome = draw(st.sampled_from(Outcome))
    nodes = (node,) * draw(st.integers(0, 200))
    counts = {"failed": draw(st.integers(0, 10**9)), "skipped": draw(st.integers(0, 10**9))}
    step = StepFacts(StepReport(index=1, command=draw(texts), exit_code=1, counts=counts, nodes=nodes), outcome)
    at = draw(moments)
    return replace(
        FAILED_RUN,
        outcome=outcome,
        account=text,
        project=draw(texts),
        environment=draw(texts),
        job=draw(texts),
        steps=(step,) * draw(st.integers(0, 50)),
        trigger=Trigger(draw(texts), draw(texts), draw(texts), text),
        git=Git(draw(texts), draw(texts)),
        host_tool=draw(texts),
        started_at=at,
        finished_at=at + timedelta(seconds=draw(st.integers(0, 10**5))),
        history=((outcome, 1.0),) * draw(st.integers(0, 30)),
    )


def posted(message: Message, it: Channel = SLACK, **changes: Any) -> dict[str, Any]:
    rendered = it.render(message, reader(message.language), TRANSPORT)
    said: dict[str, Any] = json.loads(it.address(rendered, replace(RECIPIENT, **changes), "12.0"))
    return said


def everything(value: Any) -> Iterator[tuple[str, str]]:
    """Each text, with the type of the object it stands in."""
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value.get("type", ""), value["text"]
        for one in value.values():
            yield from everything(one)
    elif isinstance(value, list):
        for one in value:
            yield from everything(one)


@given(facts=runs(), language=st.sampled_from(["en", "ru"]), is_test=st.booleans(), is_late=st.booleans())
def test_no_run_is_ever_refused(facts: RunFacts, language: str, is_test: bool, is_late: bool) -> None:
    message = compose_run(facts, language)
    said = posted(message, is_test=is_test, is_late=is_late)
    check_message(json.loads(json.dumps(said)))
    assert units(said["text"]) <= 4_000
    blocks = json.dumps([said["blocks"], said["attachments"]], ensure_ascii=False)
    assert units(blocks) <= 13_200
    assert message.word in said["text"]
    assert message.word in said["blocks"][0]["text"]["text"]
    links = [element for block in said["attachments"][0]["blocks"] for element in _links(block)]
    assert RUN_URL in links
    for kind, text in everything(said):
        if kind in ("mrkdwn", ""):  # all that Slack reads as markup: fields, and the text of a notification
            assert "<!channel>" not in text
            assert "<@U123>" not in text
            assert text.replace("<!date^", "").count("<") == 0


def _links(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("type") == "link":
            yield value["url"]
        for one in value.values():
            yield from _links(one)
    elif isinstance(value, list):
        for one in value:
            yield from _links(one)


@given(names=st.lists(st.tuples(st.sampled_from(Outcome), texts, texts), min_size=1, max_size=30), language=st.sampled_from(["en", "ru"]))
def test_a_digest_names_and_links_every_run(names: list[tuple[Outcome, str, str]], language: str) -> None:
    told = [DigestRun(outcome=ended, job=job, environment=place, run_id=str(n)) for n, (ended, job, place) in enumerate(names)]
    message = compose_digest(DigestFacts(account="Acme", runs=tuple(told)), language)
    said = posted(message, why_url="")
    check_message(json.loads(json.dumps(said)))
    assert units(json.dumps([said["blocks"], said["attachments"]], ensure_ascii=False)) <= 13_200
    links = list(_links(said["attachments"]))
    assert [links.count(f"{URL}/a/1/runs/{run.run_id}") for run in told] == [1] * len(told)


def test_where_even_short_names_are_too_long_the_links_go_and_no_run_does() -> None:
    told = tuple(DigestRun(outcome=Outcome.FAILED, job=f"job {n}", environment="Production", run_id="9" * 400) for n in range(30))
    said = posted(compose_digest(DigestFacts(account="Acme", runs=told), "en"), why_url="")
    assert [f"job {n}" for n in range(30)] == [text for _, text in everything(said["attachments"]) if text.startswith("job ")]


@given(
    n=st.integers(0, 300),
    text=texts,
    facts=st.integers(0, 40),
)
def test_a_message_of_any_other_kind_fits_too(n: int, text: str, facts: int) -> None:
    """Digests and notices bring lists of their own length; nothing that is left out is left out silently."""
    trouble = Trouble(Tone.FAILED, "Failed", f"job {text[:100]}", "Production", (text,) if text else ())
    message = replace(
        EXAMPLES["failed"]("en"),
        summary=(text, Moment(datetime(2026, 11, 24, tzinfo=UTC)), text),
        facts=(Fact("Label", (text,)),) * facts,
        troubles=(trouble,) * n,
        remarks=(text,),
    )
    said = posted(message)
    check_message(said)
    told = sum(text == "Failed " for _, text in everything(said))
    more = [text for _, text in everything(said) if text.endswith("more on the run page.")]
    assert told == n or more == [f"+{n - told} more on the run page."]


def test_the_same_over_a_webhook_without_metadata() -> None:
    message = EXAMPLES["failed"]("en")
    over_api, over_webhook = posted(message), posted(message, WEBHOOK)
    assert over_api.pop("metadata") == {"event_type": "runbell_delivery", "event_payload": {"delivery": "12.0", "run": "4711"}}
    assert over_api == over_webhook
    assert "channel" not in over_api
    assert (over_api["unfurl_links"], over_api["unfurl_media"]) == (False, False)


@pytest.mark.parametrize("name", ["stg_payments_daily", "*bold*", "~x~", ":fire:", "<!channel>", "a & b", "> quote", "`x`"])
def test_markup_is_shown_as_it_is(name: str) -> None:
    said = markup(name)
    assert said.startswith("`")
    assert said.endswith("`")
    assert "`" not in said[1:-1]
    assert "<" not in said


def test_plain_names_stay_plain() -> None:
    assert markup("Production") == "Production"
    assert markup("Airflow, scheduled") == "Airflow, scheduled"


def test_cutting_counts_as_slack_might() -> None:
    assert cut("🔥" * 10, 20) == "🔥" * 10
    assert cut("🔥" * 11, 20) == "🔥" * 9 + "…"
    assert cut("", 0) == cut("x", 0) == ""


def test_what_is_ones_own_stands_first() -> None:
    said = posted(EXAMPLES["failed"]("en"), is_test=True, is_late=True)
    assert said["text"].startswith("[Test] FAILED")
    assert said["blocks"][0]["text"]["text"].startswith("[Test] FAILED")
    told = [text for _, text in everything(said["attachments"])]
    assert told[0] == "This is a test. Nothing has happened."
    assert told[1].startswith("This message is late")


def test_moments_are_each_readers_own() -> None:
    said = json.dumps(posted(EXAMPLES["warned"]("en")), ensure_ascii=False)
    assert '"type": "date", "timestamp": 1795413734, "format": "{date_short} {time}", "fallback": "23 Nov 07:02"' in said
    assert "<!date^1795507223^{date_short} {time}|Tue 24 Nov, 09:00:23>" in said
    assert "Ended" not in said  # the sentence says how long it took


def test_the_day_is_told_once() -> None:
    at = datetime(2026, 11, 24, 2, tzinfo=UTC)
    line = (Moment(at), " to ", Moment(at + timedelta(hours=1), near=at), " or ", Moment(at + timedelta(days=1), near=at))
    said = json.dumps(posted(replace(EXAMPLES["failed"]("en"), summary=line)), ensure_ascii=False)
    assert [part.partition('"')[0] for part in said.split('"format": "')[1:]] == ["{date_short} {time}", "{time}", "{date_short} {time}"]


@pytest.mark.parametrize("year", [1, 1969, 2101, 9999])
def test_a_moment_that_no_clock_shows_is_worded(year: int) -> None:
    at = datetime(year, 6, 1, tzinfo=UTC)
    said = posted(replace(EXAMPLES["failed"]("en"), summary=(Moment(at),), facts=(Fact("When", (Moment(at),)),)))
    assert "timestamp" not in json.dumps(said)
    assert "<!date" not in json.dumps(said)


# clean


@pytest.mark.parametrize(
    ("typed", "channel_id"),
    [
        ("C0123456789", "C0123456789"),
        (" C0123456789 ", "C0123456789"),
        ("https://acme.slack.com/archives/C0123456789", "C0123456789"),
        ("https://acme.slack.com/archives/C0123456789/p1790000000000100", "C0123456789"),
        ("https://app.slack.com/client/T0123/C0123456789", "C0123456789"),
    ],
)
def test_ids_and_links(typed: str, channel_id: str) -> None:
    assert SLACK.clean({"channel_id": typed}) == {"channel_id": channel_id}


@pytest.mark.parametrize("typed", ["#data-alerts", "D0123456789", "c0123456789", "C1", "C0123456789x", "https://evil.test/C0123456789"])
def test_no_ids(typed: str) -> None:
    with pytest.raises(BadField) as caught:
        SLACK.clean({"channel_id": typed})
    assert caught.value.field == "channel_id"


@pytest.mark.parametrize("url", [HOOK, HOOK.replace("slack.com", "slack-gov.com")])
def test_webhook_urls(url: str) -> None:
    assert WEBHOOK.clean({"address": "Data alerts", "secret": f" {url} "})["secret"] == url


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.slack.com/services/T0/B0/hush",
        "https://hooks.slack.com.evil.test/services/T0/B0/hush",
        "https://evil.test/hooks.slack.com/services/T0/B0/hush",
        "https://hooks.slack.com@evil.test/services/T0/B0/hush",
        "https://hooks.slack.com:8443/services/T0/B0/hush",
        "https://hooks.slack.com/services/T0/B0/hush/../../../x",
        "https://hooks.slack.com/services/T0/B0/hush?x=1",
        "https://hooks.slack.com/workflows/T0/A0/1/hush",
        "https://hooks.slack.com/services/T0/B0",
        "https://HOOKS.slack.com/services/T0/B0/hush",
        "https://hooks.slack.com/services/T0/B0/hüsh",
    ],
)
def test_no_webhook_urls(url: str) -> None:
    with pytest.raises(BadField) as caught:
        WEBHOOK.clean({"address": "Data alerts", "secret": url})
    assert caught.value.field == "secret"
    assert "hush" not in str(caught.value)


# sending


@pytest.fixture(autouse=True)
def no_proxy_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def payload(it: Channel = SLACK, key: str = "12.0") -> bytes:
    return it.address(it.render(EXAMPLES["failed"]("en"), reader(), TRANSPORT), RECIPIENT, key)


def through(api_url: str, timeout: float = 5.0) -> Transport:
    return replace(TRANSPORT, slack_api_url=api_url, timeout=timeout)


def verdict_of(reply: Reply) -> Verdict:
    with ScriptedHttp(reply) as server:
        connection = SLACK.connect(through(server.url, timeout=0.3))
        verdict = connection.send({"token": "xoxb-1-hush", "channel_id": "C1"}, payload(), "12.0")
        connection.close()
    assert "hush" not in repr(verdict)
    return verdict


@pytest.mark.parametrize("word", [word for word in KINDS if word != "token_expired"])
def test_what_each_word_does_to_the_message(word: str) -> None:
    verdict = verdict_of(Reply(body={"ok": False, "error": word}))
    assert not isinstance(verdict, Sent)
    assert verdict.because.code == f"slack_{word}"
    match KINDS[word]:
        case TroubleKind.CHANNEL:
            assert verdict == Dead(verdict.because, is_refusal=True, ends=Ends.DESTINATION)
        case TroubleKind.INSTALLATION:
            assert verdict == Dead(verdict.because, ends=Ends.INSTALLATION)
        case TroubleKind.REFUSED:
            assert verdict == Dead(verdict.because)
        case TroubleKind.TRANSIENT:
            assert isinstance(verdict, Retry)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply(body={"ok": True, "ts": "1790000000.000100"}), Sent("1790000000.000100")),
        (Reply(429, headers={"Retry-After": "7"}), Retry(Because("slack_ratelimited"), timedelta(seconds=7), is_busy=True)),
        (Reply(502, "<html>"), Retry(Because("slack_http", {"code": 502}), is_transport=True)),
        (Reply(200, "<html>"), Retry(Because("slack_http", {"code": 200}), is_transport=True)),
        (Reply(hangs=True), Retry(Because("slack_no_answer"), is_lost=True)),
        (Reply(drops=True), Retry(Because("slack_no_answer"), is_lost=True)),
        (Reply(body={"ok": False, "error": "token_expired"}), Retry(Because("slack_token_expired"), ends=Ends.INSTALLATION)),
        (Reply(body={"ok": False, "error": "fatal_error"}), Retry(Because("slack_fatal_error"), is_lost=True)),
        (Reply(body={"ok": False, "error": "internal_error"}), Retry(Because("slack_internal_error"))),
        (
            Reply(body={"ok": False, "error": "message_limit_exceeded"}),
            Retry(Because("slack_message_limit_exceeded"), timedelta(hours=1), is_transport=True),
        ),
        (Reply(body={"ok": False, "error": "of_tomorrow"}), Retry(Because("slack_unknown_word", {"word": "of_tomorrow"}))),
    ],
)
def test_verdicts(reply: Reply, verdict: Verdict) -> None:
    assert verdict_of(reply) == verdict


def test_nobody_listens() -> None:
    connection = SLACK.connect(through("http://127.0.0.1:9/api/"))
    verdict = connection.send({"token": "xoxb-1-hush", "channel_id": "C1"}, payload(), "12.0")
    assert isinstance(verdict, Retry)
    assert (verdict.is_transport, verdict.is_lost, verdict.because.code) == (True, False, "slack_unreachable")


def test_a_message_arrives_in_its_slack_channel() -> None:
    with FakeSlack(scale=1e6) as slack:
        to, token = slack.acme.channel("data-alerts"), slack.install()
        connection = SLACK.connect(through(slack.api_url))
        verdicts = [connection.send({"token": token, "channel_id": to.id}, payload(key=key), key) for key in ("12.0", "13.0")]
        other = connection.send({"token": slack.install(), "channel_id": slack.acme.channel("old-alerts").id}, payload(), "14.0")
        connection.close()
        arrived = slack.posts_in(to)
    assert [verdict.provider_id for verdict in verdicts if isinstance(verdict, Sent)] == [post.ts for post in arrived]
    assert [post.payload["delivery"] for post in arrived] == ["12.0", "13.0"]
    assert arrived[0].text.startswith("FAILED · nightly build · Production")
    assert other == Dead(Because("slack_is_archived"), is_refusal=True, ends=Ends.DESTINATION)


def test_one_connection_serves_many_messages_and_a_new_token() -> None:
    with ScriptedHttp(Reply(body={"ok": True, "ts": "1.1"})) as server:
        connection = SLACK.connect(through(server.url))
        for token in ("xoxb-1", "xoxb-1", "xoxb-2"):
            connection.send({"token": token, "channel_id": "C1"}, payload(), "12.0")
        connection.close()
    assert [asked.headers["authorization"] for asked in server.asked] == ["Bearer xoxb-1", "Bearer xoxb-1", "Bearer xoxb-2"]
    assert server.connections == 2
    assert {asked.json["channel"] for asked in server.asked} == {"C1"}


# webhooks


@pytest.fixture
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedHttp]:
    """A server that this machine takes for hooks.slack.com: a proxy leads there, and a certificate vouches for it."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    trust.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("hooks.slack.com").configure_cert(context)
    with ScriptedHttp(tls=context) as server, ScriptedHttp() as proxy:
        proxy.forward_to = ("127.0.0.1", server.port)
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        yield server
        assert {to for to, _ in proxy.tunnels} == {"hooks.slack.com:443"}
    trust.cache_clear()


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply(200, "ok"), Sent()),
        (Reply(404, "no_service"), Dead(Because("slack_no_service"), is_refusal=True, ends=Ends.DESTINATION)),
        (Reply(404, "channel_not_found"), Dead(Because("slack_channel_not_found"), is_refusal=True, ends=Ends.DESTINATION)),
        (Reply(410, "channel_is_archived"), Dead(Because("slack_channel_is_archived"), is_refusal=True, ends=Ends.DESTINATION)),
        (Reply(410, "gone_for_good"), Dead(Because("slack_no_service"), is_refusal=True, ends=Ends.DESTINATION)),
        (Reply(403, "action_prohibited"), Dead(Because("slack_action_prohibited"), is_refusal=True, ends=Ends.DESTINATION)),
        (Reply(403, "token_revoked"), Dead(Because("slack_token_revoked"), is_refusal=True, ends=Ends.DESTINATION)),
        (Reply(400, "invalid_payload"), Dead(Because("slack_invalid_payload"))),
        (Reply(400, "of_tomorrow"), Retry(Because("slack_unknown_word", {"word": "of_tomorrow"}))),
        (Reply(429, "rate_limited", {"Retry-After": "3"}), Retry(Because("slack_ratelimited"), timedelta(seconds=3), is_busy=True)),
        (Reply(500, "rollup_error"), Retry(Because("slack_rollup_error"))),
        (Reply(502, "<html>bad gateway</html>"), Retry(Because("slack_http", {"code": 502}), is_transport=True)),
        (Reply(404, "<html>not found</html>"), Retry(Because("slack_http", {"code": 404}), is_transport=True)),
        (Reply(200, "<html>sign in</html>"), Retry(Because("slack_http", {"code": 200}), is_transport=True)),
        (Reply(302, "", {"Location": "https://evil.test/"}), Retry(Because("slack_http", {"code": 302}), is_transport=True)),
        (Reply(drops=True), Retry(Because("slack_no_answer"), is_lost=True)),
    ],
)
def test_what_a_webhook_answers(hooks: ScriptedHttp, reply: Reply, verdict: Verdict) -> None:
    hooks.replies = [reply]
    connection = WEBHOOK.connect(TRANSPORT)
    found = connection.send(WEBHOOK.clean({"address": "Data alerts", "secret": HOOK}), payload(WEBHOOK), "12.0")
    connection.close()
    assert found == verdict
    assert "hush" not in repr(found)
    assert hooks.asked[0].path == "/services/T0123/B0123/QuietPlease-hushhushhush"
    assert hooks.asked[0].json["text"].startswith("FAILED")


def test_a_webhook_of_the_fake() -> None:
    """The same words as the fake Slack, which was written by the documentation."""
    with FakeSlack(scale=1e6) as slack:
        to = slack.acme.channel("data-alerts")
        hook = slack.add_hook(slack.acme, to)
        connection = WEBHOOK.connect(TRANSPORT)
        assert connection.send({"secret": slack.url_of(hook)}, payload(WEBHOOK), "12.0") == Sent()
        connection.close()
        assert len(slack.posts_in(to)) == 1
