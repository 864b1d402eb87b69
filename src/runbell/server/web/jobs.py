"""The page of one job."""

from datetime import datetime

from django.http import HttpResponse
from django.utils import timezone

from runbell.core.runs import Outcome
from runbell.server.services.job_pages import job_page
from runbell.server.services.live import job_stamp
from runbell.server.web.edge import Page, member_page
from runbell.server.web.live import BUSY, is_part, live


@member_page
def job(page: Page, job_id: int) -> HttpResponse:
    now = timezone.now()
    return live(page, job_stamp(page.actor, job_id, now=now), lambda etag: _job(page, job_id, etag, now))


def _job(page: Page, job_id: int, etag: str, now: datetime) -> HttpResponse:
    shown = job_page(page.actor, job_id, now=now, before=page.number("before"))
    return page.render(
        "runbell/job_live.html" if is_part(page) else "runbell/job.html",
        section="jobs",
        page=shown,
        job=shown.job,
        usual=shown.job.usual[0],
        outcomes=[outcome.value for outcome in Outcome],
        etag=etag,
        every=BUSY if shown.job.is_running else 0,
    )
