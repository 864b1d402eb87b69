"""What every page with a matrix does: what its template needs, and what becomes of the boxes that are sent to it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from runbell.core.cells import Cell
from runbell.core.fields import BadField
from runbell.server.services import kept_forms
from runbell.server.services.access import NotThere
from runbell.server.services.cells import Clash, Saved, save_cells
from runbell.server.services.matrix import Matrix, get_matrix, list_environments, pick_environment
from runbell.server.services.targets import Target
from runbell.server.web.cells_form import cleared, kept, read_cells, read_revision
from runbell.server.web.conflict import Choices, choices_of
from runbell.server.web.edge import Page
from runbell.server.web.matrix import OUTCOMES, SET, Place, cell_json, drawn, facts, grid_of, last_run, words


@dataclass(frozen=True, slots=True)
class Form:
    """A form that goes back to its sender: with boxes that differ, or with a question. Nothing of it is saved yet."""

    cells: Sequence[Cell]
    revision: int
    choices: Choices | None = None
    asks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """One place of one page with a matrix. `url` is the page's name."""

    page: Page
    place: Place
    url: str

    @property
    def here(self) -> str:
        return reverse(self.url, args=[self.page.frame.account_id]) + self.place.query()

    def matrix(self, target: Target) -> Matrix:
        environment = pick_environment(self.page.actor, list_environments(self.page.actor), self.place.env)
        if environment is None:
            raise NotThere
        return get_matrix(target.stored(self.page.actor), environment)


def kept_cells(page: Page) -> list[Cell]:
    """What the member had changed without script when their session ended; it comes back once."""
    form = kept_forms.take(page.request.session, page.request.get_full_path(), page.actor, now=timezone.now())
    try:
        return read_cells(form) if form else []
    except BadField:
        return []


def table(sheet: Sheet, target: Target, matrix: Matrix, form: Form | None, kept: Sequence[Cell]) -> dict[str, Any]:
    """`kept`: changes that are ticked again."""
    place, job_url = sheet.place, reverse("job", args=[sheet.page.frame.account_id, 0])[:-1]
    draft = f"{sheet.page.actor.member.pk}/{target.key}/{matrix.environment.pk}"
    revision, cells = (form.revision, form.cells) if form else (target.revision, kept)
    return {
        "outcomes": [word.value for word in OUTCOMES],
        "grid": grid_of(matrix, place, kept),
        "facts": facts(matrix, job_url=job_url, draft=draft, revision=revision, changes=cells),
        "cells_json": json.dumps([cell_json(cell) for cell in cells]),
        "job_url": job_url,
        "drawn": drawn(),
        "words": words(),
        "last_runs": {word: last_run(word) for word in sorted({line.last for line in matrix.lines})},
        "links": {
            "all": place.query(show="", page=None),
            "set": place.query(show=SET, page=None),
            "everything": place.query(show="", q="", page=None),
            "edit": place.query(edit=1),
        },
        "revision": revision,
        "kept": kept,
        "pledge": kept_forms.pledge(sheet.page.actor),
    }


def save(sheet: Sheet, target: Target, show: Callable[[Form, int], HttpResponse]) -> HttpResponse:
    """Answers with the page anew, with a question, or with both versions of the boxes that differ: `show` takes the form and a status."""
    page, place, form = sheet.page, sheet.place, sheet.page.request.POST
    try:
        target.require_save(page.actor)
        cells, revision = read_cells(form), read_revision(form)
        if place.env is None:
            raise BadField("env", "is required")
        if "was" in form and cleared(cells):
            return show(Form(cells, revision, asks=[outcome.value for outcome in cleared(cells)]), 200)
        if "asked" in form:
            cells += kept(form, cells, sheet.matrix(target))
        saved = save_cells(target, place.env, cells, revision=revision, actor=page.actor, now=timezone.now())
    except BadField as bad:
        return page.render("runbell/refused.html", status=400, section="notifications", side=sheet.url, bad=bad, back=sheet.here)
    except Clash as clash:
        choices = choices_of(clash, sheet.matrix(target))
        return show(Form(choices.rebase(cells), clash.revision, choices), 409)
    page.toast(_said(saved, target))
    return redirect(sheet.here)


def _said(saved: Saved, target: Target) -> str:
    if not (saved.changed or saved.is_taken):
        return gettext("Everything is saved already.")
    text = ngettext("Saved: %(n)d box for %(address)s.", "Saved: %(n)d boxes for %(address)s.", saved.changed)
    said = text % {"n": saved.changed, "address": target.address} if saved.changed else ""
    if saved.is_taken:
        said = f"{said} " + gettext("%(address)s is sent through your link now.") % {"address": target.address}
    if saved.meanwhile is None:
        return said.strip()
    who = saved.meanwhile.who or gettext("somebody else")
    return f"{said} " + gettext("What %(who)s saved meanwhile is kept too.") % {"who": who}
