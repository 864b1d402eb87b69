"""The page of one job."""

from django.http import HttpResponse

from runbell.core.runs import Outcome
from runbell.server.services.job_pages import job_page
from runbell.server.web.edge import Page, member_page


@member_page
def job(page: Page, job_id: int) -> HttpResponse:
    shown = job_page(page.actor, job_id, before=page.number("before"))
    outcomes = [outcome.value for outcome in Outcome]
    return page.render("runbell/job.html", section="jobs", page=shown, job=shown.job, usual=shown.job.usual[0], outcomes=outcomes)
