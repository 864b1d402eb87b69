"""The first page: environments and their jobs, and what is true of them now; and where `/` leads."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from runbell.core.permissions import Action, Permission
from runbell.server.services.home_pages import FILTERS, Home, Wish, home_page
from runbell.server.services.job_pages import whom_to_ask
from runbell.server.services.live import home_stamp
from runbell.server.services.mail_check import ways
from runbell.server.services.readiness import outage, queue
from runbell.server.services.tokens import AlreadyMade, TokenWish, issue_token, list_tokens
from runbell.server.web.edge import Page, landing, member_page
from runbell.server.web.live import BUSY, CALM, is_part, live

FIRST_RUN = "first-run"  # id of what waits for the first report
LABELS = {
    "all": gettext_lazy("All"),
    "failing": gettext_lazy("Failing"),
    "warned": gettext_lazy("Warned"),
    "running": gettext_lazy("Running"),
    "deaf": gettext_lazy("Nobody hears"),
    "paused": gettext_lazy("Paused"),
}


@dataclass(frozen=True, slots=True)
class Filter:
    word: str
    label: str
    n: int
    url: str


@login_required
def root(request: HttpRequest) -> HttpResponse:
    account_id = landing(request)
    if account_id is None:
        return render(request, "runbell/no_account.html", status=403)
    return redirect("home", account_id=account_id)


@member_page
def home(page: Page) -> HttpResponse:
    now = timezone.now()
    return live(page, home_stamp(page.actor, now=now), lambda etag: _home(page, etag, now))


def _home(page: Page, etag: str, now: datetime) -> HttpResponse:
    wish = _wish(page)
    found = home_page(page.actor, wish, now=now)
    if found is None:
        return _first_run(page, etag)
    if page.request.headers.get("HX-Target") == FIRST_RUN:
        return HttpResponse(headers={"HX-Redirect": page.request.path})  # not a reload: the page may be the answer to a POST
    seen = queue(now=now, account_id=page.actor.account_id)
    return page.render(
        "runbell/home_live.html" if is_part(page) else "runbell/home.html",
        section="jobs",
        etag=etag,
        every=BUSY if found.counts["running"] else CALM,
        title=headline(found),
        lead=lead(found),
        home=found,
        wish=wish,
        filters=_filters(found, wish),
        chosen=_chosen(found, wish),
        changed_at=_changed_at(found),
        banner=_banner(page),
        queue=seen if page.actor.may(Action.CHECK_MAIL) else None,
        outage=outage(seen, now=now),
    )


def _first_run(page: Page, etag: str, token: str = "") -> HttpResponse:
    """`token`: the one just made, shown this once."""
    may_make = page.actor.may(Action.MANAGE_TOKENS)
    return page.render(
        "runbell/first_wait.html" if is_part(page) else "runbell/first_run.html",
        section="jobs",
        etag=etag,
        banner=_banner(page),
        tokens=[line.name for line in list_tokens(page.actor) if line.revoked_at is None] if may_make else [],
        token=token,
        once=secrets.token_urlsafe(16),
        admins=whom_to_ask(page.actor, Action.MANAGE_TOKENS),
        server=page.request.build_absolute_uri("/").rstrip("/"),
    )


@require_http_methods(["GET", "POST"])
@member_page
def first_token(page: Page) -> HttpResponse:
    """Makes a token that may only report. The answer alone shows it: it is stored nowhere on the way."""
    if page.request.method == "GET":
        return redirect("home", account_id=page.frame.account_id)
    wish = TokenWish(name=gettext("first token"), permissions=(Permission.REPORT.value,), member_id=page.actor.member.pk)
    try:
        token = issue_token(wish, actor=page.actor, now=timezone.now(), once=page.request.POST.get("once", "")[:100])
    except AlreadyMade:
        page.toast(gettext("That token was already made. It was shown then, and is never shown again."))
        return redirect("home", account_id=page.frame.account_id)
    return _first_run(page, "", token)


def _banner(page: Page) -> str:
    """What an admin should know above everything else: ``settings`` or ``mailbox`` while mail leaves for nobody."""
    if not page.actor.may(Action.CHECK_MAIL):
        return ""
    found = ways()
    return "settings" if found.trouble else "mailbox" if found.is_mailbox else ""


def _wish(page: Page) -> Wish:
    show = page.request.GET.get("show", "all")
    return Wish(
        show=show if show in FILTERS else "all",
        search=page.request.GET.get("q", "").strip()[:200],
        environment=page.number("environment"),
        after=page.number("after"),
    )


def _filters(found: Home, wish: Wish) -> list[Filter]:
    """“Paused” is offered while something is."""
    search = {"q": wish.search} if wish.search else {}
    return [
        Filter(word, str(label), found.counts[word], "?" + urlencode({"show": word, **search}))
        for word, label in LABELS.items()
        if word != "paused" or found.counts[word] or wish.show == word
    ]


def _chosen(found: Home, wish: Wish) -> str:
    """What of all jobs is shown, said when it is not everything."""
    if not (wish.search or wish.environment):
        return ""
    matching = sum(group.matching for group in found.groups)
    return ngettext("%(n)d job found", "%(n)d jobs found", matching) % {"n": matching}


def _changed_at(found: Home) -> datetime | None:
    lines = [*found.failing, *found.running, *(line for group in found.groups for line in group.lines)]
    return max((moment for line in lines if line.last for moment in (line.last.finished_at or line.last.started_at,)), default=None)


def headline(found: Home) -> str:
    """The sentence of the page: trouble first."""
    failing, running, jobs = found.counts["failing"], found.counts["running"], found.counts["all"]
    failing_said = ngettext("%(n)d job is failing", "%(n)d jobs are failing", failing) % {"n": failing}
    if failing and running:
        return gettext("%(failing)s, %(running)s") % {
            "failing": failing_said,
            "running": ngettext("%(n)d is running", "%(n)d are running", running) % {"n": running},
        }
    if failing:
        return failing_said
    if running:
        return ngettext("%(n)d job is running, none is failing", "%(n)d jobs are running, none is failing", running) % {"n": running}
    return ngettext("No job is failing", "None of %(n)d jobs is failing", jobs) % {"n": jobs}


def lead(found: Home) -> list[str]:
    """Short sentences: how many ended well, warned, and for how many nobody hears about a failure."""
    jobs, warned, deaf, paused = (found.counts[word] for word in ("all", "warned", "deaf", "paused"))
    ended = ngettext(
        "%(well)d of %(n)d job succeeded the last time it ended.", "%(well)d of %(n)d jobs succeeded the last time they ended.", jobs
    )
    said = [ended % {"well": found.well, "n": jobs}]
    if warned:
        said.append(ngettext("%(n)d warned.", "%(n)d warned.", warned) % {"n": warned})
    if deaf:
        said.append(
            ngettext("For %(n)d job nobody hears about a failure.", "For %(n)d jobs nobody hears about a failure.", deaf) % {"n": deaf}
        )
    if paused:
        said.append(ngettext("Messages about %(n)d job are paused.", "Messages about %(n)d jobs are paused.", paused) % {"n": paused})
    return said
