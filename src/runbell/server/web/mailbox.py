"""The built-in mailbox: mail kept here because no mail server is set. Admins only."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_http_methods

from runbell.server.services import mailbox_pages as service
from runbell.server.services.mailbox_pages import mail, mailbox
from runbell.server.web.edge import Page, landing, member_page

VIEWS = ("html", "text", "headers")
LETTER_CSP = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The one exception from the policy of all other pages: a mail has its styles inline, and may do nothing at all."""


@login_required
def mailbox_root(request: HttpRequest) -> HttpResponse:
    """`/mailbox` is what the terminal prints; the account is the one last looked at."""
    account_id = landing(request)
    return redirect("mailbox", account_id=account_id) if account_id else redirect("root")


@member_page
def show(page: Page, item_id: int | None = None) -> HttpResponse:
    asked = page.request.GET.get("show", "html")
    view = asked if asked in VIEWS else "html"
    box = mailbox(page.actor, item=item_id, before=page.number("before"))
    return page.render("runbell/mailbox.html", section="mailbox", box=box, view=view, views=VIEWS, before=page.number("before"))


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def empty(page: Page) -> HttpResponse:
    """Asks, then deletes what was there when the mailbox was looked at."""
    newest, now = page.number("upto"), timezone.now()
    if page.request.method == "POST":
        count = service.empty(page.actor, newest, now=now)
        page.toast(ngettext("%(n)d mail deleted.", "%(n)d mails deleted.", count) % {"n": count})
        return redirect("mailbox", account_id=page.frame.account_id)
    return page.render(
        "runbell/mailbox_empty.html",
        section="mailbox",
        question=gettext("Empty the mailbox?"),
        verb=gettext("Empty the mailbox"),
        count=service.mails_up_to(page.actor, newest),
        back=reverse("mailbox", args=[page.frame.account_id]),
    )


@xframe_options_sameorigin
@member_page
def letter(page: Page, item_id: int) -> HttpResponse:
    # A link would open the run inside the frame, which refuses; in the sandbox a new window does not open at all.
    response = HttpResponse(mail(page.actor, item_id).html.replace("<head>", '<head><base target="_blank">', 1))
    response["Content-Security-Policy"] = LETTER_CSP
    return response
