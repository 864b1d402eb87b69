"""The mails, word for word. `UPDATE_GOLDEN=1` writes them anew: read the difference before you keep it.

`.txt` and `.html` are the decoded bodies, `.eml` is everything that is not a body, as it is on the wire.
"""

import os
import re
from pathlib import Path

import pytest

from runbell.channels.registry import channel
from runbell.core.because import Because
from runbell.messages.compose import compose_digest
from runbell.messages.examples import DIGEST, EXAMPLES
from tests.mails import TRANSPORT, body, reader, recipient

FOLDER = Path(__file__).parent / "email"
NEWS = {"failed", "warned", "succeeded", "canceled", "killed", "lost", "no-results"}
CASES = [(name, language) for name in (*EXAMPLES, "digest") for language in ("en", "ru")]


def mail(name: str, language: str) -> bytes:
    email = channel("email")
    message = compose_digest(DIGEST, language) if name == "digest" else EXAMPLES[name](language)
    outcome = "cancelled" if name == "canceled" else name if name in ("warned", "succeeded") else "failed"
    if name in NEWS:
        to = recipient(because=Because("chose_environment", {"outcome": outcome, "set_by": "Ada Lindqvist"}))
    elif name == "test":
        to = recipient(because=Because("test_asked", {"by": "Ada Lindqvist"}), thread="", unsubscribe_url="", why_url="", is_test=True)
    elif name == "confirmation":
        asked, own = Because("confirmation_asked", {"by": "Ada Lindqvist"}), {"thread": "", "unsubscribe_url": "", "why_url": ""}
        to = recipient(address="data-oncall@partner.example", because=asked, settings_url="", **own)
    elif name == "digest":
        to = recipient(because=Because("waited_together", {"n": len(DIGEST.runs)}), thread="", why_url="")
    else:
        why = Because("connected_dbt" if name == "dbt-stopped" else "is_admin")
        to = recipient(because=why, thread="", unsubscribe_url="", why_url="")
    return email.address(email.render(message, reader(language), TRANSPORT), to, "12.0")


def wire(raw: bytes) -> str:
    """Headers of the mail and of its parts, without the bodies."""
    parts = re.split(rb"(?m)^(?=--=_runbell)", raw)
    return "\n".join(part.partition(b"\r\n\r\n")[0].decode("ascii").replace("\r\n", "\n").rstrip("\n") + "\n" for part in parts)


@pytest.mark.parametrize(("name", "language"), CASES)
def test_mails(name: str, language: str) -> None:
    raw = mail(name, language)
    found = {"txt": body(raw, "plain"), "html": body(raw, "html"), "eml": wire(raw)}
    for ending, text in found.items():
        path = FOLDER / f"{name}.{language}.{ending}"
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text)
        assert text == path.read_text(), f"{path.name} differs; UPDATE_GOLDEN=1 writes it anew"


def test_no_golden_is_left_over() -> None:
    expected = {f"{name}.{language}.{ending}" for name, language in CASES for ending in ("txt", "html", "eml")}
    assert {path.name for path in FOLDER.iterdir()} == expected
