"""The geometry of run bars: the last runs as rectangles, oldest first. Half the height is the usual duration.

A bar is a tuple of rectangles ``(class, x, y, width, height)``; colours are the style sheet's matter.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from runbell.server.services.pages import HISTORY, RunLine

Rect = tuple[str, float, float, float, float]
Bar = tuple[Rect, ...]
_OUTCOMES = ("succeeded", "warned", "failed", "cancelled", "")


@dataclass(frozen=True, slots=True)
class Scale:
    pitch: int
    width: int
    height: int
    cap: int  # height of the cap on a warned bar
    gap: int


ROW = Scale(pitch=6, width=4, height=24, cap=3, gap=2)
CHART = Scale(pitch=24, width=13, height=120, cap=9, gap=5)


def tally(runs: Sequence[RunLine]) -> dict[str, int]:
    """How many of each outcome, in the order people read them; empty ones are left out."""
    counted = Counter(run.outcome for run in runs)
    return {word: counted[word] for word in _OUTCOMES if counted[word]}


def row_of(runs: Sequence[RunLine], usual: float | None) -> list[Bar]:
    return _bars(runs, usual, ROW)


def chart_of(runs: Sequence[RunLine], usual: float | None) -> list[Bar]:
    return _bars(runs, usual, CHART)


def _bars(runs: Sequence[RunLine], usual: float | None, scale: Scale) -> list[Bar]:
    """Always 30: places without a run hold a dot."""
    shown = runs[-HISTORY:]
    middle = usual or median([run.seconds for run in shown if run.seconds is not None] or [0])
    empty = HISTORY - len(shown)
    dots = [_dot(n * scale.pitch, scale) for n in range(empty)]
    return dots + [_bar(run, (empty + n) * scale.pitch, middle, scale) for n, run in enumerate(shown)]


def _dot(x: int, scale: Scale) -> Bar:
    return (("none", x + scale.width / 2 - 1, scale.height - 2, 2, 2),)


def _bar(run: RunLine, x: int, middle: float, scale: Scale) -> Bar:
    high = _height(run, middle, scale)
    top = scale.height - high
    match run.outcome:
        case "succeeded":
            return (("ok", x, top, scale.width, high),)
        case "warned":
            body = max(high - scale.cap - scale.gap, scale.cap)
            cap = scale.height - body - scale.gap - scale.cap
            return (("warn", x, scale.height - body, scale.width, body), ("warn", x, cap, scale.width, scale.cap))
        case "failed":
            return (("track", x, 0, scale.width, scale.height), ("fail", x, top, scale.width, high))
        case "cancelled":
            return (("stop", x + 0.6, top + 0.6, scale.width - 1.2, high - 1.2),)
        case _:
            dash = scale.height // 6
            return tuple(("run", x, scale.height - dash - n * 2 * dash, scale.width, dash) for n in range(3))


def _height(run: RunLine, middle: float, scale: Scale) -> int:
    """At least an eighth, at most full; half where nothing is known."""
    if not middle or run.seconds is None:
        return scale.height // 2
    return round(min(max(run.seconds / middle / 2, 0.125), 1) * scale.height)
