"""Account settings › Integrations: the Slack app, linking a workspace by OAuth, unlinking."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from runbell.core.because import Because
from runbell.core.fields import BadField
from runbell.server.services import dbt_platforms, integration_pages, slack_apps, slack_checks, slack_linking, slack_links
from runbell.server.services.limits import TooMany
from runbell.server.services.slack_linking import Refused
from runbell.server.web.edge import Page, member_page

STATES, REFUSAL = "slack_states", "slack_refusal"
STATE_LIVES = 600  # seconds, as long as Slack's code
STATES_KEPT = 5  # one for each tab in which somebody pressed Link
ERRORS = {
    "client_id": gettext_lazy("The client ID of the app, without spaces, such as 1234567890.1234567890123."),
    "client_secret": gettext_lazy("The client secret of the app, without spaces; another app needs its own."),
    "signing_secret": gettext_lazy("The signing secret of the app, without spaces."),
}


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def integrations(page: Page) -> HttpResponse:
    """A POST sets the Slack app."""
    return _save_app(page) if page.request.method == "POST" else _show(page)


def _show(page: Page, errors: dict[str, str] | None = None, status: int = 200) -> HttpResponse:
    slack = integration_pages.slack_state(page.actor)
    refusal = page.request.session.pop(REFUSAL, None)
    return page.render(
        "runbell/integrations.html",
        status=status,
        section="settings",
        side="integrations",
        slack=slack,
        dbt_platforms=dbt_platforms.list_platforms(page.actor),
        refusal=Because.from_json(refusal) if refusal else None,
        errors=errors or {},
        client_id=page.request.POST.get("client_id", slack.app.client_id if slack.app.is_own else ""),
        slack_host=urlsplit(settings.RUNBELL_SLACK_API_URL).netloc,
    )


def _save_app(page: Page) -> HttpResponse:
    posted = page.request.POST
    secrets = {name: posted.get(name, "") for name in ("client_id", "client_secret", "signing_secret")}
    try:
        slack_apps.save_app(page.actor, **secrets, now=timezone.now())
    except BadField as bad:
        return _show(page, {bad.field: str(ERRORS[bad.field])}, status=422)
    page.toast(gettext("The Slack app is set"))
    return _back(page)


@require_POST
@member_page
def forget_app(page: Page) -> HttpResponse:
    slack_apps.forget_app(page.actor, now=timezone.now())
    page.toast(gettext("The Slack app of this account is removed"))
    return _back(page)


@require_POST
@member_page
def check(page: Page) -> HttpResponse:
    try:
        slack_checks.check_now(page.actor, now=timezone.now())
    except TooMany:
        page.toast(gettext("That is enough checks for now. Try again in a minute."))
    return _back(page)


@never_cache
@require_GET
@member_page
def link(page: Page) -> HttpResponse:
    """To Slack. By GET, since a form may not lead elsewhere under our CSP; forged, it only opens Slack's question.

    The answer is of use to this session alone.
    """
    try:
        url, state = slack_linking.begin_link(page.actor)
    except Refused as refused:
        return _refuse(page, refused.because)
    _remember(page, state)
    return redirect(url)


@never_cache
@require_GET
def callback(request: HttpRequest) -> HttpResponseBase:
    """Back from Slack. Its URL holds a code, so every way out of here leads to another URL, but for strangers, whose code it is not."""
    expected = _expected(request)
    if expected is None:
        return render(request, "runbell/slack_lost.html", status=400)
    return _finish(request, expected["account"], next_url=expected["next"])


@member_page
def _finish(page: Page, next_url: str) -> HttpResponse:
    asked = page.request.GET
    try:
        if "error" in asked or not asked.get("code"):
            raise Refused(slack_linking.turned_back(asked.get("error", "")))
        linked = slack_linking.finish_link(page.actor, asked["code"], now=timezone.now())
    except Refused as refused:
        return _refuse(page, refused.because)
    said = gettext("%(workspace)s is linked") % {"workspace": linked.workspace}
    if linked.revived:
        revived = ngettext("%(n)d Slack channel gets messages again", "%(n)d Slack channels get messages again", linked.revived)
        said = f"{said}. {revived % {'n': linked.revived}}"
    page.toast(said)
    return redirect(next_url) if next_url else _back(page)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def unlink(page: Page, link_id: int) -> HttpResponse:
    """GET says what goes silent and what goes on."""
    if page.request.method == "POST":
        name = slack_links.unlink(page.actor, link_id, now=timezone.now())
        page.toast(gettext("Your link to %(workspace)s is removed; the settings of its Slack channels are kept") % {"workspace": name})
        return _back(page)
    found = slack_links.unlinking(page.actor, link_id)
    return page.render(
        "runbell/slack_unlink.html",
        section="settings",
        side="integrations",
        found=found,
        question=gettext("Unlink Slack workspace %(workspace)s?") % {"workspace": found.workspace},
        verb=gettext("Unlink"),
        keep=gettext("Keep the link"),
        back=reverse("integrations", args=[page.frame.account_id]),
    )


def _remember(page: Page, state: str) -> None:
    """Only its digest: whoever reads the table of sessions cannot come back in somebody's place."""
    session, now = page.request.session, timezone.now().timestamp()
    wanted = page.request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, None) and wanted.startswith(f"/a/{page.frame.account_id}/")
    entry = {"account": page.frame.account_id, "user": page.actor.member.user_id, "at": now, "next": wanted if is_ours else ""}
    fresh = [item for item in session.get(STATES, {}).items() if now - item[1]["at"] <= STATE_LIVES]
    session[STATES] = dict([*fresh[1 - STATES_KEPT :], (slack_linking.digest(state), entry)])


def _expected(request: HttpRequest) -> dict[str, Any] | None:
    """What was remembered with this state, once. None: nothing, too long ago, or by somebody else."""
    states = request.session.get(STATES, {})
    entry: dict[str, Any] | None = states.pop(slack_linking.digest(request.GET.get("state", "")), None)
    if entry is None:
        return None
    request.session[STATES] = states
    is_fresh = timezone.now().timestamp() - entry["at"] <= STATE_LIVES
    return entry if is_fresh and request.user.is_authenticated and request.user.pk == entry["user"] else None


def _refuse(page: Page, because: Because) -> HttpResponse:
    page.request.session[REFUSAL] = because.to_json()
    return _back(page)


def _back(page: Page) -> HttpResponse:
    return redirect("integrations", account_id=page.frame.account_id)
