"""Account settings › Jobs: the tree of projects, environments and jobs, and the page of each, where it is changed."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from runbell.core.fields import BadField
from runbell.server.services import job_merges, job_settings, job_tree
from runbell.server.services.access import NotThere
from runbell.server.services.job_places import Kind, place_for
from runbell.server.services.job_settings import NameTaken, OldNameTaken
from runbell.server.web.edge import Page, member_page

READS = ["GET", "HEAD", "POST"]
KINDS = {Kind.PROJECT: gettext_lazy("Project"), Kind.ENVIRONMENT: gettext_lazy("Environment"), Kind.JOB: gettext_lazy("Job")}
LIMITS = (timedelta(minutes=1), timedelta(days=30))
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@member_page
def tree(page: Page) -> HttpResponse:
    search = page.request.GET.get("q", "").strip()[:200]
    found = job_tree.job_tree(page.actor, search=search, page=page.number("page") or 1, now=timezone.now())
    return _render(page, "job_settings", tree=found, search=search, before=found.page - 1, after=found.page + 1)


@require_http_methods(READS)
@member_page
def place(page: Page, kind: str, place_id: int) -> HttpResponse:
    if page.request.method != "POST":
        return _place(page, _kind(kind), place_id)
    place_for(page.actor, _kind(kind), place_id)  # before anything is said about the form
    do = ACTS.get(page.request.POST.get("do") or page.request.GET.get("do", ""))
    return do(page, _kind(kind), place_id) if do else HttpResponse(status=400)


@require_http_methods(READS)
@member_page
def merge(page: Page, kind: str, place_id: int) -> HttpResponse:
    """`into` in the URL: the answer has to name what the question named."""
    into, word = page.number("into") or 0, _kind(kind)
    if page.request.method == "POST":
        done = job_merges.merge(page.actor, word, place_id, into, now=timezone.now())
        page.toast(gettext("%(source)s went into %(target)s.") % {"source": done.source, "target": done.target})
        return redirect("place", page.frame.account_id, word, into)
    plan = job_merges.merging(page.actor, word, place_id, into)
    return _render(
        page,
        "place_merge",
        plan=plan,
        question=gettext("Merge %(source)s into %(target)s?") % {"source": plan.source, "target": plan.target},
        verb=gettext("Merge"),
        back=_url(page, word, place_id),
    )


@require_http_methods(READS)
@member_page
def delete(page: Page, kind: str, place_id: int) -> HttpResponse:
    word = _kind(kind)
    if page.request.method == "POST":
        name = job_settings.delete(page.actor, word, place_id, now=timezone.now())
        undo = reverse("place_restore", args=[page.frame.account_id, word, place_id])
        page.toast(gettext("“%(name)s” is deleted.") % {"name": name}, undo)
        return redirect("job_settings", page.frame.account_id)
    shown = job_tree.place_page(page.actor, word, place_id)
    question = gettext("Delete “%(name)s”?") % {"name": shown.name}
    return _render(page, "place_delete", place=shown, question=question, verb=gettext("Delete"), back=_url(page, word, place_id))


@require_POST
@member_page
def restore(page: Page, kind: str, place_id: int) -> HttpResponse:
    word = _kind(kind)
    try:
        name = job_settings.restore(page.actor, word, place_id, now=timezone.now())
    except NameTaken as taken:
        page.toast(gettext("There is another “%(name)s” now. Rename that one first.") % {"name": taken.name})
        return redirect("job_settings", page.frame.account_id)
    page.toast(gettext("“%(name)s” is back, with its rules.") % {"name": name})
    return redirect("place", page.frame.account_id, word, place_id)


def _place(page: Page, kind: Kind, key: int, status: int = 200, **problem: object) -> HttpResponse:
    search = page.request.GET.get("find", "").strip()[:200]
    shown = job_tree.place_page(page.actor, kind, key, search=search)
    standard = _said(settings.RUNBELL_LOST_RUN_AFTER)
    told: dict[str, object] = {
        "kind": KINDS[kind],
        "search": search,
        "limit": _said(shown.lost_after),
        "standard": standard,
        "typed": shown.name,
    }
    return _render(page, "place", status, place=shown, **(told | problem))


def _rename(page: Page, kind: Kind, key: int) -> HttpResponse:
    typed, take = page.request.POST.get("name", ""), page.request.POST.get("take") == "1"
    try:
        name = job_settings.rename(page.actor, kind, key, typed, now=timezone.now(), take_old_name=take)
    except BadField:
        return _place(page, kind, key, 422, typed=typed, name_error=gettext("A name of 1 to 200 characters, on one line."))
    except NameTaken as taken:
        return _place(page, kind, key, 409, typed=typed, taken=taken, merge_url=f"{_url(page, kind, key, 'merge')}?into={taken.other_id}")
    except OldNameTaken as taken:
        return _place(page, kind, key, 409, typed=typed, old=taken)
    page.toast(gettext("The name is “%(name)s” now. Reports with an old name go on landing here.") % {"name": name})
    return redirect(_url(page, kind, key))


def _forget(page: Page, kind: Kind, key: int) -> HttpResponse:
    alias = page.request.POST.get("alias", "")
    name = job_settings.forget_alias(page.actor, kind, key, int(alias) if alias.isdecimal() and len(alias) < 16 else 0, now=timezone.now())
    page.toast(gettext("A report with the name “%(name)s” makes something new from now on.") % {"name": name})
    return redirect(_url(page, kind, key))


def _hide(page: Page, kind: Kind, key: int) -> HttpResponse:
    return _set_hidden(
        page, kind, key, True, gettext("The job is hidden. Its runs are recorded, and whoever hears of it goes on hearing."), "show"
    )


def _show(page: Page, kind: Kind, key: int) -> HttpResponse:
    return _set_hidden(page, kind, key, False, gettext("The job is listed again."), "hide")


def _set_hidden(page: Page, kind: Kind, key: int, hidden: bool, said: str, undo: str) -> HttpResponse:
    if kind is not Kind.JOB:
        raise NotThere
    job_settings.set_hidden(page.actor, key, hidden=hidden, now=timezone.now())
    page.toast(said, f"{_url(page, kind, key)}?do={undo}")
    return redirect(_url(page, kind, key))


def _limit(page: Page, kind: Kind, key: int) -> HttpResponse:
    if kind is not Kind.JOB:
        raise NotThere
    typed = page.request.POST.get("lost_after", "").strip()
    span = _span(typed) if typed else None
    if typed and span is None:
        return _place(page, kind, key, 422, limit=typed, limit_error=gettext("A time such as 90m, 6h or 2d, from one minute to 30 days."))
    job_settings.set_lost_after(page.actor, key, span, now=timezone.now())
    page.toast(gettext("Saved. It holds for runs that start from now on."))
    return redirect(_url(page, kind, key))


ACTS: dict[str, Callable[[Page, Kind, int], HttpResponse]] = {
    "rename": _rename,
    "forget": _forget,
    "hide": _hide,
    "show": _show,
    "limit": _limit,
}


def _span(typed: str) -> timedelta | None:
    found = re.fullmatch(r"([0-9]{1,5})\s*([mhd])", typed.lower())
    span = timedelta(**{UNITS[found[2]]: int(found[1])}) if found else None
    return span if span and LIMITS[0] <= span <= LIMITS[1] else None


def _said(span: timedelta | None) -> str:
    """The largest unit that says it whole."""
    if span is None:
        return ""
    minutes = max(1, round(span.total_seconds() / 60))
    for unit, length in (("d", 24 * 60), ("h", 60)):
        if minutes % length == 0:
            return f"{minutes // length}{unit}"
    return f"{minutes}m"


def _kind(word: str) -> Kind:
    try:
        return Kind(word)
    except ValueError:
        raise NotThere from None


def _url(page: Page, kind: Kind, key: int, rest: str = "") -> str:
    return reverse(f"place_{rest}" if rest else "place", args=[page.frame.account_id, kind, key])


def _render(page: Page, template: str, status: int = 200, **context: Any) -> HttpResponse:
    return page.render(f"runbell/{template}.html", status=status, section="settings", side="job_settings", **context)
