"""Profile › Notification settings › Email notifications: pick an address and an environment, look, edit, save."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods

from runbell.core.cells import Cell
from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.server.services import confirmations, unsubscribe
from runbell.server.services.access import NotThere
from runbell.server.services.addresses import Directory, Target, directory, target_for
from runbell.server.services.bounces import SwitchedOff
from runbell.server.services.cells import Clash, Saved, save_cells
from runbell.server.services.matrix import Matrix, get_matrix, list_environments, pick_environment
from runbell.server.web.cells_form import cleared, kept, read_cells, read_revision
from runbell.server.web.conflict import Choices, choices_of
from runbell.server.web.edge import Page, member_page
from runbell.server.web.matrix import OUTCOMES, SET, Place, cell_json, drawn, facts, grid_of, last_run, words

LATELY = timedelta(days=30)
ADD = "add"  # the picker's last entry
URL = "email_notifications"


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def email_notifications(page: Page) -> HttpResponse:
    place = Place.read(page.request.GET)
    if place.to == ADD:
        return redirect("add_external", account_id=page.frame.account_id)
    return _save(page, place) if page.request.method == "POST" else _show(page, place)


@dataclass(frozen=True, slots=True)
class _Form:
    """A form that goes back to its sender: with boxes that differ, or with a question. Nothing of it is saved yet."""

    cells: Sequence[Cell]
    revision: int
    choices: Choices | None = None
    asks: Sequence[str] = ()


def _show(page: Page, place: Place, form: _Form | None = None, *, status: int = 200) -> HttpResponse:
    """Ten queries, however many jobs there are."""
    found = _find(page, place)
    environments = list_environments(page.actor)
    environment = pick_environment(page.actor, environments, place.env)
    target = found.find(place.to or f"m{page.actor.member.pk}")
    place = replace(place, to=target.key if place.to else "", env=environment.pk if environment else None)
    may_edit = page.actor.may(_editing(page, target))
    matrix = get_matrix(target.destination, environment) if environment else None
    now = timezone.now()
    return page.render(
        "runbell/email_notifications.html",
        status=status,
        section="settings",
        side=URL,
        found=found,
        target=target,
        is_own=target.is_own(page.actor),
        rules=found.rules_of(target),
        environments=environments,
        environment=environment,
        place=place,
        here=_here(page, place),
        may_edit=may_edit,
        is_editing=may_edit and matrix is not None and (form is not None or page.request.GET.get("edit") == "1"),
        form=form,
        asked=confirmations.open_question(target.destination) if target.destination else None,
        off=_switched_off(target, may_lift=may_edit),
        lately=None if target.is_own(page.actor) else _unsubscribed_lately(target, now),
        own=_own_mail(page, found, now),
        **(_table(page, place, target, matrix, form) if matrix else {}),
    )


def _editing(page: Page, target: Target) -> Action:
    return Action.SET_OWN_NOTIFICATIONS if target.is_own(page.actor) else Action.SET_ANY_NOTIFICATIONS


def _find(page: Page, place: Place) -> Directory:
    """Others' addresses are for those who may set them."""
    if place.to not in ("", f"m{page.actor.member.pk}"):
        page.actor.require(Action.SET_ANY_NOTIFICATIONS)
    return directory(page.actor)


def _switched_off(target: Target, *, may_lift: bool) -> SwitchedOff | None:
    if not (target.destination and target.silent):
        return None
    return SwitchedOff(target.destination.pk, target.destination.member_id, target.address, target.silent, may_lift)


def _unsubscribed_lately(target: Target, now: datetime) -> unsubscribe.Unsubscribed | None:
    """Whoever may set new rules should know."""
    last = unsubscribe.last_unsubscribed(target.destination) if target.destination else None
    return last if last and last.at > now - LATELY else None


def _own_mail(page: Page, found: Directory, now: datetime) -> unsubscribe.Subscription:
    """For the button below the table, which is about the reader's own address."""
    own = found.find(f"m{page.actor.member.pk}")
    last = unsubscribe.undoable(own.destination, now) if own.destination else None
    return unsubscribe.Subscription(
        address=own.address,
        account=page.frame.account,
        rules=found.rules_of(own),
        removed=len(last.rules) if last else 0,
        undo_until=last.at + unsubscribe.UNDO_FOR if last else None,
    )


def _table(page: Page, place: Place, target: Target, matrix: Matrix, form: _Form | None) -> dict[str, Any]:
    job_url = reverse("job", args=[page.frame.account_id, 0])[:-1]
    draft = f"{page.actor.member.pk}/{target.key}/{matrix.environment.pk}"
    revision, cells = (form.revision, form.cells) if form else (target.revision, ())
    return {
        "outcomes": [word.value for word in OUTCOMES],
        "grid": grid_of(matrix, place),
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
    }


def _save(page: Page, place: Place) -> HttpResponse:
    """Answers with the page anew, with a question, or with both versions of the boxes that differ."""
    form, target = page.request.POST, target_for(page.actor, place.to)
    page.actor.require(_editing(page, target))
    try:
        cells, revision = read_cells(form), read_revision(form)
        if place.env is None:
            raise BadField("env", "is required")
        if "was" in form and cleared(cells):
            return _show(page, place, _Form(cells, revision, asks=[outcome.value for outcome in cleared(cells)]))
        if "asked" in form:
            cells += kept(form, cells, _matrix(page, place))
        saved = save_cells(target, place.env, cells, revision=revision, actor=page.actor, now=timezone.now())
    except BadField as bad:
        return page.render("runbell/refused.html", status=400, section="settings", side=URL, bad=bad, back=_here(page, place))
    except Clash as clash:
        choices = choices_of(clash, _matrix(page, place))
        return _show(page, place, _Form(choices.rebase(cells), clash.revision, choices), status=409)
    page.toast(_saved_text(saved, target))
    return redirect(_here(page, place))


def _matrix(page: Page, place: Place) -> Matrix:
    environment = pick_environment(page.actor, list_environments(page.actor), place.env)
    if environment is None:
        raise NotThere
    return get_matrix(directory(page.actor).find(place.to or f"m{page.actor.member.pk}").destination, environment)


def _here(page: Page, place: Place) -> str:
    return reverse(URL, args=[page.frame.account_id]) + place.query()


def _saved_text(saved: Saved, target: Target) -> str:
    if not saved.changed:
        return gettext("Everything is saved already.")
    text = ngettext("Saved: %(n)d box for %(address)s.", "Saved: %(n)d boxes for %(address)s.", saved.changed)
    said = text % {"n": saved.changed, "address": target.address}
    if saved.meanwhile is None:
        return said
    who = saved.meanwhile.who or gettext("somebody else")
    return f"{said} " + gettext("What %(who)s saved meanwhile is kept too.") % {"who": who}
