"""A mail as bytes, written by hand: the shared part is encoded once, and one recipient's own lines are put in afterwards.

The standard library's modern policy folds long tokens in References and List-Unsubscribe into encoded words, which no mail
client reads (https://github.com/python/cpython/issues/100991), and costs more than sending does. So lines here are ours: the
whole is seven-bit, bodies are quoted-printable, and a slot always stands on a line of its own, so that no soft line break can
split it and what replaces it is a run of complete encoded lines.
"""

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import formataddr, parseaddr
from functools import lru_cache
from types import MappingProxyType

import idna

NEWLINE = "\r\n"
PLAIN, WORD = 74, 45  # letters of a header and its name on one line; bytes in an encoded word that fills one
BOUNDARY = "=_runbell"  # quoted-printable never contains "=_"
_NOT_TOKEN = re.compile(r"[^!-~]+")
_MAILBOX = re.compile(r"[!-;=?-~]+@[!-;=?-~]+")
_SLOT = re.compile("\0([a-z]+)\0\n")


Piece = bytes | str
"""Of a mail: bytes as they are sent, or the name of a slot."""


def slot(name: str) -> str:
    """A line of a body to be replaced. NUL comes from nowhere else."""
    return f"\0{name}\0\n"


def token(text: str) -> str:
    """A header value that is one token: whatever could end or fold the line is dropped."""
    return _NOT_TOKEN.sub("", text) if _NOT_TOKEN.search(text) else text


def text_header(name: str, text: str) -> str:
    """A header line of free text: as it is where that is plain and fits on the line, else folded encoded words."""
    is_plain = text.isascii() and text.isprintable() and "=?" not in text
    return f"{name}: {text if is_plain and len(name) + len(text) <= PLAIN else _encoded_words(name, text)}{NEWLINE}"


def _encoded_words(name: str, text: str) -> str:
    """Lines of 76 at most (RFC 2047 §2). `email.header` makes them 78, at ten times the cost."""
    words, left, room = [], text.encode("utf-8", "replace"), (PLAIN - 12 - len(name)) // 4 * 3
    while left:
        cut = min(room, len(left))
        while cut < len(left) and left[cut] & 0xC0 == 0x80:  # never within a letter
            cut -= 1
        words.append(f"=?utf-8?b?{b2a_base64(left[:cut], newline=False).decode()}?=")
        left, room = left[cut:], WORD
    return f"{NEWLINE} ".join(words)


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
    """Whole lines of text, encoded. (Not splitlines, which knows more ends than the wire does.)"""
    return b"".join(map(_quoted_line, text.removesuffix("\n").split("\n"))) if text else b""


@lru_cache(maxsize=1024)
def _quoted_line(line: str) -> bytes:
    """Kept, because most lines of a mail are the same in all. `b2a_qp` takes its kind of soft line break from the line break it meets."""
    return b2a_qp(f"{line}{NEWLINE}".encode("utf-8", "replace"))


def encode_body(text: str, blocks: Mapping[str, bytes] = MappingProxyType({})) -> Iterator[Piece]:
    """A body with slots. `blocks` are encoded already and fill theirs."""
    for i, part in enumerate(_SLOT.split(text)):
        yield blocks.get(part, part) if i % 2 else quoted(part.replace("\0", ""))


def part(content_type: str, body: Iterable[Piece]) -> tuple[Piece, ...]:
    head = f"--{BOUNDARY}\r\nContent-Type: {content_type}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head.encode(), *body


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


def fill_slots(pieces: Iterable[Piece], lines: Mapping[str, bytes]) -> bytes:
    return b"".join(lines[piece] if isinstance(piece, str) else piece for piece in pieces)
