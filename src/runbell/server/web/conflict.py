"""Both versions of the boxes that differ, when somebody else saved while a form was open."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from runbell.core.cells import ALL_JOBS, Box, Cell, Conflict, Value
from runbell.server.services.cells import Clash
from runbell.server.services.matrix import Matrix
from runbell.server.web.cells_form import pick_name
from runbell.server.web.matrix import said

LISTED = 50  # one by one; one choice for all others keeps the form far below Django's limit of fields


@dataclass(frozen=True, slots=True)
class Choice:
    """One box: a line of two radio buttons. A job that is gone leaves nothing to choose."""

    name: str
    job: str
    outcome: str
    theirs: str
    mine: str
    box: str
    is_gone: bool


@dataclass(frozen=True, slots=True)
class Choices:
    who: str
    at: datetime | None
    listed: tuple[Choice, ...]
    others: tuple[Box, ...]
    _stored: dict[Box, Value]

    @property
    def open(self) -> str:
        return " ".join(f"{line}:{outcome}" for line, outcome in self.others)

    @property
    def total(self) -> int:
        return len(self.listed) + len(self.others)

    def rebase(self, cells: Iterable[Cell]) -> list[Cell]:
        """The same changes, over what is stored now; those of jobs that are gone are left out."""
        renewed = [replace(cell, was=self._stored.get(cell.box, cell.was)) for cell in cells]
        return [cell for cell in renewed if cell.was is not Value.GONE]


def choices_of(clash: Clash, matrix: Matrix) -> Choices:
    names = {line.id: line.name for line in matrix.lines}
    return Choices(
        who=clash.meanwhile.who if clash.meanwhile else "",
        at=clash.meanwhile.at if clash.meanwhile else None,
        listed=tuple(_choice(conflict, names) for conflict in clash.conflicts[:LISTED]),
        others=tuple(conflict.cell.box for conflict in clash.conflicts[LISTED:]),
        _stored={conflict.cell.box: conflict.stored for conflict in clash.conflicts},
    )


def _choice(conflict: Conflict, names: dict[int, str]) -> Choice:
    cell = conflict.cell
    return Choice(
        name=pick_name(cell),
        job=names.get(cell.line, "") if cell.line != ALL_JOBS else "",
        outcome=cell.outcome.value,
        theirs=said(conflict.stored),
        mine=said(cell.to),
        box=f"{cell.line}:{cell.outcome}",
        is_gone=conflict.stored is Value.GONE,
    )
