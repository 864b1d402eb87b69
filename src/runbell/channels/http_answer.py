"""What comes back: one answer, read off a connection by `httptools`, which is the parser of Node (https://llhttp.org).

The standard library's takes a line at a time and has its parser of mails read the head (docs/decisions/0015-a-parser-for-answers.md).
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_BODY = 16 * 1024 * 1024
MAX_HEAD = 64 * 1024  # with interim ones, and with what is around the chunks of a body
MAX_HEADERS = 100  # with those behind a body in chunks
_PIECE = 64 * 1024


class Broken(Exception):
    """No answer, no whole one, or none that can be told from the next."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers`: names in small letters; of one that came more than once the first value."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)  # may hold a token


def read_answer(connection: socket.socket) -> tuple[Answer, bool]:
    """The answer, cut off at `MAX_BODY`, and whether another may follow on the connection. Raises `Broken`, `OSError`."""
    coming = _Coming()
    try:
        while not coming.is_over:
            coming.take(connection.recv(_PIECE))
    finally:
        del coming.parser  # which knows its listener: else both would wait for the collector
    return Answer(coming.status, coming.headers, coming.body), coming.is_kept


class _Coming:
    """As far as it came. What begins with `on_` is called by the parser."""

    def __init__(self) -> None:
        self.parser = HttpResponseParser(self)
        # Odd, and yet there is one way to read it.
        self.parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        self.headers: dict[str, str] = {}
        self.status = 0
        self._body = bytearray()
        self._came = self._headers = 0
        self.has_head = self.is_over = self.is_kept = False

    @property
    def body(self) -> bytes:
        return bytes(self._body[:MAX_BODY])

    def take(self, piece: bytes) -> None:
        """An empty piece is the end of the connection. Raises `Broken`."""
        if not piece:
            self._end()
            return
        self._came += len(piece)
        try:
            self.parser.feed_data(piece)
        except (HttpParserError, HttpParserUpgrade):
            self.is_kept = False  # what stands behind an answer is none of it
            if not self.is_over:
                raise Broken from None
        if not self.is_over and self._came > MAX_HEAD + 8 * len(self._body):  # a byte in a chunk of its own is six
            raise Broken

    def _end(self) -> None:
        """A body without a length goes as far as the connection."""
        has_end = "content-length" in self.headers or self.headers.get("transfer-encoding", "identity").lower() != "identity"
        if not self.has_head or has_end:
            raise Broken
        self.is_over = True

    def on_message_begin(self) -> None:
        self.is_kept = False  # of a second one, nothing is wanted
        if not self.is_over:
            self.headers, self.has_head = {}, False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        if self._headers > MAX_HEADERS:
            raise Broken
        if not (self.has_head or self.is_over):
            self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1").strip())

    def on_headers_complete(self) -> None:
        if not self.is_over:
            self.status = self.parser.get_status_code()
            self.has_head = self.status >= 200

    def on_body(self, piece: bytes) -> None:
        if not self.is_over:
            self._body += piece
            self.is_over = len(self._body) > MAX_BODY

    def on_message_complete(self) -> None:
        if self.status == 101:  # another protocol from here on
            raise Broken
        if self.has_head and not self.is_over:
            self.is_over, self.is_kept = True, self.parser.should_keep_alive()
