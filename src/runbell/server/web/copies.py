"""Copying settings: a form, a preview of exactly what changes, the copy, and its undo."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from runbell.core.fields import BadField
from runbell.core.runs import Outcome
from runbell.server.services.addresses import directory
from runbell.server.services.copies import Choice, Line, Plan, PlanChanged, Wish, copy_settings, plan_copy
from runbell.server.services.copy_undo import Undone, recent_copies, undo_copy
from runbell.server.services.matrix import list_environments
from runbell.server.services.slack_copies import SlackDirectory, slack_directory
from runbell.server.web.edge import Page, member_page
from runbell.server.web.templatetags.runbell import CHOICES

SHOWN = 50
WHAT = ("address", "slack", "environment")
ERRORS = {
    "to": gettext_lazy("Choose at least one other address."),
    "to_slack": gettext_lazy("Choose at least one other Slack channel."),
    "to_environment": gettext_lazy("Choose another environment than the first."),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One address or Slack channel of the preview: counts, and per job what comes and what goes, in words.

    `more`: how many jobs are left out. `takes_over`: it becomes the reader's, instead of `owner`'s.
    """

    address: str
    adds: int
    removes: int
    jobs: tuple[tuple[str, str, str], ...]
    more: int
    owner: str = ""
    takes_over: bool = False


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def copy(page: Page) -> HttpResponse:
    wish = _wish(page)
    if page.request.method != "POST":
        return _form(page, wish)
    try:
        if page.request.POST.get("step") == "copy":
            return _copy(page, wish)
        return _form(page, wish, plan=plan_copy(page.actor, wish))
    except BadField as bad:
        is_slack = bad.field == "to" and wish.is_slack
        return _form(page, wish, 422, errors={bad.field: ERRORS["to_slack" if is_slack else bad.field]})


@require_POST
@member_page
def undo(page: Page, copy_id: int) -> HttpResponse:
    done = undo_copy(page.actor, copy_id, now=timezone.now())
    page.toast(_undone(done))
    return redirect("copy_settings", page.frame.account_id)


def _copy(page: Page, wish: Wish) -> HttpResponse:
    """Twice is once: the second finds nothing of the plan left to do."""
    try:
        done = copy_settings(page.actor, wish, expect=page.request.POST.get("expect", ""), now=timezone.now())
    except PlanChanged:
        return _form(page, wish, 409, plan=plan_copy(page.actor, wish), is_stale=True)
    n = len(done.before)
    if wish.is_slack:
        said = ngettext("Settings of %(n)d Slack channel were changed.", "Settings of %(n)d Slack channels were changed.", n)
    else:
        said = ngettext("Settings of %(n)d address were changed.", "Settings of %(n)d addresses were changed.", n)
    page.toast(said % {"n": n}, reverse("copy_undo", args=[page.frame.account_id, done.pk]))
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
    recent = recent_copies(page.actor, now=timezone.now())
    slack = slack_directory(page.actor) if wish.is_slack else None
    return page.render(
        "runbell/copies.html",
        status=status,
        section="notifications",
        side="copy_settings",
        wish=wish,
        what=_what(page),
        book=None if slack else directory(page.actor),
        slack=slack,
        source=wish.source,
        environments=list_environments(page.actor),
        plan=plan,
        lines=[_shown(line, plan.names, slack) for line in plan.lines] if plan else [],
        errors=errors or {},
        is_stale=is_stale,
        recent=recent,
    )


def _data(page: Page) -> Mapping[str, str]:
    return page.request.POST if page.request.method == "POST" else page.request.GET


def _what(page: Page) -> str:
    asked = _data(page).get("what", "")
    return asked if asked in WHAT else WHAT[0]


def _wish(page: Page) -> Wish:
    data, what = page.request.POST if page.request.method == "POST" else page.request.GET, _what(page)
    from_environment = what == "environment"
    source = data.get("from", "") or (f"m{page.actor.member.pk}" if what == "address" else "")
    return Wish(
        is_slack=what == "slack",
        source="" if from_environment else source[:60],
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


def _shown(line: Line, names: Mapping[tuple[str, int], str], slack: SlackDirectory | None) -> Shown:
    jobs: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for place, choices in enumerate((line.add, line.remove)):
        for choice in choices:
            jobs[_place(choice, names)][place].append(choice[2])
    rows = [(job, _words(comes), _words(goes)) for job, (comes, goes) in sorted(jobs.items())]
    shown = Shown(line.target.address, len(line.add), len(line.remove), tuple(rows[:SHOWN]), max(0, len(rows) - SHOWN))
    if slack is None:
        return shown
    entry = slack.find(line.target.key)
    return replace(shown, owner=entry.owner, takes_over=entry.takes_over)


def _place(choice: Choice, names: Mapping[tuple[str, int], str]) -> str:
    job, environment, _ = choice
    if job is not None:
        return names.get(("job", job), f"#{job}")
    return gettext("All jobs of %(environment)s, also new ones") % {"environment": names.get(("environment", environment or 0), "")}


def _words(outcomes: list[str]) -> str:
    return ", ".join(str(CHOICES[outcome.value]) for outcome in Outcome if outcome in outcomes)


def _undone(done: Undone) -> str:
    if done.is_slack:
        back = ngettext("%(n)d Slack channel is as it was.", "%(n)d Slack channels are as they were.", done.restored)
    else:
        back = ngettext("%(n)d address is as it was.", "%(n)d addresses are as they were.", done.restored)
    said = [back % {"n": done.restored}]
    if done.refused:
        shown = ", ".join(done.refused[:5]) + ("…" if len(done.refused) > 5 else "")
        said.append(gettext("Left alone, because their settings were saved since: %(addresses)s.") % {"addresses": shown})
    return " ".join(said)
