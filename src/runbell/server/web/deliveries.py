"""The delivery log."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from runbell.core.permissions import Action
from runbell.server.services import resends
from runbell.server.services.access import NotThere
from runbell.server.services.bounces import switched_off
from runbell.server.services.delivery_pages import Log, delivery_log
from runbell.server.web.edge import Page, member_page

FILTERS = {
    "all": gettext_lazy("All"),
    "sent": gettext_lazy("Sent"),
    "trying": gettext_lazy("Trying"),
    "dead": gettext_lazy("Dead"),
    "unsent": gettext_lazy("Not sent"),
}

SWITCHED_OFF = 3  # that many addresses are shown above the log


@member_page
def deliveries(page: Page) -> HttpResponse:
    asked = page.request.GET.get("state", "all")
    group = asked if asked in FILTERS else "all"
    opened = page.number("open")
    log = delivery_log(page.actor, group=group, opened=opened, before=page.number("before"), now=timezone.now())
    off = switched_off(page.actor)
    filters = [(word, label, log.counts[word]) for word, label in FILTERS.items()]
    return page.render(
        "runbell/deliveries.html",
        section="deliveries",
        log=log,
        group=group,
        opened=opened,
        before=page.number("before"),
        filters=filters,
        may_resend=page.actor.may(Action.RESEND_DELIVERIES),
        switched_off=off[:SWITCHED_OFF],
        more_off=len(off) - SWITCHED_OFF,
        title=headline(log),
    )


@require_POST
@member_page
def send_again(page: Page) -> HttpResponse:
    """One, or all that were given up."""
    sent, now = page.request.POST.get("delivery", ""), timezone.now()
    log = reverse("deliveries", args=[page.frame.account_id])
    if sent == "all":
        n = resends.resend_dead(page.actor, now=now)
        page.toast(ngettext("%(n)d message is sent again.", "%(n)d messages are sent again.", n) % {"n": n})
        return redirect(f"{log}?state=trying")
    if not (sent.isascii() and sent.isdigit() and len(sent) < 16):
        raise NotThere
    delivery = resends.resend(page.actor, int(sent), now=now)
    page.toast(gettext("The message is sent again."))
    return redirect(f"{log}?open={delivery.pk}&before={delivery.pk + 1}#d{delivery.pk}")


def headline(log: Log) -> str:
    """What became of the messages of the last 24 hours."""
    n, dead, trying = log.day["all"], log.day["dead"], log.day["trying"]
    if not n:
        return gettext("No message in 24 hours")
    said = ngettext("%(n)d message in 24 hours", "%(n)d messages in 24 hours", n) % {"n": n}
    if dead:
        rest = ngettext("%(n)d did not arrive", "%(n)d did not arrive", dead) % {"n": dead}
    elif trying:
        rest = ngettext("%(n)d is still being tried", "%(n)d are still being tried", trying) % {"n": trying}
    else:
        return said
    return gettext("%(said)s, %(rest)s") % {"said": said, "rest": rest}
