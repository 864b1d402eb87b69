"""A message is stored as JSON, and every form that was ever stored can be read."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from runbell.messages.examples import EXAMPLES
from runbell.messages.message import Bar, Fact, Message, Moment, Since, Span, StepLine, Strong, Tone, Trouble
from runbell.messages.words import LANGUAGES

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_stored_is_what_was_said(name: str, language: str) -> None:
    message = EXAMPLES[name](language)
    stored = json.loads(json.dumps(message.to_json()))
    assert Message.from_json(stored) == message


def test_every_piece_survives() -> None:
    line = ("text", Moment(NOW, near=NOW, is_short=True), Moment(NOW), Since(NOW, NOW), Span(1.5, is_rough=True), Strong(("a", Span(2))))
    message = Message("en", Tone.FAILED, "FAILED", "t", "p", "s", summary=line, is_test=True, ended_at=NOW)
    assert Message.from_json(json.loads(json.dumps(message.to_json()))) == message


def test_a_stored_message_is_small() -> None:
    assert len(json.dumps(EXAMPLES["failed"]("en").to_json())) < 4_000
    assert "steps" not in EXAMPLES["test"]("en").to_json()


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"tone": "purple", "unknown": [1, 2], "facts": None, "bars": [{}], "ended_at": None},
        {"tone": None, "summary": [{"piece": "hologram"}, None, 5], "facts": ["x", 7]},
    ],
)
def test_reads_what_lacks_or_has_more(stored: dict[str, Any]) -> None:
    message = Message.from_json(stored)
    assert (message.tone, message.summary, message.facts, message.title) == (Tone.NOTICE, (), (), "")


def test_reads_short_forms() -> None:
    stored = {
        "tone": "warned",
        "summary": "It warned.",
        "facts": [{"label": "Project", "value": "shop"}],
        "troubles": [{"name": "n", "text": "boom"}],
        "steps": [{"command": "dbt build", "took": {"piece": "span", "seconds": 3}}, {"took": "3 s"}],
        "bars": [["failed", 0.5], {"tone": "warned", "height": 1}],
    }
    message = Message.from_json(stored)
    assert message.summary == ("It warned.",)
    assert message.facts == (Fact("Project", ("shop",)),)
    assert message.bars == (Bar(Tone.FAILED, 0.5), Bar(Tone.WARNED, 1.0))
    assert message.troubles == (Trouble(Tone.NOTICE, "", "n", "", ("boom",)),)
    assert message.steps == (StepLine(Tone.NOTICE, "", "dbt build", "", Span(3)), StepLine(Tone.NOTICE, "", "", ""))
