"""The neutral message: said once per run and language, stored, and rendered by each channel for each reader.

It holds no formatted time: `Moment` and `Span` are worded while rendering, in the reader's zone, so that one stored message
serves readers everywhere and a late or repeated try says the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class Tone(StrEnum):
    """What the reader should feel at a glance; channels choose mark and colour by it."""

    SUCCEEDED = "succeeded"
    WARNED = "warned"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, worded in the reader's zone. `day` False: the day was just said, the time alone is enough."""

    at: datetime
    day: bool = True


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Strong:
    """Words that carry weight in a sentence."""

    text: str


Piece = str | Moment | Span | Strong
Line = tuple[Piece, ...]
"""A sentence in pieces. Text pieces are already in the message's language and never marked up."""


@dataclass(frozen=True, slots=True)
class Fact:
    label: str
    value: Line
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """One node that broke or warned: status word, name, kind, and the engine's own text."""

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
class Bar:
    """One of the last runs, oldest first. `height` is the share of the usual duration's double, 0 to 1."""

    tone: Tone
    height: float


@dataclass(frozen=True, slots=True)
class Message:
    """`subject` and the first line are the outcome first: ``FAILED · nightly build · Production``."""

    language: str
    tone: Tone
    word: str
    title: str
    place: str
    subject: str
    summary: Line
    preheader: str = ""
    facts: tuple[Fact, ...] = ()
    troubles_title: str = ""
    troubles: tuple[Trouble, ...] = ()
    troubles_more: str = ""
    steps: tuple[StepLine, ...] = ()
    bars: tuple[Bar, ...] = ()
    history: Line = ()
    ended_at: datetime | None = None
    sender: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Links:
    """Where a message leads. Absolute URLs; `run` is empty when the message is about no run."""

    run: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever shares a rendering: same language, same zone, same links."""

    language: str
    zone: str
    links: Links = Links()
