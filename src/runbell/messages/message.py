"""The neutral message: said once per run and language, stored, and rendered by each channel for each reader.

It holds no formatted time: `Moment`, `Since` and `Span` are worded while rendering, in the reader's zone, so that one stored
message serves readers everywhere and a late or repeated try says the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple


class Tone(StrEnum):
    """What the reader should feel at a glance; channels choose mark and colour by it."""

    SUCCEEDED = "succeeded"
    WARNED = "warned"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, to the second. The day is left out when it is, for the reader, the day of `near`."""

    at: datetime
    near: datetime | None = None
    is_short: bool = False  # to the minute, without the weekday


@dataclass(frozen=True, slots=True)
class Since:
    """“since Sunday”: the day of `at` as seen from `until`."""

    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time in seconds. `is_rough`: the largest unit alone is enough."""

    seconds: float
    is_rough: bool = False


@dataclass(frozen=True, slots=True)
class Strong:
    """Words that carry weight in a sentence."""

    line: "tuple[str | Moment | Since | Span, ...]"


Piece = str | Moment | Since | Span | Strong
Line = tuple[Piece, ...]
"""A sentence in pieces. Text pieces are already in the message's language and never marked up."""


@dataclass(frozen=True, slots=True)
class Fact:
    """`is_place`: the title already says where, so a rich rendering leaves it out."""

    label: str
    value: Line
    is_place: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """One node that broke or warned: status word, name, kind, and the engine's own text, which may have several lines."""

    tone: Tone
    word: str
    name: str
    kind: str
    text: Line


@dataclass(frozen=True, slots=True)
class StepLine:
    tone: Tone
    word: str
    command: str
    detail: str
    took: Span | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One run of a digest, on one line."""

    tone: Tone
    word: str
    title: str
    place: str
    run_id: str


class Bar(NamedTuple):
    """One of the last runs, oldest first. `height` from 0 to 1; a half is the usual duration. Stored as a pair: there are thirty."""

    tone: Tone
    height: float


@dataclass(frozen=True, slots=True)
class Message:
    """What to say. `subject` is also the first line, the outcome first: ``FAILED · nightly build · Production``.

    `environment` and `ended_at` are for sentences that are a recipient's own; `account_id` and `run_id` for filters.
    """

    language: str
    tone: Tone
    word: str
    title: str
    place: str
    subject: str
    summary: Line
    account: str = ""
    account_id: str = ""
    environment: str = ""
    run_id: str = ""
    preheader: Line = ()
    open_label: str = ""  # the words that lead to the run
    facts: tuple[Fact, ...] = ()
    troubles_title: str = ""
    troubles: tuple[Trouble, ...] = ()
    remarks: tuple[str, ...] = ()  # what the list of troubles leaves out
    steps_title: str = ""
    steps: tuple[StepLine, ...] = ()
    steps_more: str = ""
    entries: tuple[Entry, ...] = ()
    bars: tuple[Bar, ...] = ()
    history: Line = ()
    ended_at: datetime | None = None
    is_test: bool = False

    def to_json(self) -> dict[str, Any]:
        return {name: stored for name, value in _items(self) if (stored := _store(value)) not in (None, "", [], False)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Message":
        """Reads every form that was ever stored: what is missing is empty, what is unknown is left out."""
        return cls(
            **{name: str(stored.get(name) or "") for name in _TEXTS},
            tone=_tone(stored.get("tone")),
            summary=_line(stored.get("summary")),
            preheader=_line(stored.get("preheader")),
            history=_line(stored.get("history")),
            facts=tuple(
                Fact(_text(fact, "label"), _line(fact.get("value")), is_place=bool(fact.get("is_place"))) for fact in _list(stored, "facts")
            ),
            troubles=tuple(_trouble(node) for node in _list(stored, "troubles")),
            remarks=tuple(str(remark) for remark in stored.get("remarks") or ()),
            steps=tuple(_step(step) for step in _list(stored, "steps")),
            entries=tuple(_entry(entry) for entry in _list(stored, "entries")),
            bars=tuple(map(_bar, stored.get("bars") or ())),
            ended_at=_moment(stored.get("ended_at")),
            is_test=bool(stored.get("is_test")),
        )


_TEXTS = (
    *("language", "word", "title", "place", "subject", "account", "account_id", "environment", "run_id"),
    *("open_label", "troubles_title", "steps_title", "steps_more"),
)


_AS_STORED = frozenset({str, bool, int, float, type(None)})
_PIECES = (Moment, Since, Span, Strong)
_TONES: Mapping[Any, Tone] = {tone.value: tone for tone in Tone}


def _items(value: Any) -> list[tuple[str, Any]]:
    return [(name, getattr(value, name)) for name in value.__dataclass_fields__]


def _store(value: Any) -> Any:
    if type(value) in _AS_STORED:
        return value
    if isinstance(value, Bar):
        return [value.tone.value, value.height]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_store(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, _PIECES):
        return {"piece": type(value).__name__.lower(), **{name: _store(item) for name, item in _items(value) if item not in (None, False)}}
    if hasattr(value, "__dataclass_fields__"):
        return {name: _store(item) for name, item in _items(value)}
    return value


def _list(stored: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return [item for item in stored.get(name) or () if isinstance(item, dict)]


def _text(stored: Mapping[str, Any], name: str) -> str:
    return str(stored.get(name) or "")


def _tone(stored: Any) -> Tone:
    return _TONES.get(stored, Tone.NOTICE)


def _moment(stored: Any) -> datetime | None:
    return datetime.fromisoformat(stored) if stored else None


def _trouble(stored: Mapping[str, Any]) -> Trouble:
    word, name, kind = (_text(stored, part) for part in ("word", "name", "kind"))
    return Trouble(_tone(stored.get("tone")), word, name, kind, _line(stored.get("text")))


def _bar(stored: Any) -> Bar:
    """Once it was stored as a mapping."""
    tone, height = stored if isinstance(stored, list) else (stored.get("tone"), stored.get("height"))
    return _kept_bar(tone, height)


@lru_cache(maxsize=4096)
def _kept_bar(tone: Any, height: Any) -> Bar:
    """There are thirty in a message, and of few kinds: a height has three digits."""
    return Bar(_tone(tone), float(height or 0))


def _entry(stored: Mapping[str, Any]) -> Entry:
    word, title, place, run_id = (_text(stored, part) for part in ("word", "title", "place", "run_id"))
    return Entry(_tone(stored.get("tone")), word, title, place, run_id)


def _step(stored: Mapping[str, Any]) -> StepLine:
    took = _piece(stored.get("took"))
    word, command, detail = (_text(stored, part) for part in ("word", "command", "detail"))
    return StepLine(_tone(stored.get("tone")), word, command, detail, took if isinstance(took, Span) else None)


def _line(stored: Any) -> Line:
    """A bare text is a line of one piece: that is how short fields may be stored."""
    if isinstance(stored, str):
        return (stored,) if stored else ()
    return tuple(piece for item in stored or () if (piece := _piece(item)) is not None)


def _piece(stored: Any) -> Piece | None:
    if isinstance(stored, str):
        return stored
    if not isinstance(stored, dict):
        return None
    match stored.get("piece"):
        case "moment":
            return Moment(datetime.fromisoformat(stored["at"]), _moment(stored.get("near")), bool(stored.get("is_short")))
        case "since":
            return Since(datetime.fromisoformat(stored["at"]), datetime.fromisoformat(stored["until"]))
        case "span":
            return Span(float(stored["seconds"]), bool(stored.get("is_rough")))
        case "strong":
            return Strong(tuple(piece for piece in _line(stored.get("line")) if not isinstance(piece, Strong)))
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Links:
    """Where a message leads. Absolute URLs; `run` is empty when the message is about no run. `runs`: what a run's id is put behind."""

    run: str = ""
    runs: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever shares a rendering: same language, same zone, same links."""

    language: str
    zone: str
    links: Links = Links()
