"""The Slack messages, word for word. `UPDATE_GOLDEN=1` writes them anew: read the difference before you keep it."""

import json
import os
from pathlib import Path

import pytest

from runbell.channels.registry import channel
from runbell.core.because import Because
from runbell.messages.compose import compose_digest
from runbell.messages.examples import DIGEST, EXAMPLES
from tests.fakes.slack.blocks import check_message
from tests.mails import TRANSPORT, URL, reader, recipient

FOLDER = Path(__file__).parent / "slack"
NEWS = ("failed", "warned", "succeeded", "canceled", "killed", "lost", "no-results")
CASES = [(name, language) for name in (*NEWS, "test", "digest") for language in ("en", "ru")]
SETTINGS_URL = f"{URL}/a/1/settings/notifications/slack"


def post(name: str, language: str) -> bytes:
    slack = channel("slack")
    if name == "test":
        to = recipient(
            address="#data-alerts", because=Because("test_asked", {"by": "Ada"}), why_url="", settings_url=SETTINGS_URL, is_test=True
        )
    else:
        why = {"why_url": ""} if name == "digest" else {}
        to = recipient(address="#data-alerts", settings_url=SETTINGS_URL, **why)
    message = compose_digest(DIGEST, language) if name == "digest" else EXAMPLES[name](language)
    return slack.address(slack.render(message, reader(language), TRANSPORT), to, "12.0")


@pytest.mark.parametrize(("name", "language"), CASES)
def test_messages(name: str, language: str) -> None:
    message = json.loads(post(name, language))
    check_message(dict(message))
    text = json.dumps(message, indent=2, ensure_ascii=False) + "\n"
    path = FOLDER / f"{name}.{language}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs; UPDATE_GOLDEN=1 writes it anew"


def test_no_golden_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.{language}.json" for name, language in CASES}
