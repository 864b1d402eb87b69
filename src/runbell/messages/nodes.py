"""The nodes that broke or warned, as far as a message has room for them."""

import re
from collections.abc import Sequence

from runbell.core.runs import NodeReport, NodeStatus, Outcome
from runbell.messages.facts import RunFacts, is_stale
from runbell.messages.labels import kind_of, kind_word, name_of, node_ended
from runbell.messages.message import Line, Moment, Span, Tone, Trouble
from runbell.messages.safe import many_lines, one_line
from runbell.messages.words import Words

MAX_NODES = 5
MAX_TEXT = 300
MAX_NAME = 120
MAX_KIND = 30
MAX_GIST = 120
_PREAMBLE = re.compile(r"^[A-Z][\w ]* Error in \S+ \S+ \(.+\)$")
"""dbt's own first line, ``Runtime Error in model stg_payments (models/…)``, repeats what the message has said already."""


def troubles(facts: RunFacts, words: Words) -> tuple[Trouble, ...]:
    """Errors first, then warnings, each in the order reported. A canceled run has none: what it left half done is no news."""
    return tuple(_trouble(node, words) for node in _worth_telling(facts)[:MAX_NODES])


def _worth_telling(facts: RunFacts) -> Sequence[NodeReport]:
    if facts.outcome in (Outcome.CANCELLED, Outcome.SUCCEEDED):
        return ()
    return sorted(facts.nodes, key=lambda node: node.status is NodeStatus.WARN)


def troubles_title(facts: RunFacts, words: Words) -> str:
    if not _worth_telling(facts):
        return ""
    return words.say("What broke") if facts.outcome is Outcome.FAILED else words.say("What warned")


def remarks(facts: RunFacts, words: Words) -> tuple[str, ...]:
    """What the list leaves out: nodes beyond its limit, and everything that was skipped, as one count."""
    if not _worth_telling(facts):
        return ()
    said = []
    if (more := max(facts.total("failed") + facts.total("warned"), len(facts.nodes)) - MAX_NODES) > 0:
        said.append(words.count("+{n} more on the run page.", "+{n} more on the run page.", more))
    if (skipped := facts.total("skipped")) and facts.outcome is Outcome.FAILED:
        said.append(
            words.count("{n} node was skipped because of these failures.", "{n} nodes were skipped because of these failures.", skipped)
        )
    return tuple(said)


def _trouble(node: NodeReport, words: Words) -> Trouble:
    return Trouble(
        tone=Tone.WARNED if node.status is NodeStatus.WARN else Tone.FAILED,
        word=node_ended(node.status, words),
        name=one_line(name_of(node), MAX_NAME),
        kind=one_line(kind_word(kind_of(node), words), MAX_KIND),
        text=_text(node, words),
    )


def _text(node: NodeReport, words: Words) -> Line:
    """The engine's own words; a source that is too old has none, and its times say it better."""
    if not is_stale(node) or node.loaded_at is None:
        text = many_lines(node.message, MAX_TEXT)
        if not text and node.failures and kind_of(node) == "test":  # Fusion says no more than this number
            text = words.count("Got {n} result.", "Got {n} results.", node.failures)
        return (text,) if text else ()
    at, age = Moment(node.loaded_at, is_short=True), Span(node.age_seconds or 0, is_rough=True)
    return (*words.line("Last row at {moment}, {age} ago.", moment=at, age=age), *_limits(node, words))


def _limits(node: NodeReport, words: Words) -> Line:
    warn = Span(node.warn_after_seconds) if node.warn_after_seconds is not None else None
    fail = Span(node.error_after_seconds) if node.error_after_seconds is not None else None
    if warn and fail:
        return (" ", *words.line("Warns after {warn}, fails after {fail}.", warn=warn, fail=fail))
    if warn:
        return (" ", *words.line("Warns after {warn}.", warn=warn))
    return (" ", *words.line("Fails after {fail}.", fail=fail)) if fail else ()


def gist(trouble: Trouble) -> Line:
    """One line that says what is wrong: name and the first telling line of the text."""
    if not trouble.text:
        return (trouble.name,)
    first, *others = trouble.text
    lines = [line for line in str(first).split("\n") if line.strip()] if isinstance(first, str) else []
    if not others and lines:
        telling = lines[1] if len(lines) > 1 and _PREAMBLE.match(lines[0].strip()) else lines[0]
        return (f"{trouble.name}: {one_line(telling, MAX_GIST)}",)
    return (f"{trouble.name}: ", *trouble.text)
