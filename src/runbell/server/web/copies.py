"""Copying settings: a form, a preview of exactly what changes, the copy, and its undo."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from runbell.core.fields import BadField
from runbell.core.runs import Outcome
from runbell.server.services import copies as service
from runbell.server.services.addresses import directory
from runbell.server.services.copies import Choice, Plan, PlanChanged, Wish
from runbell.server.services.matrix import list_environments
from runbell.server.web.edge import Page, member_page
from runbell.server.web.templatetags.runbell import CHOICES

SHOWN = 50
ERRORS = {
    "to": gettext_lazy("Choose at least one other address."),
    "to_environment": gettext_lazy("Choose another environment than the first."),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One address of the preview: counts, and per job what comes and what goes, in words. `more`: how many jobs are left out."""

    address: str
    name: str
    adds: int
    removes: int
    jobs: tuple[tuple[str, str, str], ...]
    more: int


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def copy(page: Page) -> HttpResponse:
    wish = _wish(page)
    if page.request.method != "POST":
        return _form(page, wish)
    try:
        if page.request.POST.get("step") == "copy":
            return _copy(page, wish)
        return _form(page, wish, plan=service.plan_copy(page.actor, wish))
    except BadField as bad:
        return _form(page, wish, 422, errors={bad.field: ERRORS[bad.field]})


@require_POST
@member_page
def undo(page: Page, copy_id: int) -> HttpResponse:
    done = service.undo_copy(page.actor, copy_id, now=timezone.now())
    page.toast(_undone(done))
    return redirect("copy_settings", page.frame.account_id)


def _copy(page: Page, wish: Wish) -> HttpResponse:
    """Twice is once: the second finds nothing of the plan left to do."""
    try:
        done = service.copy_settings(page.actor, wish, expect=page.request.POST.get("expect", ""), now=timezone.now())
    except PlanChanged:
        return _form(page, wish, 409, plan=service.plan_copy(page.actor, wish), is_stale=True)
    said = ngettext("Settings of %(n)d address were changed.", "Settings of %(n)d addresses were changed.", len(done.before))
    page.toast(said % {"n": len(done.before)}, reverse("copy_undo", args=[page.frame.account_id, done.pk]))
    return redirect("copy_settings", page.frame.account_id)


def _form(
    page: Page,
    wish: Wish,
    status: int = 200,
    *,
    plan: Plan | None = None,
    errors: Mapping[str, object] | None = None,
    is_stale: bool = False,
) -> HttpResponse:
    recent = service.recent_copies(page.actor, now=timezone.now())
    book = directory(page.actor)
    from_environment = _data(page).get("what") == "environment"
    return page.render(
        "runbell/copies.html",
        status=status,
        section="settings",
        side="copy_settings",
        wish=wish,
        what="environment" if from_environment else "address",
        book=book,
        source=wish.source or (book.members[0].target.key if book.members else ""),
        environments=list_environments(page.actor),
        plan=plan,
        lines=[_shown(line.target.address, line.target.name, line.add, line.remove, plan.names) for line in plan.lines] if plan else [],
        errors=errors or {},
        is_stale=is_stale,
        recent=recent,
    )


def _data(page: Page) -> Mapping[str, str]:
    return page.request.POST if page.request.method == "POST" else page.request.GET


def _wish(page: Page) -> Wish:
    data = page.request.POST if page.request.method == "POST" else page.request.GET
    from_environment = data.get("what") == "environment"
    source = data.get("from", "")
    if not from_environment and not source:
        source = f"m{page.actor.member.pk}"
    return Wish(
        source="" if from_environment else source[:40],
        environment=_id(data.get("environment", "")),
        to_environment=_id(data.get("to_environment", "")) if from_environment else None,
        to=tuple(data.getlist("to")),
        everybody=data.get("everybody") == "1",
        replaces=data.get("mode") == "replace",
    )


def _id(text: str) -> int | None:
    """Empty: none. What is no number is one that nothing has."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _shown(address: str, name: str, add: Iterable[Choice], remove: Iterable[Choice], names: Mapping[tuple[str, int], str]) -> Shown:
    jobs: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for place, choices in enumerate((add, remove)):
        for choice in choices:
            jobs[_place(choice, names)][place].append(choice[2])
    rows = [(job, _words(comes), _words(goes)) for job, (comes, goes) in sorted(jobs.items())]
    return Shown(address, name, len(list(add)), len(list(remove)), tuple(rows[:SHOWN]), max(0, len(rows) - SHOWN))


def _place(choice: Choice, names: Mapping[tuple[str, int], str]) -> str:
    job, environment, _ = choice
    if job is not None:
        return names.get(("job", job), f"#{job}")
    return gettext("All jobs of %(environment)s, also new ones") % {"environment": names.get(("environment", environment or 0), "")}


def _words(outcomes: list[str]) -> str:
    return ", ".join(str(CHOICES[outcome.value]) for outcome in Outcome if outcome in outcomes)


def _undone(done: service.Undone) -> str:
    said = [ngettext("%(n)d address is as it was.", "%(n)d addresses are as they were.", done.restored) % {"n": done.restored}]
    if done.refused:
        shown = ", ".join(done.refused[:5]) + ("…" if len(done.refused) > 5 else "")
        said.append(gettext("Left alone, because their settings were saved since: %(addresses)s.") % {"addresses": shown})
    return " ".join(said)
