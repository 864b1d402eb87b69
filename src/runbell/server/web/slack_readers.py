"""Language and time zone of a Slack channel's messages."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from runbell.server.services.externals import Refused
from runbell.server.services.profiles import offered_zones
from runbell.server.services.slack_readers import set_slack_reader, slack_channel_for
from runbell.server.web.edge import Page, member_page
from runbell.server.web.slack_notifications import URL


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def slack_reader(page: Page, slack_id: int) -> HttpResponse:
    found, form = slack_channel_for(page.actor, slack_id), page.request.POST
    if page.request.method != "POST":
        return _form(page, found, {"language": found.language, "zone": found.zone})
    try:
        set_slack_reader(found.pk, form.get("language", ""), form.get("zone", ""), actor=page.actor, now=timezone.now())
    except Refused as bad:
        return _form(page, found, form, bad, status=400)
    page.toast(gettext("Saved."))
    return redirect(_back(page, found))


def _form(page: Page, found: Any, form: Any, bad: Refused | None = None, status: int = 200) -> HttpResponse:
    reasons = {
        "language": gettext("Choose a language from the list."),
        "zone": gettext("There is no time zone of this name. Choose one from the list."),
    }
    return page.render(
        "runbell/slack_reader.html",
        status=status,
        section="notifications",
        side=URL,
        title=found.address,
        form=form,
        bad=bad,
        because=reasons[bad.code] if bad else "",
        back=_back(page, found),
        account=page.actor.member.account,
        zones=offered_zones(),
    )


def _back(page: Page, found: Any) -> str:
    return f"{reverse(URL, args=[page.frame.account_id])}?{urlencode({'channel': found.address_key})}"
