"""Profile › Notification settings › Email notifications: pick an address and an environment, look, edit, save."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from runbell.core.cells import Cell
from runbell.core.permissions import Action
from runbell.server.services import confirmations, unsubscribe
from runbell.server.services.addresses import Directory, EmailTarget, directory, target_for
from runbell.server.services.bounces import SwitchedOff
from runbell.server.services.kept_rules import UNDO_FOR, undoable
from runbell.server.services.matrix import get_matrix, list_environments, pick_environment
from runbell.server.services.subscriptions import Subscription
from runbell.server.web.edge import Page, member_page
from runbell.server.web.matrix import Place, still_changes
from runbell.server.web.saving import Form, Sheet, kept_cells, save, table

LATELY = timedelta(days=30)
ADD = "add"  # the picker's last entry
URL = "email_notifications"


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def email_notifications(page: Page) -> HttpResponse:
    place = Place.read(page.request.GET)
    if place.to == ADD:
        return redirect("add_external", account_id=page.frame.account_id)
    kept = kept_cells(page)  # a form that is sent now is newer
    return _save(page, place) if page.request.method == "POST" else _show(page, place, kept=kept)


def _show(page: Page, place: Place, form: Form | None = None, *, kept: Sequence[Cell] = (), status: int = 200) -> HttpResponse:
    """Ten queries, however many jobs there are. `kept` is ticked again and waits for Save."""
    found = _find(page, place)
    environments = list_environments(page.actor)
    environment = pick_environment(page.actor, environments, place.env)
    target = found.find(place.to or f"m{page.actor.member.pk}")
    place = replace(place, to=target.key if place.to else "", env=environment.pk if environment else None)
    sheet, may_edit = Sheet(page, place, URL), page.actor.may(_editing(page, target))
    matrix = get_matrix(target.destination, environment) if environment else None
    kept = still_changes(kept, matrix) if matrix and may_edit else []
    now = timezone.now()
    return page.render(
        "runbell/email_notifications.html",
        status=status,
        section="notifications",
        side=URL,
        found=found,
        target=target,
        is_own=target.is_own(page.actor),
        rules=found.rules_of(target),
        environments=environments,
        environment=environment,
        place=place,
        here=sheet.here,
        copy_from=target.key if page.actor.may(Action.SET_ANY_NOTIFICATIONS) else "",
        may_edit=may_edit,
        is_editing=may_edit and matrix is not None and (form is not None or bool(kept) or page.request.GET.get("edit") == "1"),
        form=form,
        asked=confirmations.open_question(target.destination) if target.destination else None,
        off=_switched_off(target, may_lift=may_edit),
        lately=None if target.is_own(page.actor) else _unsubscribed_lately(target, now),
        own=_own_mail(page, found, now),
        **(table(sheet, target, matrix, form, kept) if matrix else {}),
    )


def _editing(page: Page, target: EmailTarget) -> Action:
    return Action.SET_OWN_NOTIFICATIONS if target.is_own(page.actor) else Action.SET_ANY_NOTIFICATIONS


def _find(page: Page, place: Place) -> Directory:
    """Others' addresses are for those who may set them."""
    if place.to not in ("", f"m{page.actor.member.pk}"):
        page.actor.require(Action.SET_ANY_NOTIFICATIONS)
    return directory(page.actor)


def _switched_off(target: EmailTarget, *, may_lift: bool) -> SwitchedOff | None:
    if not (target.destination and target.silent):
        return None
    return SwitchedOff(target.destination.pk, target.destination.member_id, target.address, target.silent, may_lift)


def _unsubscribed_lately(target: EmailTarget, now: datetime) -> unsubscribe.Unsubscribed | None:
    """Whoever may set new rules should know."""
    last = unsubscribe.last_unsubscribed(target.destination) if target.destination else None
    return last if last and last.at > now - LATELY else None


def _own_mail(page: Page, found: Directory, now: datetime) -> Subscription:
    """For the button below the table, which is about the reader's own address."""
    own = found.find(f"m{page.actor.member.pk}")
    last = undoable(own.destination, now) if own.destination else None
    return Subscription(
        address=own.address,
        account=page.frame.account,
        rules=found.rules_of(own),
        removed=len(last.rules) if last else 0,
        undo_until=last.at + UNDO_FOR if last else None,
    )


def _save(page: Page, place: Place) -> HttpResponse:
    target = target_for(page.actor, place.to)
    return save(Sheet(page, place, URL), target, lambda form, status: _show(page, place, form, status=status))
