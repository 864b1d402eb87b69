"""The built-in mailbox: mail kept here because no mail server is set. Admins only."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.clickjacking import xframe_options_sameorigin

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


@xframe_options_sameorigin
@member_page
def letter(page: Page, item_id: int) -> HttpResponse:
    # A link would open the run inside the frame, which refuses; in the sandbox a new window does not open at all.
    response = HttpResponse(mail(page.actor, item_id).html.replace("<head>", '<head><base target="_blank">', 1))
    response["Content-Security-Policy"] = LETTER_CSP
    return response
