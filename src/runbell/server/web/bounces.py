"""Setting right an address that mail servers refused."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from runbell.server.services import bounces
from runbell.server.services.access import NotThere
from runbell.server.web.edge import Page, member_page


@require_POST
@member_page
def lift(page: Page) -> HttpResponse:
    """`back`: the page that the button was on."""
    sent = page.request.POST.get("destination", "")
    if not (sent.isascii() and sent.isdigit() and len(sent) < 16):
        raise NotThere
    address = bounces.lift(page.actor, int(sent), now=timezone.now())
    page.toast(_("Mail goes to %(address)s again.") % {"address": address})
    back = page.request.POST.get("back", "")
    return redirect(back) if url_has_allowed_host_and_scheme(back, None) else redirect("mine", account_id=page.frame.account_id)
