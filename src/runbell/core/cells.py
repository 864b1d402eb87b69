"""Boxes that somebody changed while somebody else may have saved: what to do with each. Pure.

A box is a line and an outcome; the line is a job, or all jobs of the environment, also new ones. A changed box says what it
was and what it shall be. When what is stored is neither, somebody else meant something else: a conflict, never overwritten.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from runbell.core.fields import BadField
from runbell.core.runs import Outcome

ALL_JOBS = 0  # the line of the environment itself; ids of jobs start at 1
Box = tuple[int, Outcome]


class Value(StrEnum):
    """What a box shows. A job's box shows ALL while the line of all jobs has that outcome; the job's own rule is kept below."""

    OFF = "off"
    ON = "on"
    ALL = "all"
    GONE = "gone"  # the job is not there any more


@dataclass(frozen=True, slots=True)
class Cell:
    line: int
    outcome: Outcome
    was: Value
    to: Value  # OFF or ON

    @property
    def box(self) -> Box:
        return self.line, self.outcome


@dataclass(frozen=True, slots=True)
class Stored:
    """One destination in one environment: the boxes that have a rule of their own, and the jobs there are."""

    jobs: frozenset[int]
    rules: frozenset[Box]


@dataclass(frozen=True, slots=True)
class Conflict:
    cell: Cell
    stored: Value


@dataclass(frozen=True, slots=True)
class Merge:
    """What to add and to remove when there is no conflict; boxes that already are as wished are in neither."""

    add: tuple[Box, ...]
    remove: tuple[Box, ...]
    conflicts: tuple[Conflict, ...]


def merge(cells: Sequence[Cell], stored: Stored) -> Merge:
    _refuse_twice(cells)
    changed_lines = {cell.outcome for cell in cells if cell.line == ALL_JOBS}
    found = [(cell, _value(cell, stored, is_own=cell.outcome in changed_lines)) for cell in cells]
    return Merge(
        add=tuple(cell.box for cell in cells if cell.to is Value.ON and cell.box not in stored.rules),
        remove=tuple(cell.box for cell in cells if cell.to is Value.OFF and cell.box in stored.rules),
        conflicts=tuple(Conflict(cell, value) for cell, value in found if value not in (cell.was, cell.to)),
    )


def _value(cell: Cell, stored: Stored, *, is_own: bool) -> Value:
    """`is_own`: whoever changed this box changed the line of all jobs too, so they saw and mean the job's own rule."""
    if cell.line != ALL_JOBS and cell.line not in stored.jobs:
        return Value.GONE
    if cell.line != ALL_JOBS and not is_own and (ALL_JOBS, cell.outcome) in stored.rules:
        return Value.ALL
    return Value.ON if cell.box in stored.rules else Value.OFF


def _refuse_twice(cells: Iterable[Cell]) -> None:
    seen: set[Box] = set()
    for cell in cells:
        if cell.box in seen:
            raise BadField("cells", f"has line {cell.line}, {cell.outcome} twice")
        seen.add(cell.box)
