"""Preview of a mail for an address, a job and an outcome; and sending it as a test."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_GET, require_POST

from runbell.core.deliveries import PENDING
from runbell.core.runs import Outcome
from runbell.server.services.delivery_pages import DeliveryLine, get_delivery
from runbell.server.services.limits import TooMany
from runbell.server.services.previews import Preview, get_preview, send_test
from runbell.server.web.edge import Page, member_page
from runbell.server.web.mailbox import LETTER_CSP
from runbell.server.web.slack_drawn import drawn


@dataclass(frozen=True, slots=True)
class Asked:
    """The query string: whom (as the Email notifications page names addresses), environment, job and outcome. All of it is optional."""

    to: str = ""
    env: int | None = None
    job: int | None = None
    outcome: str = ""

    @classmethod
    def read(cls, sent: QueryDict) -> "Asked":
        outcome = sent.get("outcome", "")
        return cls(sent.get("to", "")[:80], _number(sent, "env"), _number(sent, "job"), outcome if outcome in set(Outcome) else "")

    @property
    def chosen(self) -> Outcome:
        return Outcome(self.outcome) if self.outcome else Outcome.FAILED

    @property
    def query(self) -> str:
        parts = {"to": self.to, "env": self.env, "job": self.job, "outcome": self.outcome}
        return "?" + urlencode({name: value for name, value in parts.items() if value})


def _number(sent: QueryDict, name: str) -> int | None:
    value = sent.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else None


@require_GET
@member_page
def preview(page: Page) -> HttpResponse:
    return _show(page, Asked.read(page.request.GET))


def _show(page: Page, asked: Asked, *, problem: str = "") -> HttpResponse:
    found = _preview(page, asked)
    asked = replace(asked, job=found.job.pk if found.job else None, outcome=found.outcome.value)
    test = page.number("test")
    return page.render(
        "runbell/preview.html",
        section="notifications",
        side="slack_notifications" if found.look.post else "email_notifications",
        found=found,
        parts=drawn(found.look.post) if found.look.post else (),
        asked=asked,
        back=_back(found, Asked(to=asked.to, env=found.job.environment_id if found.job else asked.env)),
        outcomes=[(outcome.value, replace(asked, outcome=outcome.value).query) for outcome in Outcome],
        problem=problem,
        status=429 if problem else 200,
        **(_line(get_delivery(page.actor, test)) if test else {}),
    )


def _back(found: Preview, asked: Asked) -> str:
    return asked.query.replace("to=", "channel=", 1) if found.look.post else asked.query


def _preview(page: Page, asked: Asked) -> Preview:
    return get_preview(page.actor, asked.to, job_id=asked.job, environment_id=asked.env, outcome=asked.chosen, now=timezone.now())


@xframe_options_sameorigin
@require_GET
@member_page
def preview_letter(page: Page) -> HttpResponse:
    response = HttpResponse(_preview(page, Asked.read(page.request.GET)).look.html)
    response["Content-Security-Policy"] = LETTER_CSP
    return response


@require_POST
@member_page
def test(page: Page) -> HttpResponse:
    """With an outcome, sends what its preview shows; without, a bare test."""
    asked = Asked.read(page.request.POST)
    outcome = Outcome(asked.outcome) if asked.outcome else None
    try:
        delivery = send_test(page.actor, asked.to, job_id=asked.job, outcome=outcome, now=timezone.now())
    except TooMany:
        return _show(page, asked, problem=gettext("That was a lot of tests for one minute. Nothing was sent now; wait a minute."))
    return redirect(f"{reverse('preview', args=[page.frame.account_id])}{asked.query}&test={delivery}")


@require_GET
@member_page
def test_result(page: Page, delivery_id: int) -> HttpResponse:
    """A piece of the page, which asks for itself until it knows the end."""
    return page.render("runbell/test_result.html", **_line(get_delivery(page.actor, delivery_id)))


def _line(line: DeliveryLine) -> dict[str, Any]:
    return {"line": line, "is_pending": line.state in set(PENDING)}
