"""The first page: environments and their jobs, and what is true of them now; and where `/` leads."""

from dataclasses import dataclass
from itertools import groupby

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, ngettext

from runbell.server.services.job_pages import JobLine, home_page
from runbell.server.services.pages import not_ready_because
from runbell.server.web.edge import Page, landing, member_page


@dataclass(frozen=True, slots=True)
class Group:
    """An environment and its jobs."""

    project: str
    environment: str
    jobs: tuple[JobLine, ...]


@login_required
def root(request: HttpRequest) -> HttpResponse:
    account_id = landing(request)
    if account_id is None:
        return render(request, "runbell/no_account.html", status=403)
    return redirect("home", account_id=account_id)


@member_page
def home(page: Page) -> HttpResponse:
    jobs = home_page(page.actor)
    if not jobs:
        return page.render("runbell/first_run.html", section="jobs", server=page.request.build_absolute_uri("/").rstrip("/"))
    failing = [job for job in jobs if job.outcome == "failed"]
    running = [job for job in jobs if job.is_running]
    groups = [Group(*place, tuple(found)) for place, found in groupby(jobs, lambda job: (job.project, job.environment))]
    return page.render(
        "runbell/home.html",
        section="jobs",
        title=headline(len(failing), len(running), len(jobs)),
        lead=lead(jobs),
        failing=failing,
        running=running,
        groups=groups,
    )


def headline(failing: int, running: int, jobs: int) -> str:
    """The sentence of the page: trouble first."""
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


def lead(jobs: list[JobLine]) -> list[str]:
    """Short sentences: how many ended well, warned, and for how many nobody hears about a failure."""
    well = sum(job.outcome == "succeeded" for job in jobs)
    warned = sum(job.outcome == "warned" for job in jobs)
    deaf = sum(not job.hears_failure for job in jobs)
    ended = ngettext(
        "%(well)d of %(n)d job succeeded the last time it ended.", "%(well)d of %(n)d jobs succeeded the last time they ended.", len(jobs)
    )
    said = [ended % {"well": well, "n": len(jobs)}]
    if warned:
        said.append(ngettext("%(n)d warned.", "%(n)d warned.", warned) % {"n": warned})
    if deaf:
        said.append(
            ngettext("For %(n)d job nobody hears about a failure.", "For %(n)d jobs nobody hears about a failure.", deaf) % {"n": deaf}
        )
    return said


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """Requests can be served."""
    problem = not_ready_because()
    return HttpResponse(f"{problem or 'ready'}\n", content_type="text/plain", status=503 if problem else 200)
