"""Pausing a job or an environment: a question with a few times to choose from, and the way back."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.server.services import pauses
from runbell.server.services.access import environment_for, job_for
from runbell.server.web.edge import Page, member_page
from runbell.server.web.templatetags.runbell import moment

MORNING = 8
CHOICES = {
    "1h": gettext_lazy("For 1 hour"),
    "4h": gettext_lazy("For 4 hours"),
    "tomorrow": gettext_lazy("Until tomorrow morning"),
    "until": gettext_lazy("Until a date and time"),
}
Pausing = Callable[[datetime, datetime], object]


@dataclass(frozen=True, slots=True)
class Question:
    """What would be paused, and where the answer leads."""

    name: str
    environment: str
    is_job: bool
    back: str
    resume: str


@require_http_methods(["GET", "POST"])
@member_page
def pause_job(page: Page, job_id: int) -> HttpResponse:
    job = job_for(page.actor, job_id, Action.PAUSE)
    address = [page.frame.account_id, job_id]
    question = Question(job.name, job.environment.name, True, reverse("job", args=address), reverse("resume_job", args=address))
    return _answer(page, question, lambda until, now: pauses.pause_job(page.actor, job_id, until=until, now=now))


@require_http_methods(["GET", "POST"])
@member_page
def pause_environment(page: Page, environment_id: int) -> HttpResponse:
    found = environment_for(page.actor, environment_id, Action.PAUSE)
    resume = reverse("resume_environment", args=[page.frame.account_id, environment_id])
    question = Question(found.name, found.name, False, reverse("home", args=[page.frame.account_id]), resume)
    return _answer(page, question, lambda until, now: pauses.pause_environment(page.actor, environment_id, until=until, now=now))


@require_POST
@member_page
def resume_job(page: Page, job_id: int) -> HttpResponse:
    job = pauses.resume_job(page.actor, job_id, now=timezone.now())
    page.toast(gettext("Messages about %(name)s go out again.") % {"name": job.name})
    return redirect("job", account_id=page.frame.account_id, job_id=job_id)


@require_POST
@member_page
def resume_environment(page: Page, environment_id: int) -> HttpResponse:
    found = pauses.resume_environment(page.actor, environment_id, now=timezone.now())
    page.toast(gettext("Messages about %(name)s go out again.") % {"name": found.name})
    return redirect("home", account_id=page.frame.account_id)


def _answer(page: Page, question: Question, pause: Pausing) -> HttpResponse:
    """Shows the question, or acts on its answer; an answer that cannot be taken is shown again with what is wrong."""
    now = timezone.now()
    if page.request.method == "GET":
        return _ask(page, question, now)
    try:
        until = read_until(page.request.POST.get("for", ""), page.request.POST.get("until", ""), now)
        pause(until, now)
    except BadField:
        return _ask(page, question, now, error=gettext("Choose a time that is in the future and within a year."))
    said = gettext("Messages about %(name)s are paused until %(until)s.")
    page.toast(said % {"name": question.name, "until": moment(until, short=True)}, question.resume)
    return redirect(question.back)


def _ask(page: Page, question: Question, now: datetime, *, error: str = "") -> HttpResponse:
    chosen = page.request.POST.get("for", "1h")
    return page.render(
        "runbell/pause.html",
        section="jobs",
        question=question,
        choices=[(word, label, _hint(word, now), word == chosen) for word, label in CHOICES.items()],
        until=page.request.POST.get("until", ""),
        error=error,
        status=400 if error else 200,
    )


def _hint(word: str, now: datetime) -> str:
    return moment(read_until(word, "", now), short=True) if word != "until" else ""


def read_until(choice: str, typed: str, now: datetime) -> datetime:
    """The end of the pause; what is typed counts in the person's zone. Raises `BadField`."""
    if choice in ("1h", "4h"):
        return now + timedelta(hours=int(choice[0]))
    if choice == "tomorrow":
        return (timezone.localtime(now) + timedelta(days=1)).replace(hour=MORNING, minute=0, second=0, microsecond=0)
    try:
        found = parse_datetime(typed)
        return timezone.make_aware(found) if found and timezone.is_naive(found) else _no_time()
    except (ValueError, OverflowError):
        return _no_time()


def _no_time() -> datetime:
    raise BadField("until", "must be a date and a time")
