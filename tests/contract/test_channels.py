"""What every channel promises, whatever it speaks."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from json import loads
from typing import Any

import pytest

from runbell.channels.base import Channel
from runbell.channels.registry import KINDS, channel
from runbell.core.because import Because
from runbell.core.fields import BadField
from runbell.core.runs import Git, NodeReport, NodeStatus, Outcome, StepReport, Trigger
from runbell.messages.compose import compose_run
from runbell.messages.example_runs import FAILED_RUN
from runbell.messages.examples import EXAMPLES
from runbell.messages.facts import RunFacts, StepFacts
from runbell.messages.message import Message
from tests.fakes.slack.blocks import check_message
from tests.hostile import HOSTILE
from tests.mails import RECIPIENT, TRANSPORT, reader

BUDGETS = {"email": 102 * 1024, "slack": 40_000, "slack_webhook": 40_000}  # Gmail cuts a mail there; what Slack counts is below
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "email": {"address": "ada@acme.test"},
    "slack": {"channel_id": "C0123456789"},
    "slack_webhook": {"address": "#data-alerts", "secret": "https://hooks.slack.com/services/T0123/B0123/SECRETabcdefghijklmnop"},
}


@pytest.fixture(params=KINDS)
def it(request: pytest.FixtureRequest) -> Channel:
    return channel(request.param)


def worst(text: str) -> RunFacts:
    """As many words from outside as a report can bring, everywhere."""
    nodes = tuple(
        NodeReport(text, status, text * 20, text, text, text) for status in (NodeStatus.ERROR, NodeStatus.WARN) for _ in range(100)
    )
    step = StepFacts(
        StepReport(index=1, command=text * 5, exit_code=1, counts={"failed": 10**9, "skipped": 10**9}, nodes=nodes), Outcome.FAILED
    )
    return replace(
        FAILED_RUN,
        account=text,
        project=text,
        environment=text,
        job=text,
        steps=(step,) * 200,
        trigger=Trigger(text, text, text, text),
        git=Git(text, text),
        host_tool=text,
        history=((Outcome.FAILED, 1.0),) * 30,
    )


def sent(it: Channel, message: Message, **changes: Any) -> bytes:
    rendered = it.render(message, reader(message.language), TRANSPORT)
    payload = it.address(rendered, replace(RECIPIENT, **changes), "12.0")
    if it.kind != "email":
        check_message(loads(payload))
    return payload


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_rendering_is_pure(it: Channel, name: str, language: str) -> None:
    message = EXAMPLES[name](language)
    stored = Message.from_json(message.to_json())
    assert it.render(message, reader(language), TRANSPORT) == it.render(stored, reader(language), TRANSPORT)
    assert sent(it, message) == sent(it, stored)


def test_a_rendering_is_shared(it: Channel) -> None:
    """Addressing one recipient leaves nothing behind for the next."""
    rendered = it.render(EXAMPLES["failed"]("en"), reader(), TRANSPORT)
    first = it.address(rendered, RECIPIENT, "1.0")
    it.address(rendered, replace(RECIPIENT, address="bob@acme.test", is_test=True, is_late=True), "2.0")
    assert it.address(rendered, RECIPIENT, "1.0") == first


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("text", ["&" * 200, "<" * 4_000, "🔥" * 4_000, "ж" * 4_000, '"' * 4_000, "= =" * 2_000], ids=lambda text: text[:2])
def test_no_message_is_too_big(it: Channel, text: str, language: str) -> None:
    message = compose_run(worst(text), language)
    because = Because("smtp_later", {"text": text})
    assert len(sent(it, message, because=because, is_test=True, is_late=True)) < BUDGETS[it.kind]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_text_breaks_a_message(it: Channel, text: str) -> None:
    message = compose_run(worst(text), "en")
    payload = sent(it, message)
    assert payload.startswith(sent(it, replace(message))[:40])
    assert b"4711" in payload  # the link to the run survives everything


def test_settings_are_cleaned_once(it: Channel) -> None:
    clean = it.clean(SETTINGS[it.kind])
    assert it.clean(clean) == clean
    assert it.describe(clean)


def test_describing_tells_no_secret(it: Channel) -> None:
    secrets = {field.name: f"SECRET-{field.name}" for field in it.fields if field.is_secret} | {"token": "SECRET"}
    assert "SECRET" not in it.describe({**it.clean(SETTINGS[it.kind]), **secrets})


def test_a_complaint_repeats_no_secret(it: Channel) -> None:
    for secret in (field.name for field in it.fields if field.is_secret):
        with pytest.raises(BadField) as caught:
            it.clean({**SETTINGS[it.kind], secret: "https://evil.test/SECRET"})
        assert "SECRET" not in str(caught.value)


def test_the_pace_is_known(it: Channel) -> None:
    assert it.pace >= timedelta()


def test_bad_settings_name_a_field_of_the_form(it: Channel) -> None:
    names = {field.name for field in it.fields}
    for required in (field.name for field in it.fields if field.is_required):
        for value in (None, "", 7, ["x"], "\r\n"):
            with pytest.raises(BadField) as caught:
                it.clean({**SETTINGS[it.kind], required: value})
            assert caught.value.field in names


def test_a_connection_opens_nothing_until_it_sends(it: Channel) -> None:
    connection = it.connect(TRANSPORT)
    connection.close()
    connection.close()


def test_kinds_are_known_by_name() -> None:
    assert [channel(kind).kind for kind in KINDS] == list(KINDS)
    with pytest.raises(KeyError):
        channel("pigeon")
