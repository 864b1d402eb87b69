"""The delivery log, as a page and as a file, and what it sends again."""

import csv
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.http import HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_POST

from runbell.core.permissions import Action
from runbell.server.services import resends
from runbell.server.services.access import NotThere
from runbell.server.services.bounces import switched_off
from runbell.server.services.delivery_filters import COUNTED, Wish
from runbell.server.services.delivery_pages import (
    EPOCH,
    DeliveryLine,
    Log,
    LogPlaces,
    Place,
    delivery_log,
    every_line,
    log_places,
    place_before,
)
from runbell.server.web.edge import Page, member_page
from runbell.server.web.templatetags.runbell import CHOICES

FILTERS = {
    "all": gettext_lazy("All"),
    "sent": gettext_lazy("Sent"),
    "trying": gettext_lazy("Trying"),
    "dead": gettext_lazy("Dead"),
    "unsent": gettext_lazy("Not sent"),
}
CHANNELS = {"email": gettext_lazy("E-mail"), "slack": gettext_lazy("Slack"), "slack_webhook": gettext_lazy("Slack webhook")}
SPANS = {
    "24h": (timedelta(hours=24), gettext_lazy("Last 24 hours")),
    "7d": (timedelta(days=7), gettext_lazy("Last 7 days")),
    "30d": (timedelta(days=30), gettext_lazy("Last 30 days")),
}
COLUMNS = (
    *("id", "created_at", "settled_at", "purpose", "project", "environment", "job", "run_id", "outcome"),
    *("channel", "address", "state", "attempts", "reason"),
)
SWITCHED_OFF = 3  # that many addresses are shown above the log


@dataclass(frozen=True, slots=True)
class Asked:
    """The query string. What is no word of a filter counts as not given."""

    state: str
    channel: str
    outcome: str
    span: str
    search: str
    environment: int | None
    job: int | None

    @classmethod
    def read(cls, page: Page) -> "Asked":
        sent = page.request.GET
        return cls(
            state=_word(sent, "state", FILTERS) or "all",
            channel=_word(sent, "channel", CHANNELS),
            outcome=_word(sent, "outcome", CHOICES),
            span=_word(sent, "span", SPANS),
            search=sent.get("q", "").strip()[:200],
            environment=page.number("environment"),
            job=page.number("job"),
        )

    def wish(self, now: datetime) -> Wish:
        since = now - SPANS[self.span][0] if self.span else None
        return Wish(self.channel, self.outcome, self.environment, self.job, self.search, since)

    def wider(self, places: LogPlaces) -> list[tuple[str, str]]:
        """What narrows the log, and the name of its parameter: each can be given up on its own."""
        named: list[tuple[str, str | Promise]] = [
            ("q", f"“{self.search}”" if self.search else ""),
            ("job", places.job),
            ("environment", places.environment),
            ("channel", CHANNELS.get(self.channel, "")),
            ("outcome", CHOICES.get(self.outcome, "")),
            ("span", SPANS[self.span][1] if self.span else ""),
            ("state", FILTERS[self.state] if self.state != "all" else ""),
        ]
        return [(name, str(words)) for name, words in named if words]


def _word(sent: QueryDict, name: str, words: Container[str]) -> str:
    asked = sent.get(name, "")
    return asked if asked in words else ""


@require_GET
@member_page
def deliveries(page: Page) -> HttpResponse:
    asked, now = Asked.read(page), timezone.now()
    wish, opened = asked.wish(now), page.number("open")
    places = log_places(page.actor, wish)
    log = delivery_log(page.actor, wish, group=asked.state, opened=opened, place=_place(page), now=now)
    off = switched_off(page.actor)
    may_resend = page.actor.may(Action.RESEND_DELIVERIES)
    return page.render(
        "runbell/deliveries.html",
        section="deliveries",
        log=log,
        asked=asked,
        opened=opened,
        filters=[(word, label, capped(log.counts[word], log.most)) for word, label in FILTERS.items()],
        channels=CHANNELS,
        outcomes=CHOICES,
        spans={word: label for word, (_, label) in SPANS.items()},
        places=places,
        wider=asked.wider(places),
        may_resend=may_resend,
        dead=resends.count_dead(page.actor, wish, seen=now) if may_resend and asked.state == "dead" else 0,
        seen=(now - EPOCH) // timedelta(microseconds=1),
        switched_off=off[:SWITCHED_OFF],
        more_off=len(off) - SWITCHED_OFF,
        title=headline(log),
    )


def _place(page: Page) -> Place | None:
    """`before` leads on through the pages; `from` is a link to one delivery, with those before it."""
    start = page.number("from")
    return place_before(page.actor, start) if start is not None else Place.read(page.request.GET.get("before", ""))


@require_GET
@member_page
def download(page: Page) -> StreamingHttpResponse:
    """All that the filters leave, in UTC, with the keys of the API: for a spreadsheet or a script, whatever the reader's language."""
    asked, now = Asked.read(page), timezone.now()
    log_places(page.actor, asked.wish(now))
    lines = every_line(page.actor, asked.wish(now), group=asked.state)
    answer = StreamingHttpResponse(_as_csv(lines), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="deliveries-{now:%Y-%m-%d}.csv"'
    return answer


class _Line:
    """What a csv.writer writes to: each row comes back as it is."""

    def write(self, row: str) -> str:
        return row


def _as_csv(lines: Iterator[DeliveryLine]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for line in lines:
        yield writer.writerow(map(_harmless, _cells(line)))


def _cells(line: DeliveryLine) -> tuple[object, ...]:
    settled = line.at + timedelta(seconds=line.after) if line.after is not None else None
    return (
        *(line.id, _iso(line.at), _iso(settled), line.purpose, line.project, line.environment, line.job, line.run_id, line.outcome),
        *(line.kind, line.address, line.state, line.attempts, line.last.code if line.last else ""),
    )


def _iso(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat() if at else ""


def _harmless(cell: object) -> object:
    """A spreadsheet takes a text that begins so for a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


@require_POST
@member_page
def send_again(page: Page) -> HttpResponse:
    """One, or all that were given up and fit the filters."""
    sent, now = page.request.POST.get("delivery", ""), timezone.now()
    log = reverse("deliveries", args=[page.frame.account_id])
    if sent == "all":
        n = _all_again(page, now)
        page.toast(ngettext("%(n)d message is sent again.", "%(n)d messages are sent again.", n) % {"n": n})
        query = page.request.GET.copy()
        query["state"] = "trying"
        return redirect(f"{log}?{query.urlencode()}")
    if not (sent.isascii() and sent.isdigit() and len(sent) < 16):
        raise NotThere
    delivery = resends.resend(page.actor, int(sent), now=now)
    page.toast(gettext("The message is sent again."))
    return redirect(f"{log}?from={delivery.pk}&open={delivery.pk}#d{delivery.pk}")


def _all_again(page: Page, now: datetime) -> int:
    """`seen`: when the page was made, whose number is on the button; a span of time counts from there."""
    text = page.request.POST.get("seen", "")
    seen = min(EPOCH + timedelta(microseconds=int(text)), now) if text.isascii() and text.isdigit() and len(text) < 18 else now
    return resends.resend_dead(page.actor, Asked.read(page).wish(seen), seen=seen, now=now)


def capped(n: int, most: int = COUNTED) -> str:
    return f"{n}+" if n == most else str(n)


def headline(log: Log) -> str:
    """What became of the messages of the last 24 hours."""
    n, dead, trying = (log.day[word] for word in ("all", "dead", "trying"))
    if not n:
        return gettext("No message in 24 hours")
    said = ngettext("%(count)s message in 24 hours", "%(count)s messages in 24 hours", n) % {"count": capped(n)}
    if dead:
        rest = ngettext("%(count)s did not arrive", "%(count)s did not arrive", dead) % {"count": capped(dead)}
    elif trying:
        rest = ngettext("%(count)s is still being tried", "%(count)s are still being tried", trying) % {"count": capped(trying)}
    else:
        return said
    return gettext("%(said)s, %(rest)s") % {"said": said, "rest": rest}
