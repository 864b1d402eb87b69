"""A message as Slack's Block Kit: a header with the outcome, then one attachment whose colour bar stands beside everything else.

What comes from outside is text in a `rich_text` or `plain_text` element wherever that is possible: nothing in those is read as markup,
mention, link or emoji. The fields of a section know only markup; there it is escaped. Every part has a budget, so that no message is
ever refused for its size: https://docs.slack.dev/reference/block-kit/blocks
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from json import dumps
from typing import Any

from runbell.channels.base import Recipient
from runbell.messages.message import Entry, Fact, Line, Message, Moment, Reader, Strong, Tone, Trouble
from runbell.messages.safe import ELLIPSIS
from runbell.messages.wording import local, piece_text, plain
from runbell.messages.words import words_in

Json = dict[str, Any]

COLOURS = {
    Tone.SUCCEEDED: "#569471",
    Tone.WARNED: "#C07600",
    Tone.FAILED: "#D9302E",
    Tone.CANCELLED: "#7C7A8B",
    Tone.NOTICE: "#304CB5",
}
# Slack: header 150, text 4,000, field 2,000, 10 fields, plain text 3,000, and some 13,200 over all blocks, which is not documented
# (slackapi/bolt-js issue 2509). Lengths here are in UTF-16 units, the longest way to count characters.
HEADER, TEXT, SENTENCE, FACTS, FACT, NAME, ERROR, TROUBLES, CLOSING, LABEL, URL = 150, 600, 1_000, 10, 300, 150, 600, 5_500, 600, 75, 3_000
ENTRIES = 10_000
LAST_SECOND = 4_102_444_800  # the year 2100
_ACTIVE = re.compile(r"[*_~`:<>&|]")


@dataclass(frozen=True, slots=True)
class Post:
    """What all Slack channels of one language and zone share; `blocks` and `closing` are encoded and end with a comma each, or are empty."""

    language: str
    zone: str
    subject: str
    gist: str
    colour: str
    blocks: bytes
    closing: bytes
    run_id: str
    run_label: str
    run_url: str
    ended_at: datetime | None
    is_test: bool


def shared(message: Message, reader: Reader) -> Post:
    return Post(
        language=reader.language,
        zone=reader.zone,
        subject=message.subject,
        gist=plain(message.preheader or message.summary, reader),
        colour=COLOURS[message.tone],
        blocks=_encoded(
            [*_sentence(message.summary, reader), *_facts(message.facts, reader), *_troubles(message, reader), *_entries(message, reader)]
        ),
        closing=_encoded(_closing(message, reader)),
        run_id=message.run_id,
        run_label=message.open_label,
        run_url=reader.links.run,
        ended_at=message.ended_at,
        is_test=message.is_test,
    )


def body(post: Post, recipient: Recipient, more: Mapping[str, Any]) -> bytes:
    """The JSON that is posted. `more` stands beside text, blocks and attachments."""
    subject = _subject(post, recipient)
    own = _encoded([*_notes(post, recipient)])
    links = _encoded([*_links(post, recipient)])
    blocks = (own + post.blocks + links + post.closing).removesuffix(b",")
    header = {"type": "header", "text": _plain_text(cut(subject, HEADER))}
    envelope = {
        "text": escape(cut(": ".join(filter(None, (subject, post.gist))), TEXT)),  # what a phone shows and a screen reader says
        "unfurl_links": False,
        "unfurl_media": False,
        **more,
        "blocks": [header],
    }
    attachment = {"color": post.colour, "fallback": escape(cut(subject, HEADER))}
    return b'%b,"attachments":[%b,"blocks":[%b]}]}' % (_json(envelope)[:-1], _json(attachment)[:-1], blocks)


def _subject(post: Post, recipient: Recipient) -> str:
    if post.is_test or not recipient.is_test:
        return post.subject
    return words_in(post.language).say("[Test] {subject}", subject=post.subject)


def _notes(post: Post, recipient: Recipient) -> Iterator[Json]:
    """What to know before anything else is read."""
    words, reader = words_in(post.language), Reader(post.language, post.zone)
    if recipient.is_test and not post.is_test:
        yield from _sentence((words.say("This is a test. Nothing has happened."),), reader)
    if recipient.is_late and post.ended_at:
        yield from _sentence(words.line("This message is late: the run ended at {moment}.", moment=Moment(post.ended_at)), reader)


def _links(post: Post, recipient: Recipient) -> Iterator[Json]:
    """Plain links: a button with a URL also posts to the app, which then has to answer."""
    words = words_in(post.language)
    ways = ((post.run_label, post.run_url), (words.say("Why here?"), recipient.why_url), (words.say("Settings"), recipient.settings_url))
    links = [_link(name, url, is_first=url == post.run_url) for name, url in ways if name and url and units(url) <= URL]
    if links:
        yield _rich([_section([element for link in links for element in (_text("  ·  "), link)][1:])])


def _link(name: str, url: str, *, is_first: bool) -> Json:
    return {"type": "link", "url": url, "text": cut(name, LABEL), **({"style": {"bold": True}} if is_first else {})}


def _sentence(line: Line, reader: Reader) -> Iterator[Json]:
    if elements := list(_elements(line, reader)):
        yield _rich([_section(elements)])


def _facts(facts: tuple[Fact, ...], reader: Reader) -> Iterator[Json]:
    """Without the end of a run: the sentence says how long it took, and Slack when the message came."""
    if told := [fact for fact in facts if not _is_second_moment(fact.value)]:
        yield {"type": "section", "fields": [_field(fact, reader) for fact in told[:FACTS]]}


def _is_second_moment(value: Line) -> bool:
    return len(value) == 1 and isinstance(value[0], Moment) and value[0].near is not None


def _field(fact: Fact, reader: Reader) -> Json:
    value = "".join(
        _moment_markup(piece, reader) if isinstance(piece, Moment) else markup(piece_text(piece, reader)) for piece in fact.value
    )
    return {"type": "mrkdwn", "text": f"*{escape(cut(fact.label, LABEL))}*\n{value}", "verbatim": True}


def _troubles(message: Message, reader: Reader) -> Iterator[Json]:
    """As many as there is room for, and how many there was none for."""
    parts: list[Json] = []
    room = TROUBLES
    for n, trouble in enumerate(message.troubles):
        told = list(_trouble(trouble, reader))
        room -= units(_json(told).decode())
        if room < 0:
            left = len(message.troubles) - n
            more = words_in(message.language).count("+{n} more on the run page.", "+{n} more on the run page.", left)
            parts.append(_section([_text(more)]))
            break
        parts += told
    if parts:
        yield _rich(parts)


def _trouble(trouble: Trouble, reader: Reader) -> Iterator[Json]:
    """The engine's words keep their lines and columns; a sentence of ours is quoted."""
    head = [_text(f"{trouble.word} ", bold=True), _text(trouble.name, code=True), _text(f" {trouble.kind}")]
    yield _section([element for element in head if element["text"].strip()] or [_text("—")])
    if len(trouble.text) == 1 and isinstance(trouble.text[0], str):
        if text := cut(trouble.text[0], ERROR):
            yield {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]}
    elif trouble.text:
        yield {"type": "rich_text_quote", "elements": list(_elements(trouble.text, reader))}


def _entries(message: Message, reader: Reader) -> Iterator[Json]:
    """Every run, whatever it takes: names are cut until all fit, and in the end the links go rather than a run."""
    if not message.entries:
        return
    for name, has_link in ((NAME, True), (40, True), (16, True), (16, False)):
        lines = [_entry(entry, reader.links.runs if has_link else "", name) for entry in message.entries]
        if units(_json(lines).decode()) <= ENTRIES:
            break
    yield _rich([{"type": "rich_text_list", "style": "bullet", "elements": lines}])


def _entry(entry: Entry, runs: str, name: int) -> Json:
    title = cut(entry.title, name) or "—"
    link = {"type": "link", "url": runs + entry.run_id, "text": title} if runs and entry.run_id else _text(title)
    return _section([_text(f"{entry.word} ", bold=True), link, *_texts(f"  {entry.place}" if entry.place else "", name)])


def _closing(message: Message, reader: Reader) -> Iterator[Json]:
    said = " ".join(filter(None, (*message.remarks, plain(message.history, reader))))
    if said.strip():
        yield {"type": "context", "elements": [_plain_text(cut(said, CLOSING))]}


def _elements(line: Line, reader: Reader) -> Iterator[Json]:
    """A sentence; moments stand in each reader's own zone, as the times do that Slack itself shows beside the message."""
    room, plainly = SENTENCE, ""
    for piece in line:
        if not isinstance(piece, Moment | Strong):
            plainly += piece_text(piece, reader)
            continue
        yield from _texts(plainly, room)
        room, plainly = room - units(plainly), ""
        if isinstance(piece, Moment):
            yield _moment_element(piece, reader)
        else:
            strong = piece_text(piece, reader)
            yield from _texts(strong, room, bold=True)
            room -= units(strong)
    yield from _texts(plainly, room)


def _texts(text: str, room: int, **style: bool) -> Iterator[Json]:
    """None for an empty one, which Slack would refuse."""
    if kept := cut(text, room):
        yield _text(kept, **style)


def _stamp(moment: Moment, reader: Reader) -> tuple[int, str] | None:
    """The second, and how Slack is to write it; none for a time that no clock shows. The day is left out where `near` has told it."""
    second = int(moment.at.timestamp())
    if not 0 < second < LAST_SECOND:
        return None
    is_near = moment.near and local(moment.near, reader).date() == local(moment.at, reader).date()
    return second, "{time}" if is_near else "{date_short} {time}"


def _moment_element(moment: Moment, reader: Reader) -> Json:
    said = piece_text(moment, reader)
    if stamp := _stamp(moment, reader):
        return {"type": "date", "timestamp": stamp[0], "format": stamp[1], "fallback": said}
    return _text(said)


def _moment_markup(moment: Moment, reader: Reader) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#date-formatting"""
    said = escape(piece_text(moment, reader)).replace("|", " ")
    stamp = _stamp(moment, reader)
    return f"<!date^{stamp[0]}^{stamp[1]}|{said}>" if stamp else said


def _rich(parts: Iterable[Json]) -> Json:
    return {"type": "rich_text", "elements": list(parts)}


def _section(elements: list[Json]) -> Json:
    return {"type": "rich_text_section", "elements": elements}


def _text(text: str, **style: bool) -> Json:
    styled = {name: True for name, is_on in style.items() if is_on}
    return {"type": "text", "text": cut(text, NAME) if "code" in style else text, **({"style": styled} if styled else {})}


def _plain_text(text: str) -> Json:
    return {"type": "plain_text", "text": text, "emoji": False}


def markup(text: str) -> str:
    """Text that means nothing: as it is, or where Slack would read something into it, as code, the only place where it does not."""
    text = " ".join(text.split())
    if not _ACTIVE.search(text):
        return cut(text, FACT)
    text = text.replace("`", "ˋ")
    while units(escaped := escape(text)) > FACT:
        text = cut(text, units(text) - max((units(escaped) - FACT) // 5, 2))
    return f"`{escaped}`"


def escape(text: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "replace")) // 2


def cut(text: str, limit: int) -> str:
    if units(text) <= limit:
        return text
    kept = text.encode("utf-16-le", "replace")[: 2 * max(limit - 1, 0)].decode("utf-16-le", "ignore")
    return kept.rstrip() + ELLIPSIS if limit > 0 else ""


def _encoded(blocks: Iterable[Json]) -> bytes:
    return b"".join(_json(block) + b"," for block in blocks)


def _json(value: Any) -> bytes:
    return dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
