"""What every page shares: the reader's language and zone, the door, and the frame around the page."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import REASON_NO_CSRF_COOKIE
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.cache import patch_cache_control
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.gzip import gzip_page

from runbell.server.services import kept_forms
from runbell.server.services.access import Actor, NotAllowed, NotThere
from runbell.server.services.pages import Frame, account_ids, actor_and_frame, seen

P = ParamSpec("P")
LAST_ACCOUNT = "last_account"  # only where `/` leads: pages name their account in their URL


class ReaderMiddleware:
    """Pages speak the signed-in person's language and tell times in their zone; a stranger's come from the browser."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return self.get_response(request)
        request.LANGUAGE_CODE = request.user.language
        with translation.override(request.user.language), timezone.override(ZoneInfo(request.user.zone)):
            return self.get_response(request)


def frame(request: HttpRequest) -> dict[str, Any]:
    """Template context of every page: the theme of `<html>`, who helps, and how people sign in."""
    user = getattr(request, "user", None)
    return {
        "theme": getattr(user, "theme", "system"),
        "support": support(),
        "sso_name": (settings.RUNBELL_OIDC_NAME or gettext("single sign-on")) if settings.RUNBELL_OIDC else "",
        "by_password": settings.RUNBELL_PASSWORD_SIGN_IN,
    }


def support() -> dict[str, Any]:
    """RUNBELL_SUPPORT_CONTACT as a link, when it is an address or a URL."""
    text = settings.RUNBELL_SUPPORT_CONTACT
    is_web = text.startswith(("https://", "http://"))
    href = text if is_web else f"mailto:{text}" if "@" in text and " " not in text else ""
    return {"text": text, "href": href, "is_web": is_web} if text else {}


def landing(request: HttpRequest) -> int | None:
    """The account last looked at, else the one first joined; None for a person in no account."""
    assert request.user.is_authenticated
    mine = account_ids(request.user)
    last = request.session.get(LAST_ACCOUNT)
    return last if last in mine else next(iter(mine), None)


@dataclass(frozen=True, slots=True)
class Page:
    """A request of a member, past the door."""

    request: HttpRequest
    actor: Actor
    frame: Frame

    def render(self, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
        return render(self.request, template, {"frame": self.frame, **context}, status=status)

    def toast(self, text: str, undo_url: str = "") -> None:
        """One sentence on the next page, with its way back."""
        messages.success(self.request, text, extra_tags=undo_url)

    def number(self, name: str) -> int | None:
        """A number of the query string; anything else counts as not given."""
        value = self.request.GET.get(name, "")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else None


def page_before(request: HttpRequest) -> str:
    """Path of the page of ours that this request came from, or nothing."""
    before = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(before, {request.get_host()}, require_https=request.is_secure()):
        return ""
    parts = urlsplit(before)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _where_one_was(request: HttpRequest) -> str:
    """Where to go on after signing in: a form that was sent too late leads back to its page."""
    return request.get_full_path() if request.method in ("GET", "HEAD") else page_before(request) or request.get_full_path()


def _kept(request: HttpRequest) -> str:
    """Where a form comes back that was sent too late, if it is one that is kept."""
    place = request.get_full_path()
    is_kept = kept_forms.FIELD in request.POST and kept_forms.keep(request.session, place, request.POST, now=timezone.now())
    return place if is_kept else ""


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without the token of this browser. One that is kept comes back: its pledge is as hard to guess, and nothing is saved by it."""
    if place := _kept(request):
        return redirect(place)
    return render(request, "403_csrf.html", {"no_cookie": reason == REASON_NO_CSRF_COOKIE}, status=403)


def member_page(view: Callable[Concatenate[Page, P], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Strangers to the account get 404, members without the right a 403 page in the same frame; nothing of it is cached.

    Pages are compressed here and not for all: a weak ETag is none to the API's If-Match. The one secret beside what a reader
    types, the CSRF token, is masked anew in each response, so its length tells nothing (breachattack.com).
    """

    @gzip_page
    @wraps(view)
    def door(request: HttpRequest, account_id: int, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(_kept(request) or _where_one_was(request))
        found: Frame | None = None
        try:
            actor, found = actor_and_frame(request.user, account_id)
            seen(actor, now=timezone.now())
            response = view(Page(request, actor, found), *args, **kwargs)
        except NotThere:
            return render(request, "404.html", {"frame": found}, status=404)
        except NotAllowed:
            return render(request, "403.html", {"frame": found}, status=403)
        if request.session.get(LAST_ACCOUNT) != account_id:
            request.session[LAST_ACCOUNT] = account_id
        patch_cache_control(response, private=True, no_store=True)
        return response

    return door
