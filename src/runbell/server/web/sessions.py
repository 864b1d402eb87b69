"""Sign-in and sessions: the password, the second step, and where one is signed in."""

from collections.abc import Callable
from datetime import timedelta

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST

from runbell.server.services import sign_ins
from runbell.server.web.edge import Page, landing, member_page

SEEN = "seen_at"
SEEN_GRAIN = timedelta(minutes=5)  # a write with every page would cost more than the page


class SeenMiddleware:
    """Notes when, and from where, a session was last used."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        now = timezone.now().timestamp()
        if request.user.is_authenticated and now - request.session.get(SEEN, 0) >= SEEN_GRAIN.total_seconds():
            sign_ins.note_session(request)
            request.session[SEEN] = now
        return response


@login_required
def own(request: HttpRequest) -> HttpResponse:
    """Where allauth's pages lead back to: they know no account."""
    account_id = landing(request)
    return redirect("sign_in", account_id=account_id) if account_id else redirect("root")


@member_page
def show(page: Page) -> HttpResponse:
    user = page.actor.member.user
    return page.render(
        "runbell/sign_in.html",
        section="profile",
        side="sign_in",
        sessions=sign_ins.sessions_of(user, page.request.session.session_key),
        second_step=sign_ins.second_step_of(user),
        has_password=user.has_usable_password(),
    )


@require_POST
@member_page
def end(page: Page, session_id: int) -> HttpResponse:
    if sign_ins.end_session(page.actor.member.user, session_id, page.request.session.session_key):
        page.toast(gettext("The session was ended"))
    return redirect("sign_in", account_id=page.frame.account_id)


@require_POST
@member_page
def end_others(page: Page) -> HttpResponse:
    ended = sign_ins.end_other_sessions(page.actor.member.user, page.request.session.session_key)
    page.toast(ngettext("%(n)d other session was ended", "%(n)d other sessions were ended", ended) % {"n": ended})
    return redirect("sign_in", account_id=page.frame.account_id)
