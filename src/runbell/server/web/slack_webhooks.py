"""Incoming webhooks of Slack: added, renamed, their URL replaced, removed and brought back. The URL is never shown again."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.server.services import slack_webhooks
from runbell.server.services.externals import Refused
from runbell.server.services.profiles import offered_zones
from runbell.server.web.edge import Page, member_page
from runbell.server.web.slack_notifications import URL

FIELDS = ("name", "url", "language", "zone")


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def add(page: Page) -> HttpResponse:
    page.actor.require(Action.LINK_SLACK)
    if page.request.method != "POST":
        return _form(page)
    try:
        made = slack_webhooks.add_webhook(*_sent(page), actor=page.actor, now=timezone.now())
    except (BadField, Refused) as bad:
        return _form(page, form=page.request.POST, bad=bad, status=400)
    page.toast(gettext("%(name)s is added. Choose what it hears about.") % {"name": made.address})
    return redirect(_place(page, made.pk))


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def change(page: Page, webhook_id: int) -> HttpResponse:
    page.actor.require(Action.LINK_SLACK)
    found = slack_webhooks.webhook_for(page.actor, webhook_id)
    if page.request.method != "POST":
        return _form(page, found=found, form={"name": found.address, "language": found.language, "zone": found.zone})
    try:
        slack_webhooks.change_webhook(found.pk, *_sent(page), actor=page.actor, now=timezone.now())
    except (BadField, Refused) as bad:
        return _form(page, found=found, form=page.request.POST, bad=bad, status=400)
    page.toast(gettext("Saved."))
    return redirect(_place(page, found.pk))


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def remove(page: Page, webhook_id: int) -> HttpResponse:
    """Asks, with the number of rules that go too."""
    page.actor.require(Action.LINK_SLACK)
    found = slack_webhooks.webhook_for(page.actor, webhook_id)
    if page.request.method != "POST":
        return page.render(
            "runbell/slack_webhook_remove.html",
            section="notifications",
            side=URL,
            question=gettext("Remove %(name)s?") % {"name": found.address},
            verb=gettext("Remove"),
            back=_place(page, found.pk),
            rules=found.rules.count(),
        )
    slack_webhooks.remove_webhook(found.pk, actor=page.actor, now=timezone.now())
    undo = reverse("restore_slack_webhook", args=[page.frame.account_id, found.pk])
    page.toast(gettext("%(name)s and its rules are removed.") % {"name": found.address}, undo)
    return redirect(reverse(URL, args=[page.frame.account_id]))


@require_POST
@member_page
def restore(page: Page, webhook_id: int) -> HttpResponse:
    try:
        back = slack_webhooks.restore_webhook(webhook_id, actor=page.actor, now=timezone.now())
    except Refused as bad:
        return _form(page, bad=bad, status=409)
    page.toast(gettext("%(name)s is back, with its rules.") % {"name": back.address})
    return redirect(_place(page, back.pk))


def _sent(page: Page) -> tuple[str, ...]:
    return tuple(page.request.POST.get(name, "") for name in FIELDS)


def _place(page: Page, webhook_id: int) -> str:
    return f"{reverse(URL, args=[page.frame.account_id])}?channel=w{webhook_id}"


def _form(page: Page, *, form: Any = None, found: Any = None, bad: BadField | Refused | None = None, status: int = 200) -> HttpResponse:
    return page.render(
        "runbell/slack_webhook.html",
        status=status,
        section="notifications",
        side=URL,
        title=found.address if found else gettext("Add an incoming webhook URL"),
        found=found,
        form=form or {},
        bad={"field": bad.field, "because": _reason(bad)} if bad else None,
        back=_place(page, found.pk) if found else reverse(URL, args=[page.frame.account_id]),
        account=page.actor.member.account,
        zones=offered_zones(),
    )


def _reason(bad: BadField | Refused) -> str:
    """The refusal in words, which never repeat the URL."""
    if isinstance(bad, BadField):
        if bad.field == "secret":
            return gettext("Paste the URL as Slack shows it: https://hooks.slack.com/services/…, or hooks.slack-gov.com.")
        return gettext("Write a name of at most 80 characters.")
    reasons = {
        "duplicate": gettext("This URL is there already."),
        "language": gettext("Choose a language from the list."),
        "zone": gettext("There is no time zone of this name. Choose one from the list."),
    }
    return reasons[bad.code]
