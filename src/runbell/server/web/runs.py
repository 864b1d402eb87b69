"""The page of one run, and the artifacts that were left with it."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import get_language

from runbell.server.services import artifacts
from runbell.server.services.live import run_stamp
from runbell.server.services.run_pages import RunPage, run_page
from runbell.server.web.edge import Page, member_page
from runbell.server.web.live import BUSY, CALM, is_part, live


@member_page
def run(page: Page, run_id: int) -> HttpResponse:
    return live(page, run_stamp(page.actor, run_id, now=timezone.now()), lambda etag: _run(page, run_id, etag))


def _run(page: Page, run_id: int, etag: str) -> HttpResponse:
    shown = run_page(page.actor, run_id, language=get_language() or "en")
    if shown.id != run_id:
        return redirect("run", account_id=page.frame.account_id, run_id=shown.id)
    template = "runbell/run_live.html" if is_part(page) else "runbell/run.html"
    return page.render(template, section="jobs", page=shown, etag=etag, every=_every(shown))


@member_page
def artifact(page: Page, run_id: int, step: int, name: str) -> HttpResponse:
    """Saved and not shown: dbt's files may hold anything, and nothing of it shall run here. Browsers unpack it."""
    kept = artifacts.artifact_of(page.actor, run_id, name, step)
    headers = {"Content-Encoding": "gzip", "Content-Disposition": f'attachment; filename="{kept.name}"'}
    return HttpResponse(kept.packed, content_type="application/octet-stream", headers=headers)


def _every(shown: RunPage) -> int:
    """Until it has ended and its messages are on their way no longer."""
    if shown.run.is_running:
        return BUSY
    return CALM if any(line.is_pending for line in shown.told) else 0
