"""The page of one run."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import get_language

from runbell.server.services.run_pages import run_page
from runbell.server.web.edge import Page, member_page


@member_page
def run(page: Page, run_id: int) -> HttpResponse:
    shown = run_page(page.actor, run_id, language=get_language() or "en")
    if shown.id != run_id:
        return redirect("run", account_id=page.frame.account_id, run_id=shown.id)
    return page.render("runbell/run.html", section="jobs", page=shown)
