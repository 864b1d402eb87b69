"""The text of a mail: the same facts as its HTML twin, wrapped at 72 columns.

The slots are replaced by one recipient's own lines.
"""

from collections.abc import Iterable, Iterator

from runbell.channels.mime import slot
from runbell.messages.message import Entry, Message, Reader, StepLine, Trouble
from runbell.messages.wording import NBSP, plain, span
from runbell.messages.words import Words, words_in

WIDTH = 72
NOTES, FOOT = slot("notes"), slot("foot")


def text_body(message: Message, reader: Reader) -> str:
    words = words_in(reader.language)
    blocks = [
        wrap(message.subject),
        f"{NOTES}{wrap(plain(message.summary, reader))}",
        reader.links.run if message.open_label else "",
        _facts(message, reader),
        *_troubles(message, reader),
        *_steps(message, words),
        "\n".join(_entry(entry, reader) for entry in message.entries),
        wrap(plain(message.history, reader)),
        f"-- \n{FOOT}\n{wrap(closing(message, reader))}",
    ]
    return "\n\n".join(filter(None, blocks)).replace(NBSP, " ") + "\n"


def closing(message: Message, reader: Reader) -> str:
    words = words_in(reader.language)
    return " ".join((words.say("Runbell for {account}.", account=message.account), words.say("Times are in {zone}.", zone=reader.zone)))


def _facts(message: Message, reader: Reader) -> str:
    width = max((len(fact.label) for fact in message.facts), default=0) + 2
    return "\n".join(wrap(plain(fact.value, reader), fact.label.ljust(width), " " * width) for fact in message.facts)


def _troubles(message: Message, reader: Reader) -> Iterator[str]:
    if message.troubles:
        yield message.troubles_title.upper()
        yield from (_trouble(node, reader) for node in message.troubles)
    yield from map(wrap, message.remarks)


def _trouble(node: Trouble, reader: Reader) -> str:
    """The engine's own lines are kept as they are: wrapping would move a caret away from what it points at."""
    head, text = f"{node.word}: {node.name} ({node.kind})", plain(node.text, reader)
    if len(node.text) > 1:  # a sentence of ours
        return f"{head}\n{wrap(text, '  ', '  ')}"
    return "\n".join([head, *(f"  {line}" for line in text.split("\n") if text)])


def _steps(message: Message, words: Words) -> Iterator[str]:
    if message.steps:
        yield message.steps_title.upper()
        yield "\n".join([*(_step(step, words) for step in message.steps), *filter(None, [message.steps_more])])


def _step(step: StepLine, words: Words) -> str:
    took = f" ({span(step.took, words)})" if step.took else ""
    lines = [f"{step.word}: {step.command}{took}" if step.command else f"{step.word}{took}"]
    return "\n".join([*lines, *([wrap(step.detail, "  ", "  ")] if step.detail else [])])


def _entry(entry: Entry, reader: Reader) -> str:
    return f"{entry.word}: {entry.title} · {entry.place}\n  {reader.links.runs}{entry.run_id}"


def aligned(pairs: Iterable[tuple[str, str]]) -> str:
    """``Why:         https://…``, never wrapped: a broken link is none."""
    rows = [(f"{label}:", value) for label, value in pairs]
    width = max((len(label) for label, _ in rows), default=0)
    return "\n".join(f"{label.ljust(width)} {value}" for label, value in rows)


def wrap(text: str, first: str = "", then: str = "") -> str:
    """Greedy, at spaces alone; a word longer than a line has a line of its own. (`textwrap` does this at ten times the cost.)"""
    words = [word for word in text.split(" ") if word]
    line = first + " ".join(words)
    return line if len(line) <= WIDTH else "\n".join(_lines(words, first, then))


def _lines(words: list[str], first: str, then: str) -> Iterator[str]:
    line, is_fresh = first, True
    for word in words:
        if not is_fresh and len(line) + 1 + len(word) > WIDTH:
            yield line
            line, is_fresh = then, True
        line += word if is_fresh else f" {word}"
        is_fresh = False
    yield line
