"""The member's own mail: “What I get”, and stopping all of it."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from runbell.core.permissions import Action
from runbell.core.runs import Outcome
from runbell.server.services import unsubscribe
from runbell.server.services.bounces import switched_off
from runbell.server.services.job_pages import whom_to_ask
from runbell.server.services.own_rules import own_rules
from runbell.server.web.edge import Page, member_page

URL = "email_notifications"


@member_page
def mine(page: Page) -> HttpResponse:
    """Every rule that reaches the member, with who set it, read-only."""
    page.actor.require(Action.SEE_JOBS)
    return page.render(
        "runbell/mine.html",
        section="notifications",
        side="mine",
        rules=own_rules(page.actor),
        found=unsubscribe.own_subscription(page.actor, now=timezone.now()),
        outcomes=[outcome.value for outcome in Outcome],
        switched_off=[off for off in switched_off(page.actor) if off.member_id == page.actor.member.pk],
        deciders=whom_to_ask(page.actor, Action.SET_OWN_NOTIFICATIONS),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def unsubscribe_mine(page: Page) -> HttpResponse:
    """Asks, then acts on the own address, whatever address the page shows."""
    page.actor.require(Action.UNSUBSCRIBE_SELF)
    found = unsubscribe.own_subscription(page.actor, now=timezone.now())
    if page.request.method != "POST":
        question = gettext("Unsubscribe %(address)s from all email notifications?") % {"address": found.address}
        back = reverse(URL, args=[page.frame.account_id])
        return page.render(
            "runbell/unsubscribe_ask.html",
            section="notifications",
            side=URL,
            question=question,
            verb=gettext("Unsubscribe"),
            back=back,
            found=found,
        )
    unsubscribe.unsubscribe_self(page.actor, now=timezone.now())
    text = ngettext(
        "All e-mail to %(address)s is off. %(n)d rule removed.", "All e-mail to %(address)s is off. %(n)d rules removed.", found.rules
    )
    page.toast(text % {"address": found.address, "n": found.rules}, reverse("undo_mine", args=[page.frame.account_id]))
    return redirect(URL, account_id=page.frame.account_id)


@require_POST
@member_page
def undo_mine(page: Page) -> HttpResponse:
    unsubscribe.undo_self(page.actor, now=timezone.now())
    rules = unsubscribe.own_subscription(page.actor, now=timezone.now()).rules
    page.toast(ngettext("Undone: %(n)d rule sends mail to you.", "Undone: %(n)d rules send mail to you.", rules) % {"n": rules})
    return redirect(URL, account_id=page.frame.account_id)
