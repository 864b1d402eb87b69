"""Account settings › Integrations › dbt platform: connect an account, see what works, change its secrets, remove it."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from runbell.core.because import Because
from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.server.services import dbt_checks, dbt_platforms
from runbell.server.services.limits import TooMany
from runbell.server.web.edge import Page, member_page

ERRORS = {
    "host": gettext_lazy("Write a host such as cloud.getdbt.com or ab123.us1.dbt.com. It is reached by https."),
    "external_id": gettext_lazy("Write the digits of the account ID."),
    "token": gettext_lazy("Paste the token as dbt shows it, without spaces."),
    "webhook_secret": gettext_lazy("Paste the secret as dbt shows it, without spaces."),
}
LABELS = {
    "account": gettext_lazy("Host, account and token"),
    "projects": gettext_lazy("Projects"),
    "environments": gettext_lazy("Environments"),
    "jobs": gettext_lazy("Jobs"),
    "runs": gettext_lazy("Runs"),
    "artifacts": gettext_lazy("Artifacts of runs"),
}


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def add(page: Page) -> HttpResponse:
    page.actor.require(Action.CONNECT_DBT)
    if page.request.method != "POST":
        return _form(page)
    posted = {name: page.request.POST.get(name, "") for name in ("host", "external_id", "token", "webhook_secret")}
    try:
        made = dbt_platforms.connect(page.actor, **posted, now=timezone.now())
    except BadField as bad:
        return _form(page, bad, status=422)
    page.toast(gettext("The account is connected"))
    return _to(page, made.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def show(page: Page, platform_id: int) -> HttpResponse:
    """A POST changes secrets."""
    if page.request.method != "POST":
        return _show(page, platform_id)
    given = {name: page.request.POST.get(name, "") for name in ("token", "webhook_secret")}
    try:
        dbt_platforms.change(page.actor, platform_id, **given, now=timezone.now())
    except BadField as bad:
        return _show(page, platform_id, bad, status=422)
    page.toast(gettext("Saved."))
    return _to(page, platform_id)


@require_POST
@member_page
def check(page: Page, platform_id: int) -> HttpResponse:
    try:
        dbt_checks.check_now(page.actor, platform_id, now=timezone.now())
    except TooMany:
        page.toast(gettext("That is enough checks for now. Try again in a minute."))
    return _to(page, platform_id)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def remove(page: Page, platform_id: int) -> HttpResponse:
    platform = dbt_platforms.platform_for(page.actor, platform_id)
    name = dbt_platforms.label_of(platform)
    if page.request.method == "POST":
        dbt_platforms.remove(page.actor, platform_id, now=timezone.now())
        page.toast(gettext("%(name)s is removed.") % {"name": name})
        return redirect("integrations", account_id=page.frame.account_id)
    return page.render(
        "runbell/dbt_platform_remove.html",
        section="settings",
        side="integrations",
        question=gettext("Remove %(name)s?") % {"name": name},
        verb=gettext("Remove"),
        silenced=dbt_platforms.silenced(platform),
        back=reverse("dbt_platform", args=[page.frame.account_id, platform_id]),
    )


def _form(page: Page, bad: BadField | None = None, status: int = 200) -> HttpResponse:
    return page.render(
        "runbell/dbt_platform_add.html",
        status=status,
        section="settings",
        side="integrations",
        form=page.request.POST,
        bad=_said(bad),
        back=reverse("integrations", args=[page.frame.account_id]),
    )


def _show(page: Page, platform_id: int, bad: BadField | None = None, status: int = 200) -> HttpResponse:
    platform = dbt_platforms.platform_for(page.actor, platform_id)
    return page.render(
        "runbell/dbt_platform.html",
        status=status,
        section="settings",
        side="integrations",
        platform=platform,
        lines=[(LABELS[what], because) for what, because in dbt_checks.checked(platform)],
        broken=Because.from_json(platform.broken_because) if platform.broken_because else None,
        heard=Because.from_json(platform.heard_because) if platform.heard_because else None,
        endpoint=settings.RUNBELL_PUBLIC_URL.rstrip("/") + reverse("dbt_webhook", args=[platform.pk]),
        bad=_said(bad),
    )


def _said(bad: BadField | None) -> dict[str, Any] | None:
    if isinstance(bad, dbt_platforms.AlreadyConnected):
        return {"field": bad.field, "said": gettext("This account is connected already.")}
    return {"field": bad.field, "said": ERRORS[bad.field]} if bad else None


def _to(page: Page, platform_id: int) -> HttpResponse:
    return redirect("dbt_platform", account_id=page.frame.account_id, platform_id=platform_id)
