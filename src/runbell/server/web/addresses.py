"""Setting an address right: one that mail servers refused, and one whose holder is asked first."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from runbell.server.services import bounces, confirmations
from runbell.server.services.access import NotThere
from runbell.server.services.limits import TooMany
from runbell.server.web.edge import Page, member_page
from runbell.server.web.unsubscribe import link_page


@require_POST
@member_page
def lift(page: Page) -> HttpResponse:
    address = bounces.lift(page.actor, _destination_id(page), now=timezone.now())
    page.toast(gettext("Messages go to %(address)s again.") % {"address": address})
    return _back(page)


@require_POST
@member_page
def ask_again(page: Page) -> HttpResponse:
    try:
        address = confirmations.ask_again(page.actor, _destination_id(page), now=timezone.now())
        page.toast(gettext("The question goes to %(address)s once more.") % {"address": address})
    except TooMany:
        page.toast(gettext("It was asked several times within the hour. Wait, and have the folder for unwanted mail looked into."))
    return _back(page)


@link_page
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, public_id: str, confirmation: str) -> HttpResponse:
    """GET only asks, since mail scanners follow links; POST confirms."""
    if request.method == "POST":
        found = confirmations.confirm(public_id, confirmation, now=timezone.now())
    else:
        found = confirmations.confirmation(public_id, confirmation)
    return render(request, "runbell/confirm.html", {"found": found})


def _destination_id(page: Page) -> int:
    sent = page.request.POST.get("destination", "")
    if not (sent.isascii() and sent.isdigit() and len(sent) < 16):
        raise NotThere
    return int(sent)


def _back(page: Page) -> HttpResponse:
    """To the page that the button was on."""
    back = page.request.POST.get("back", "")
    return redirect(back) if url_has_allowed_host_and_scheme(back, None) else redirect("mine", account_id=page.frame.account_id)
