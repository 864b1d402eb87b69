"""What every page with a matrix shares: where it stands in the URL, the rows it shows, the facts its script starts from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from runbell.core.cells import ALL_JOBS, Cell, Value
from runbell.core.runs import Outcome
from runbell.server.services.matrix import NEVER, Line, Matrix
from runbell.server.web.templatetags.runbell import CHOICES, outcome

OUTCOMES = tuple(Outcome)
PLAIN_ROWS = 200  # of the form without script: with four boxes each it stays under Django's limit of 1,000 fields
SET = "set"


@dataclass(frozen=True, slots=True)
class Place:
    """The query string: whom (under `name`), environment, search. Everything of it is optional."""

    to: str = ""
    env: int | None = None
    q: str = ""
    show: str = ""
    page: int = 1
    name: str = "to"

    @classmethod
    def read(cls, query: QueryDict, name: str = "to") -> "Place":
        env, page = _number(query.get("env", "")), _number(query.get("page", ""))
        show = SET if query.get("show") == SET else ""
        return cls(query.get(name, "")[:80], env, query.get("q", "").strip()[:200], show, max(page or 1, 1), name)

    def query(self, **changes: Any) -> str:
        """Of a link to this place, or to one that differs."""
        parts = {
            self.name: self.to,
            "env": self.env,
            "q": self.q,
            "show": self.show,
            "page": self.page if self.page > 1 else None,
            **changes,
        }
        return "?" + urlencode({name: value for name, value in parts.items() if value})


@dataclass(frozen=True, slots=True)
class Box:
    """`name` is its value in the plain form. Locked: the line of all jobs has it."""

    outcome: str
    name: str
    is_on: bool
    is_via_all: bool = False
    is_other: bool = False  # than stored: a change that waits for Save

    @property
    def is_ticked(self) -> bool:
        return self.is_on != self.is_other


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    name: str
    last: str
    boxes: tuple[Box, ...]

    @property
    def last_drawn(self) -> SafeString:
        return last_run(self.last)


@dataclass(frozen=True, slots=True)
class Grid:
    """The rows of one page, and the page's neighbours."""

    matrix: Matrix
    place: Place
    rows: tuple[Row, ...]
    matching: int
    changed: frozenset[tuple[int, Outcome]] = frozenset()

    @property
    def all_jobs(self) -> Row:
        on, changed = self.matrix.everything, self.changed
        boxes = tuple(Box(word, f"{ALL_JOBS}:{word}", word in on, is_other=(ALL_JOBS, word) in changed) for word in OUTCOMES)
        return Row(ALL_JOBS, "", "", boxes)

    @property
    def blank(self) -> Row:
        """What the script makes rows from."""
        return Row(-1, "", NEVER, tuple(Box(word, "", is_on=False) for word in OUTCOMES))

    @property
    def first(self) -> int:
        return (self.place.page - 1) * PLAIN_ROWS + 1

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    @property
    def every(self) -> str:
        """What all jobs have, in words that follow “hears about”."""
        words = {
            Outcome.SUCCEEDED: gettext("every success"),
            Outcome.WARNED: gettext("every warning"),
            Outcome.FAILED: gettext("every failure"),
            Outcome.CANCELLED: gettext("every cancellation"),
        }
        *first, last = [words[word] for word in OUTCOMES if word in self.matrix.everything] or [""]
        return gettext("%(first)s and %(last)s") % {"first": ", ".join(first), "last": last} if first else last

    @property
    def has_pages(self) -> bool:
        return self.matching > PLAIN_ROWS

    @property
    def before(self) -> str:
        return self.place.query(page=self.place.page - 1) if self.place.page > 1 else ""

    @property
    def after(self) -> str:
        return self.place.query(page=self.place.page + 1) if self.last < self.matching else ""

    @property
    def was(self) -> str:
        """What the plain form shows, so that only what somebody changed is saved: ``<line>:<0, 1 or -, one per outcome>``."""
        return " ".join(f"{row.id}:{''.join('-' if box.is_via_all else str(int(box.is_on)) for box in row.boxes)}" for row in self._form)

    @property
    def _form(self) -> tuple[Row, ...]:
        return (self.all_jobs, *self.rows)


def last_run(word: str) -> SafeString:
    """How the job's last run ended, drawn."""
    return format_html('<span class="faint">{}</span>', gettext("never ran")) if word == NEVER else outcome(word)


def drawn() -> dict[str, SafeString]:
    """A box of the reading view: on by the job's own rule, by that of all jobs, or off."""
    choices = {"on": "job", "via": "environment", "off": ""}
    return {name: render_to_string("runbell/choice.html", {"choice": choice}) for name, choice in choices.items()}


def grid_of(matrix: Matrix, place: Place, changes: Sequence[Cell] = ()) -> Grid:
    """`changes`: boxes that are ticked otherwise than stored."""
    needle = place.q.casefold()
    lines = [line for line in matrix.lines if needle in line.name.casefold()]
    if place.show == SET:
        lines = [line for line in lines if line.own - matrix.everything]
    start = (place.page - 1) * PLAIN_ROWS
    changed = frozenset((cell.line, cell.outcome) for cell in changes)
    rows = tuple(_row(line, matrix.everything, changed) for line in lines[start : start + PLAIN_ROWS])
    return Grid(matrix, place, rows, len(lines), changed)


def _row(line: Line, everything: frozenset[Outcome], changed: frozenset[tuple[int, Outcome]]) -> Row:
    boxes = tuple(
        Box(word, f"{line.id}:{word}", word in line.own or word in everything, word in everything, (line.id, word) in changed)
        for word in OUTCOMES
    )
    return Row(line.id, line.name, line.last, boxes)


def still_changes(cells: Sequence[Cell], matrix: Matrix) -> list[Cell]:
    """Those that would change something now, over what is stored now."""
    stored = {line.id: line.own for line in matrix.lines}
    found = []
    for cell in cells:
        is_locked = cell.line != ALL_JOBS and cell.outcome in matrix.everything
        own = matrix.everything if cell.line == ALL_JOBS else stored.get(cell.line)
        if own is not None and not is_locked and (cell.outcome in own) != (cell.to is Value.ON):
            found.append(replace(cell, was=Value.ON if cell.outcome in own else Value.OFF))
    return found


def facts(matrix: Matrix, *, job_url: str, draft: str, revision: int, changes: Sequence[Cell] = ()) -> dict[str, Any]:
    """For the script. Built from it, 5,000 rows cost 40 bytes each on the wire instead of a kilobyte and a half.

    `draft` names what is kept in the browser when a session ends in the middle of an edit.
    """
    return {
        "draft": draft,
        "revision": revision,
        "job": job_url,
        "outcomes": [word.value for word in OUTCOMES],
        "labels": [str(CHOICES[word]) for word in OUTCOMES],
        "everything": _bits(matrix.everything),
        "lines": [[line.id, line.name, line.last, _bits(line.own)] for line in matrix.lines],
        "changes": [cell_json(cell) for cell in changes],
        "words": words(),
    }


def _bits(chosen: frozenset[Outcome]) -> int:
    return sum(1 << n for n, word in enumerate(OUTCOMES) if word in chosen)


def cell_json(cell: Cell) -> list[Any]:
    return [cell.line, cell.outcome.value, cell.was.value, cell.to.value]


def said(value: Value) -> str:
    """A box's value in words."""
    words = {
        Value.OFF: gettext("off"),
        Value.ON: gettext("on"),
        Value.ALL: gettext("on, by “all jobs”"),
        Value.GONE: gettext("the job is gone"),
    }
    return words[value]


def words() -> dict[str, Any]:
    """Sentences of the script; `n` stands for a number."""
    return {
        "all": gettext("all jobs"),
        "everything": gettext("All jobs, also new ones"),
        "changed": gettext("changed"),
        "on": gettext("on"),
        "off": gettext("off"),
        "head": gettext("%(outcome)s: all shown jobs"),
        "changes": _forms(lambda n: ngettext("%(n)s change", "%(n)s changes", n)),
        "lines": _forms(lambda n: ngettext("in %(n)s line", "in %(n)s lines", n)),
        "shown": _forms(lambda n: ngettext("%(n)s of %(all)s jobs is shown.", "%(n)s of %(all)s jobs are shown.", n)),
        "heads": _forms(lambda n: ngettext("Column heads act on it only.", "Column heads act on these %(n)s only.", n)),
        "hidden": _forms(lambda n: ngettext("%(n)s line with changes is hidden.", "%(n)s lines with changes are hidden.", n)),
        "keep": _forms(
            lambda n: ngettext("Keep the boxes of the %(n)s job there is now", "Keep the boxes of the %(n)s jobs there are now", n)
        ),
        "clear": gettext("“%(outcome)s” no longer for all jobs?"),
        "found": _forms(lambda n: ngettext("%(n)s change of yours was not saved.", "%(n)s changes of yours were not saved.", n)),
    }


def _forms(said: Callable[[int], str]) -> dict[str, str]:
    """Every plural form, by the names that ``Intl.PluralRules`` has for them."""
    return {"one": said(1), "few": said(2), "many": said(5), "other": said(2)}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
