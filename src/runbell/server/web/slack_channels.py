"""Choosing a Slack channel: the list while somebody types, a fresh one from Slack, and one given by its ID or link."""

from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from runbell.server.services.slack_channels import want_listing
from runbell.server.services.slack_lookup import NotFound, resolve
from runbell.server.web.edge import Page, member_page
from runbell.server.web.matrix import Place
from runbell.server.web.slack_lines import finds
from runbell.server.web.slack_notifications import URL, show
from runbell.server.web.templatetags.runbell import reason


@require_GET
@member_page
def channels(page: Page) -> HttpResponse:
    """For the script."""
    return JsonResponse(finds(page, page.request.GET.get("q", "")).to_json())


@require_POST
@member_page
def refresh(page: Page) -> HttpResponse:
    want_listing(page.actor, now=timezone.now())
    return redirect(_back(page, Place.read(page.request.GET, "channel")))


@require_POST
@member_page
def find(page: Page) -> HttpResponse:
    place, text = Place.read(page.request.GET, "channel"), page.request.POST.get("text", "")[:300]
    try:
        key = resolve(page.actor, text, now=timezone.now())
    except NotFound as missing:
        return show(page, place, problem=_why(missing, text), status=404 if missing.code == "unknown" else 400)
    return redirect(_back(page, Place(to=key, env=place.env, name=place.name)))


def _back(page: Page, place: Place) -> str:
    return reverse(URL, args=[page.frame.account_id]) + place.query()


def _why(missing: NotFound, text: str) -> str:
    facts = {"name": missing.name, "text": text.strip()[:80], "reason": reason(missing.because)}
    reasons = {
        "not_an_id": gettext("“%(text)s” is neither the ID of a Slack channel, such as C07ABCDEF, nor a link to one."),
        "not_linked": gettext("%(name)s is not a workspace that is linked here."),
        "unknown": gettext("%(name)s shows no such public Slack channel. It may be private, deleted, or of another workspace."),
        "private": gettext("#%(name)s is private. Only public Slack channels can be chosen."),
        "archived": gettext("#%(name)s is archived. Slack takes no messages for it."),
        "gone": gettext("#%(name)s is no longer in Slack."),
        "trouble": gettext("Slack could not be asked: %(reason)s"),
    }
    if missing.code == "not_linked" and not missing.name:
        return gettext("No workspace is linked here.")
    return reasons[missing.code] % facts
