"""A mail as bytes, written by hand: the shared part is encoded once, and one recipient's own lines are put in afterwards.

The standard library's modern policy folds long tokens in References and List-Unsubscribe into encoded words, which no mail
client reads (https://github.com/python/cpython/issues/100991), and costs more than sending does. So lines here are ours: the
whole is seven-bit, bodies are quoted-printable, and a slot always stands on a line of its own, so that no soft line break can
split it and what replaces it is a run of complete encoded lines.
"""

import re
from binascii import b2a_qp
from collections.abc import Mapping
from dataclasses import dataclass
from email.charset import BASE64, Charset
from email.header import Header
from email.utils import formataddr, parseaddr
from functools import lru_cache

import idna

NEWLINE = "\r\n"
BOUNDARY = "=_runbell"  # quoted-printable never contains "=_"
_NOT_TOKEN = re.compile(r"[^!-~]+")
_MAILBOX = re.compile(r"[!-;=?-~]+@[!-;=?-~]+")
_SLOT = re.compile("\0([a-z]+)\0\n")
_LINE = re.compile("[^\n]*\n|[^\n]+")  # not splitlines, which knows more ends than the wire does
_UTF8 = Charset("utf-8")
_UTF8.header_encoding = BASE64  # the default, the shorter of two, measures every letter: five times the cost


def slot(name: str) -> str:
    """A line to be replaced. NUL occurs neither in a header nor in an encoded body."""
    return f"\0{name}\0\n"


def token(text: str) -> str:
    """A header value that is one token: whatever could end or fold the line is dropped."""
    return _NOT_TOKEN.sub("", text) if _NOT_TOKEN.search(text) else text


@lru_cache(maxsize=256)
def text_header(name: str, text: str) -> str:
    """A header line of free text, folded; always as encoded words when it is not plain ASCII, or looks like one already."""
    is_plain = text.isascii() and "=?" not in text
    return f"{name}: {Header(text, 'us-ascii' if is_plain else _UTF8, header_name=name).encode(linesep=NEWLINE)}{NEWLINE}"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who mails are from. `header` is the value of From."""

    header: str
    address: str
    domain: str


@lru_cache(maxsize=16)
def sender(text: str) -> Sender:
    """From ``Runbell <runbell@acme.example>``."""
    name, address = parseaddr(" ".join(text.split()))
    address = wire_address(address)
    return Sender(formataddr((name, address)), address, address.rpartition("@")[2] or "localhost")


def wire_address(address: str) -> str:
    """The address as SMTP without SMTPUTF8 takes it: an international domain in its ASCII form."""
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except idna.IDNAError:
        return address


def is_mailbox(address: str) -> bool:
    """Whether an address can stand between angle brackets. What cannot is refused and never mended: it would be somebody else's."""
    return _MAILBOX.fullmatch(address) is not None


def quoted(text: str) -> bytes:
    """Whole lines of text, encoded."""
    return b"".join(map(_quoted_line, _LINE.findall(text)))


@lru_cache(maxsize=1024)
def _quoted_line(line: str) -> bytes:
    """Kept, because most lines of a mail are the same in all. `b2a_qp` takes its kind of soft line break from the line break it meets."""
    return b2a_qp(line.replace("\n", NEWLINE).encode("utf-8", "replace"))


def encode_body(text: str) -> bytes:
    """A body with slots, of which each stays as it is."""
    parts = _SLOT.split(text)
    return b"".join(slot(part).encode() if i % 2 else quoted(part.replace("\0", "")) for i, part in enumerate(parts))


def part(content_type: str, body: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Type: {content_type}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head.encode() + body


def own_headers(*, date: str, subject: str, address: str, message_id: str, thread: str, unsubscribe_url: str) -> bytes:
    """The header lines of one recipient. `subject` is a whole line; the others are values that hold no line break.

    `thread` is the Message-ID of a mail that is never sent: what refers to it stands together in every mail client.
    """
    lines = f"Date: {date}\r\nTo: <{token(wire_address(address))}>\r\n{subject}Message-ID: {message_id}\r\n"
    if thread:
        lines += f"References: {thread}\r\nIn-Reply-To: {thread}\r\n"
    if unsubscribe_url:
        lines += f"List-Unsubscribe: <{unsubscribe_url}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    return lines.encode("ascii", "replace")


def split_slots(template: bytes) -> tuple[bytes, ...]:
    """Literal, slot name, literal, …"""
    return tuple(re.split(b"\0([a-z]+)\0\n", template))


def fill_slots(parts: tuple[bytes, ...], lines: Mapping[bytes, bytes]) -> bytes:
    filled = list(parts)
    for i in range(1, len(parts), 2):
        filled[i] = lines[parts[i]]
    return b"".join(filled)
