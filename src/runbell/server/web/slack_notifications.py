"""Profile › Notification settings › Slack notifications: pick a Slack channel and an environment, look, edit, save, take over."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from runbell.core.cells import Cell
from runbell.core.permissions import Action
from runbell.server.services.access import NotThere
from runbell.server.services.matrix import get_matrix, list_environments, pick_environment
from runbell.server.services.slack_pages import AnyTarget, book, ownership, pick, target_for, who_may_change
from runbell.server.services.slack_targets import NoLink, OwnerChanged
from runbell.server.web.cells_form import cleared, read_cells, read_revision
from runbell.server.web.edge import Page, member_page
from runbell.server.web.matrix import Place, still_changes
from runbell.server.web.saving import Form, Sheet, kept_cells, save, table
from runbell.server.web.slack_lines import Finds, configured_groups, finds

URL = "slack_notifications"
ADD = "add"  # the picker's last entry
CHANNEL_STRIP, WEBHOOK_STRIP = "runbell/slack_strip.html", "runbell/slack_webhook_strip.html"


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def slack_notifications(page: Page) -> HttpResponse:
    page.actor.require(Action.SEE_JOBS)
    place = Place.read(page.request.GET, "channel")
    if place.to == ADD:
        return redirect("add_slack_webhook", account_id=page.frame.account_id)
    kept = kept_cells(page)
    return _save(page, place) if page.request.method == "POST" else show(page, place, kept=kept)


def show(
    page: Page,
    place: Place,
    form: Form | None = None,
    *,
    kept: Sequence[Cell] = (),
    status: int = 200,
    is_warned: bool = False,
    problem: str = "",
) -> HttpResponse:
    """A fixed number of queries, however many jobs and Slack channels there are.

    `is_warned`: another owner came while a form was open. `problem`: why a Slack channel that was asked for cannot be had.
    """
    actor, found = page.actor, book(page.actor)
    target = pick(actor, found, place.to)
    environments = list_environments(actor)
    environment = pick_environment(actor, environments, place.env)
    place = replace(place, to=target.key if target else "", env=environment.pk if environment else None)
    sheet, may_edit = Sheet(page, place, URL), target is not None and target.may_edit(actor)
    matrix = get_matrix(target.destination, environment) if target and environment else None
    kept = still_changes(kept, matrix) if matrix and may_edit else []
    return page.render(
        "runbell/slack_notifications.html",
        status=status,
        section="notifications",
        side=URL,
        found=found,
        groups=configured_groups(found.channels, found.webhooks),
        target=target,
        rules=found.rules_of(place.to),
        environments=environments,
        environment=environment,
        place=place,
        here=sheet.here,
        may_edit=may_edit,
        is_editing=may_edit and matrix is not None and (form is not None or bool(kept) or page.request.GET.get("edit") == "1"),
        form=form,
        is_warned=is_warned,
        problem=problem,
        finds=_finds(page, problem),
        integrations=reverse("integrations", args=[page.frame.account_id]),
        who=None if actor.may(Action.SET_ANY_NOTIFICATIONS) else who_may_change(actor),
        **(_picked(page, place, target) if target else {}),
        **(table(sheet, target, matrix, form, kept) if target and matrix else {}),
    )


def _finds(page: Page, problem: str) -> Finds | None:
    """Without script: what the search found."""
    text = page.request.POST.get("text", "") if problem else page.request.GET.get("find", "")
    return finds(page, text) if text.strip() and page.actor.may(Action.LINK_SLACK) else None


def _picked(page: Page, place: Place, target: AnyTarget) -> dict[str, Any]:
    takes_over, destination = target.takes_over(page.actor), target.destination
    may_set = destination is not None and page.actor.may(Action.SET_ANY_NOTIFICATIONS)
    return {
        "may_test": may_set,
        "may_set_reader": may_set and not target.is_webhook,
        "may_lift": may_set and destination is not None and destination.disabled_because is not None and not takes_over,
        "preview_query": replace(place, name="to").query(),
        "owned": ownership(target, page.actor),
        "owner_link": target.owner.pk if target.owner else 0,
        "takes_over": takes_over,
        "needs_link": target.needs_link(page.actor),
        "strip": WEBHOOK_STRIP if target.is_webhook else CHANNEL_STRIP,
        "save_label": gettext("Save and take over") if takes_over else "",
    }


def _save(page: Page, place: Place) -> HttpResponse:
    """A form that says nothing of another owner does not take a Slack channel over."""
    target = target_for(page.actor, place.to).promised(_owner_link(page))
    try:
        return save(Sheet(page, place, URL), target, lambda form, status: show(page, place, form, status=status))
    except OwnerChanged:
        return show(page, place, _form_again(page), status=409, is_warned=True)
    except NoLink:
        return show(page, place, status=409)


def _form_again(page: Page) -> Form:
    """The same boxes, and the same question if it was asked."""
    cells, revision = read_cells(page.request.POST), read_revision(page.request.POST)
    return Form(cells, revision, asks=[outcome.value for outcome in cleared(cells)] if "asked" in page.request.POST else ())


def _owner_link(page: Page) -> int:
    sent = page.request.POST.get("owner", "0")
    if not (sent.isascii() and sent.isdigit() and len(sent) < 16):
        raise NotThere
    return int(sent)
