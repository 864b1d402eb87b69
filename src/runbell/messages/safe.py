"""Text from outside made fit for a message: no control characters, no reordering, never longer than its place."""

import re
import unicodedata

MAX_TITLE = 200
ELLIPSIS = "…"
FSI, PDI = "\u2068", "\u2069"

# Overrides and isolates in a name could make the rest of a line read backwards (trojansource.codes); lone surrogates cannot be encoded.
_REORDERING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_NOT_IN_TEXT = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_REORDERING}\ud800-\udfff\ufffe\uffff]")
_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile(r"\s+")


def many_lines(text: str, limit: int) -> str:
    """Text of several lines, cut at `limit` characters with an ellipsis."""
    clean = _NOT_IN_TEXT.sub("", _BREAKS.sub("\n", text)).expandtabs(4).strip("\n").rstrip()
    return _cut(clean, limit)


def one_line(text: str, limit: int = MAX_TITLE) -> str:
    """The same on one line, with single spaces. Most texts are such already."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return _cut(text.strip(), limit)
    return _cut(_SPACES.sub(" ", _NOT_IN_TEXT.sub("", _BREAKS.sub("\n", text))).strip(), limit)


def _cut(text: str, limit: int) -> str:
    """To `limit` characters and twice as many bytes: on the wire a character of four bytes takes twelve."""
    if len(text) <= limit and (text.isascii() or len(text.encode()) <= 2 * limit):
        return text
    kept = text[: limit - 1].encode()[: max(2 * limit - 3, 0)].decode("utf-8", "ignore")
    return kept.rstrip() + ELLIPSIS


def isolated(name: str) -> str:
    """A name that may stand amid other words: one written from right to left is isolated, so that it leaves its neighbours in place."""
    if name.isascii() or not any(unicodedata.bidirectional(char) in ("R", "AL") for char in name):
        return name
    return FSI + name + PDI
