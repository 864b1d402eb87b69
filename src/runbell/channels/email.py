"""E-mail: one message to one recipient, text and HTML saying the same, unsubscribe in one click (RFC 8058)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from time import monotonic
from typing import Any

import email_validator
from email_validator import EmailNotValidError, validate_email

from runbell.channels.base import Field, Recipient, Transport
from runbell.channels.email_blocks import html_blocks
from runbell.channels.email_html import foot, html_body, note_line
from runbell.channels.email_text import aligned, text_body, wrap
from runbell.channels.mime import (
    BOUNDARY,
    Piece,
    encode_body,
    fill_slots,
    own_headers,
    part,
    quoted,
    sender,
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
class Letter:
    """The mail in pieces, and what the lines that are a recipient's own are made of."""

    language: str
    zone: str
    domain: str
    environment: str
    ended_at: datetime | None
    subject: str
    run_id: str
    is_test: bool
    pieces: tuple[Piece, ...]


class EmailChannel:
    kind = "email"
    label = "Email"
    fields: tuple[Field, ...] = (Field("address", "Email address"),)
    pace = timedelta()
    is_room = False

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

    def page(self, destination_id: int, address_key: str) -> str:
        """A member's own comes by itself."""
        return "settings/notifications/email"

    def render(self, message: Message, reader: Reader, transport: Transport) -> Letter:
        pieces = (
            *_shared_headers(message, transport),
            *part("text/plain", encode_body(text_body(message, reader))),
            *part("text/html", encode_body(html_body(message, reader), html_blocks(message))),
            f"--{BOUNDARY}--\r\n".encode(),
        )
        return Letter(
            language=reader.language,
            zone=reader.zone,
            domain=sender(transport.sender).domain,
            environment=message.environment,
            ended_at=message.ended_at,
            subject=message.subject,
            run_id=message.run_id,
            is_test=message.is_test,
            pieces=pieces,
        )

    def address(self, rendered: Letter, recipient: Recipient, key: str) -> bytes:
        return fill_slots(rendered.pieces, _own_lines(rendered, recipient, key))

    def connect(self, transport: Transport) -> SmtpConnection:
        return SmtpConnection(transport, clock=self._clock)


def _shared_headers(message: Message, transport: Transport) -> tuple[Piece, ...]:
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
    return f"From: {source.header}\r\n".encode("ascii"), "headers", ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


@lru_cache(maxsize=8)
def _labels(language: str) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Names of the three links: as the text has them, and the HTML."""
    words = words_in(language)
    return (
        (words.say("Why"), words.say("Settings"), words.say("Unsubscribe")),
        (words.say("Why did I get this?"), words.say("Notification settings"), words.say("Unsubscribe")),
    )


def _own_lines(letter: Letter, recipient: Recipient, key: str) -> dict[str, bytes]:
    because = recipient.because
    if letter.environment and because.code == "chose_environment":
        because = Because(because.code, {**because.params, "environment": letter.environment})
    why = footer(because, recipient.address, letter.language)
    urls = (recipient.why_url, recipient.settings_url, recipient.unsubscribe_url)
    in_text, in_html = ([(label, token(url)) for label, url in zip(names, urls, strict=True) if url] for names in _labels(letter.language))
    notes = _notes(letter, recipient)
    return {
        "headers": own_headers(
            date=_date(recipient.sent_at),
            subject=text_header("Subject", _subject(letter, recipient)),
            address=recipient.address,
            message_id=f"<d.{token(key)}@{letter.domain}>",
            thread=f"<j.{token(recipient.thread)}@{letter.domain}>" if recipient.thread else "",
            unsubscribe_url=token(recipient.unsubscribe_url),
        ),
        "notes": quoted("".join(f"{wrap(note)}\n\n" for note in notes)) if notes else b"",
        "foot": quoted(f"{wrap(why)}\n{aligned(in_text)}\n"),
        "htmlnotes": quoted("".join(f"{note_line(note)}\n" for note in notes)) if notes else b"",
        "htmlfoot": quoted(f"{foot(why, in_html)}\n"),
    }


@lru_cache(maxsize=8)
def _date(at: datetime) -> str:
    """What is claimed together is dated alike."""
    return format_datetime(at)


def _subject(letter: Letter, recipient: Recipient) -> str:
    """A test says so in its subject, unless that is what it is about.

    People's mail programs keep a job's mails together while the subject stays the same. Systems that open an incident for each new
    subject, such as PagerDuty, must be able to tell runs apart: outside the account it ends with the run's number.
    """
    subject = f"{letter.subject} · #{letter.run_id}" if recipient.is_outside and letter.run_id else letter.subject
    if letter.is_test or not recipient.is_test:
        return subject
    return words_in(letter.language).say("[Test] {subject}", subject=subject)


def _notes(letter: Letter, recipient: Recipient) -> list[str]:
    """What to know before anything else is read."""
    words, notes = words_in(letter.language), []
    if recipient.is_test and not letter.is_test:
        notes.append(words.say("This is a test. Nothing has happened."))
    if recipient.is_late and letter.ended_at:
        line = words.line("This message is late: the run ended at {moment}.", moment=Moment(letter.ended_at))
        notes.append(plain(line, Reader(letter.language, letter.zone)).replace(NBSP, " "))
    return notes
