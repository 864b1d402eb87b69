"""E-mail: one message to one recipient, text and HTML saying the same, unsubscribe in one click (RFC 8058)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from time import monotonic
from typing import Any

import email_validator
from email_validator import EmailNotValidError, validate_email

from runbell.channels.base import Field, Recipient, Transport
from runbell.channels.email_html import foot, html_body, note_line
from runbell.channels.email_text import aligned, text_body, wrap
from runbell.channels.mime import (
    BOUNDARY,
    encode_body,
    fill_slots,
    own_headers,
    part,
    quoted,
    sender,
    slot,
    split_slots,
    text_header,
    token,
)
from runbell.channels.smtp import SmtpConnection
from runbell.core.because import Because
from runbell.core.fields import BadField, Fields
from runbell.messages.message import Message, Moment, Reader
from runbell.messages.reasons import footer
from runbell.messages.wording import NBSP, plain
from runbell.messages.words import words_in

# Addresses inside a company may end in .local, those of a trial in .test. (The library's own way to say so.)
email_validator.SPECIAL_USE_DOMAIN_NAMES[:] = [name for name in email_validator.SPECIAL_USE_DOMAIN_NAMES if name not in ("local", "test")]

MAX_ADDRESS = 254  # RFC 5321 §4.5.3.1.3, without the angle brackets


@dataclass(frozen=True, slots=True)
class Head:
    """What a rendering knows beside its text, for the lines that are a recipient's own. `ended_at` is ISO 8601 or empty."""

    language: str
    zone: str
    domain: str
    environment: str
    ended_at: str
    subject: str
    test_subject: str


class EmailChannel:
    kind = "email"
    label = "Email"
    fields: tuple[Field, ...] = (Field("address", "Email address"),)

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock

    def clean(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """`address` as typed, and `address_key`, equal for two spellings of one mailbox."""
        address = Fields(raw).name("address", limit=MAX_ADDRESS)
        if not address.rpartition("@")[0].isascii():
            raise BadField("address", "has a letter before the @ that most mail servers do not take; only plain ASCII works there")
        try:
            # No DNS: the server may have none, and a host without a dot may be the company's own.
            valid = validate_email(address, check_deliverability=False, allow_smtputf8=False, globally_deliverable=False, strict=True)
        except EmailNotValidError as bad:
            raise BadField("address", f"is not an email address: {bad}") from None
        return {"address": address, "address_key": f"{valid.ascii_local_part}@{valid.ascii_domain}".lower()}

    def describe(self, settings: Mapping[str, Any]) -> str:
        return str(settings["address"])

    def render(self, message: Message, reader: Reader, transport: Transport) -> bytes:
        """A line of JSON, which `address` reads, then the mail with slots."""
        return b"".join(
            (
                json.dumps(asdict(_head(message, reader, transport))).encode() + b"\n",
                _shared_headers(message, transport).encode("ascii"),
                part("text/plain", encode_body(text_body(message, reader))),
                part("text/html", encode_body(html_body(message, reader))),
                f"--{BOUNDARY}--\r\n".encode(),
            )
        )

    def address(self, rendered: bytes, recipient: Recipient, key: str) -> bytes:
        head, parts = _template(rendered)
        return fill_slots(parts, _own_lines(head, recipient, key))

    def connect(self, transport: Transport) -> SmtpConnection:
        return SmtpConnection(transport, clock=self._clock)


def _head(message: Message, reader: Reader, transport: Transport) -> Head:
    """A test says so in its subject, unless that is what it is about."""
    subject = message.subject if message.is_test else words_in(reader.language).say("[Test] {subject}", subject=message.subject)
    return Head(
        language=reader.language,
        zone=reader.zone,
        domain=sender(transport.sender).domain,
        environment=message.environment,
        ended_at=message.ended_at.isoformat() if message.ended_at else "",
        subject=text_header("Subject", message.subject),
        test_subject=text_header("Subject", subject),
    )


def _shared_headers(message: Message, transport: Transport) -> str:
    source = sender(transport.sender)
    list_id = ".".join(filter(None, ("jobs", token(message.account_id), source.domain)))
    lines = [
        f"List-Id: Runbell job notifications <{list_id}>",
        "Auto-Submitted: auto-generated",  # RFC 3834: no out-of-office answers
        "X-Auto-Response-Suppress: All",  # the same for Exchange
        f"X-Runbell-Outcome: {message.tone}",
        *([f"X-Runbell-Run: {token(message.run_id)}"] if message.run_id else []),
        f"Content-Language: {token(message.language)}",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{BOUNDARY}"',
    ]
    return f"From: {source.header}\r\n{slot('headers')}" + "".join(f"{line}\r\n" for line in lines) + "\r\n"


@lru_cache(maxsize=64)
def _template(rendered: bytes) -> tuple[Head, tuple[bytes, ...]]:
    """A rendering goes to many recipients in a row: it is taken apart once."""
    head, _, template = rendered.partition(b"\n")
    return Head(**json.loads(head)), split_slots(template)


@lru_cache(maxsize=8)
def _labels(language: str) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Names of the three links: as the text has them, and the HTML."""
    words = words_in(language)
    return (
        (words.say("Why"), words.say("Settings"), words.say("Unsubscribe")),
        (words.say("Why did I get this?"), words.say("Notification settings"), words.say("Unsubscribe")),
    )


def _own_lines(head: Head, recipient: Recipient, key: str) -> dict[bytes, bytes]:
    because = recipient.because
    if head.environment and because.code == "chose_environment":
        because = Because(because.code, {**because.params, "environment": head.environment})
    why = footer(because, recipient.address, head.language)
    urls = (recipient.why_url, recipient.settings_url, recipient.unsubscribe_url)
    in_text, in_html = ([(label, token(url)) for label, url in zip(names, urls, strict=True) if url] for names in _labels(head.language))
    notes = _notes(head, recipient)
    return {
        b"headers": own_headers(
            date=format_datetime(recipient.sent_at),
            subject=head.test_subject if recipient.is_test else head.subject,
            address=recipient.address,
            message_id=f"<d.{token(key)}@{head.domain}>",
            thread=f"<j.{token(recipient.thread)}@{head.domain}>" if recipient.thread else "",
            unsubscribe_url=token(recipient.unsubscribe_url),
        ),
        b"notes": quoted("".join(f"{wrap(note)}\n\n" for note in notes)) if notes else b"",
        b"foot": quoted(f"{wrap(why)}\n{aligned(in_text)}\n"),
        b"htmlnotes": quoted("".join(f"{note_line(note)}\n" for note in notes)) if notes else b"",
        b"htmlfoot": quoted(f"{foot(why, in_html)}\n"),
    }


def _notes(head: Head, recipient: Recipient) -> list[str]:
    """What to know before anything else is read."""
    words, notes = words_in(head.language), []
    if recipient.is_test and head.test_subject != head.subject:
        notes.append(words.say("This is a test. Nothing has happened."))
    if recipient.is_late and head.ended_at:
        moment = Moment(datetime.fromisoformat(head.ended_at))
        line = words.line("This message is late: the run ended at {moment}.", moment=moment)
        notes.append(plain(line, Reader(head.language, head.zone)).replace(NBSP, " "))
    return notes
