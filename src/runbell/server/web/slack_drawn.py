"""A Slack message that would be posted, read back into parts that a page can draw simply."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

_DATE = re.compile(r"<!date\^\d+\^[^|]*\|([^>]*)>")


@dataclass(frozen=True, slots=True)
class Piece:
    """`label` goes with a fact alone. `style`: bold, code or nothing."""

    text: str
    url: str = ""
    style: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """`kind`: text, quote, code, facts or context."""

    kind: str
    pieces: tuple[Piece, ...]


def drawn(post: Mapping[str, Any]) -> tuple[Part, ...]:
    """All but the header, which is the page's own heading."""
    return tuple(part for attachment in post["attachments"] for block in attachment["blocks"] for part in _parts(block))


def _parts(block: Mapping[str, Any]) -> Iterator[Part]:
    match block["type"]:
        case "section":
            yield Part("facts", tuple(_fact(field["text"]) for field in block["fields"]))
        case "context":
            yield Part("context", tuple(Piece(element["text"]) for element in block["elements"]))
        case "rich_text":
            kinds = {"rich_text_section": "text", "rich_text_quote": "quote", "rich_text_preformatted": "code"}
            yield from (Part(kinds[element["type"]], tuple(map(_piece, element["elements"]))) for element in block["elements"])


def _piece(element: Mapping[str, Any]) -> Piece:
    style = next(iter(element.get("style") or ()), "")
    return Piece(element.get("text") or element.get("fallback", ""), element.get("url", ""), style)


def _fact(markup: str) -> Piece:
    """``*label*``, a line end, and a value that is escaped, or code where Slack would read something into it."""
    label, _, value = markup.partition("\n")
    return Piece(unescape(_DATE.sub(r"\1", value)).strip("`"), label=unescape(label.strip("*")))
