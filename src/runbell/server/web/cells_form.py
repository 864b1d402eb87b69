"""Changed boxes as a browser sends them: one field of JSON from the script, the boxes themselves from the plain form."""

import json
from collections.abc import Iterable
from typing import Any

from django.http import QueryDict

from runbell.core.cells import ALL_JOBS, Cell, Value
from runbell.core.fields import MAX_INTEGER, BadField
from runbell.core.runs import Outcome
from runbell.server.services.matrix import Matrix
from runbell.server.web.matrix import OUTCOMES

MAX_CELLS = 20_000  # 5,000 jobs × 4; Django refuses a plain form of more than 1,000 boxes
KEEP, MINE, THEIRS = "keep", "mine", "theirs"


def read_revision(form: QueryDict) -> int:
    return _id(form.get("revision", ""), "revision")


def read_cells(form: QueryDict) -> list[Cell]:
    """Raises `BadField`. With boxes that differed, those the reader left to the others are gone."""
    cells = _from_json(form.get("cells", "")) if "cells" in form else _from_boxes(form.get("was", ""), form.getlist("box"))
    if len(cells) > MAX_CELLS:
        raise BadField("cells", f"has {len(cells)} boxes; at most {MAX_CELLS} can be saved at once")
    rest = form.get("pick", MINE)
    return [cell for cell in cells if form.get(pick_name(cell), rest if _is_open(cell, form) else MINE) != THEIRS]


def pick_name(cell: Cell) -> str:
    return f"pick-{cell.line}-{cell.outcome}"


def _is_open(cell: Cell, form: QueryDict) -> bool:
    """One of the many that differed and are not listed one by one."""
    return f"{cell.line}:{cell.outcome}" in form.get("open", "").split()


def _from_json(text: str) -> list[Cell]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        raise BadField("cells", "must be JSON") from None
    if not isinstance(rows, list):
        raise BadField("cells", "must be a list")
    return [_cell(row, f"cells[{n}]") for n, row in enumerate(rows)]


def _cell(row: Any, at: str) -> Cell:
    """``[line, outcome, was, to]``"""
    if not (isinstance(row, list) and len(row) == 4 and type(row[0]) is int and 0 <= row[0] <= MAX_INTEGER):
        raise BadField(at, "must be [line, outcome, was, to]")
    try:
        cell = Cell(row[0], Outcome(row[1]), Value(row[2]), Value(row[3]))
    except ValueError as bad:
        raise BadField(at, str(bad)) from None
    if cell.to not in (Value.OFF, Value.ON):
        raise BadField(at, "a box can be made off or on")
    return cell


def _from_boxes(was: str, ticked: Iterable[str]) -> list[Cell]:
    """The difference between what was shown and what is ticked now; locked boxes are not sent and do not count."""
    shown, now = _shown(was), set(ticked)
    names = {f"{line}:{outcome}" for line, outcome in shown}
    if strange := sorted(now - names):
        raise BadField("box", f"{strange[0][:80]!r} was not shown")
    changed = [(box, is_on, f"{box[0]}:{box[1]}" in now) for box, is_on in shown.items()]
    return [Cell(line, outcome, _value(was_on), _value(is_on)) for (line, outcome), was_on, is_on in changed if was_on != is_on]


def _shown(was: str) -> dict[tuple[int, Outcome], bool]:
    shown: dict[tuple[int, Outcome], bool] = {}
    for word in was.split():
        line, _, flags = word.partition(":")
        if len(flags) != len(OUTCOMES) or set(flags) - set("01-"):
            raise BadField("was", "must be what the form was sent with")
        shown |= {(_id(line, "was"), outcome): flag == "1" for outcome, flag in zip(OUTCOMES, flags, strict=True) if flag != "-"}
    return shown


def cleared(cells: Iterable[Cell]) -> list[Outcome]:
    """Outcomes that shall no longer go for all jobs."""
    return [cell.outcome for cell in cells if cell.line == ALL_JOBS and cell.to is Value.OFF]


def kept(form: QueryDict, cells: list[Cell], matrix: Matrix) -> list[Cell]:
    """For outcomes whose boxes shall be kept: one for each job there is now, beside those in `cells`."""
    outcomes = [outcome for outcome in cleared(cells) if form.get(f"{KEEP}-{outcome}") == KEEP]
    named = {cell.box for cell in cells}
    return [
        Cell(line.id, outcome, Value.OFF, Value.ON)
        for outcome in outcomes
        for line in matrix.lines
        if outcome not in line.own and (line.id, outcome) not in named
    ]


def _value(is_on: bool) -> Value:
    return Value.ON if is_on else Value.OFF


def _id(text: str, field: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadField(field, "must be a whole number")
    return int(text)
