"""Account settings › Mail: how mail leaves the server, a test that shows what the mail server answers, and what to publish."""

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods

from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.server.services import mail_check as service
from runbell.server.services.limits import TooMany
from runbell.server.web.edge import Page, member_page

STAGES = {
    "connected": gettext_lazy("Connected"),
    "greeted": gettext_lazy("The server says hello"),
    "secure": gettext_lazy("Encrypted"),
    "signed in": gettext_lazy("Signed in as"),
    "sender": gettext_lazy("Takes mail from our address"),
    "recipient": gettext_lazy("Takes mail for this address"),
    "content": gettext_lazy("Waits for the message"),
}


@require_http_methods(["GET", "POST"])
@member_page
def mail_check(page: Page) -> HttpResponse:
    page.actor.require(Action.CHECK_MAIL)
    if page.request.method == "GET":
        return _render(page, page.frame.email)
    address = page.request.POST.get("address", "").strip()
    try:
        return _render(page, address, checked=service.send_test(page.actor, address, now=timezone.now()))
    except BadField as bad:
        error = gettext("This is not an e-mail address that can be written to.") if bad.field == "address" else str(bad)
        return _render(page, address, error=error, status=400)
    except TooMany:
        return _render(page, address, error=gettext("That is enough tests for now. Try again in an hour."), status=429)


def _render(page: Page, address: str, *, checked: service.Checked | None = None, error: str = "", status: int = 200) -> HttpResponse:
    return page.render(
        "runbell/mail_check.html",
        section="settings",
        side="mail_check",
        ways=service.ways(),
        address=address,
        checked=checked,
        steps=[(STAGES[heard.stage.value], heard.words) for heard in checked.heard] if checked else [],
        error=error,
        status=status,
    )
