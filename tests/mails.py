"""A recipient, a reader and a transport for tests of what goes over the wire."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from runbell.channels.base import Recipient, Transport
from runbell.core.because import Because
from runbell.messages.message import Links, Reader

URL = "https://runbell.acme.example"
TRANSPORT = Transport(url="smtp://mail.acme.example:25", sender="Runbell <runbell@acme.example>", public_url=URL)
RECIPIENT = Recipient(
    address="ada@acme.example",
    because=Because("chose_environment", {"outcome": "failed", "set_by": "Ada Lindqvist"}),
    why_url=f"{URL}/a/1/runs/4711#why",
    settings_url=f"{URL}/a/1/settings/notifications/email",
    unsubscribe_url=f"{URL}/u/4fK9aBcDeFgHiJkLmNoPqR/17/sTuVwXyZ0123456789AbCd",
    thread="17.23",
    sent_at=datetime(2026, 11, 24, 8, 30, tzinfo=UTC),
)


def reader(language: str = "en", zone: str = "Europe/Stockholm") -> Reader:
    return Reader(language, zone, Links(run=f"{URL}/a/1/runs/4711", runs=f"{URL}/a/1/runs/"))


def recipient(**changes: Any) -> Recipient:
    return replace(RECIPIENT, **changes)


def parsed(mail: bytes) -> EmailMessage:
    return message_from_bytes(mail, policy=default)


def body(mail: bytes, kind: str) -> str:
    """The decoded text (`plain`) or HTML (`html`) of a mail."""
    part = parsed(mail).get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")
