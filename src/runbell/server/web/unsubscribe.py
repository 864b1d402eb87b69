"""Unsubscribing by the link in a mail, without signing in."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from allauth.account.adapter import get_adapter
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from runbell.server.services import unsubscribe as service
from runbell.server.services.access import NotThere
from runbell.server.services.failures import BAD_LINKS
from runbell.server.services.limits import TooMany
from runbell.server.services.subscriptions import Scope

P = ParamSpec("P")


def link_page(view: Callable[Concatenate[HttpRequest, P], HttpResponse]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """The token is the right: no sign-in, and no cookie that a forged request could ride on."""

    @csrf_exempt
    @wraps(view)
    def door(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except NotThere:
            return _no_link(request)
        except TooMany as many:
            return _wait(request, many)
        add_never_cache_headers(response)
        return response

    return door


def _no_link(request: HttpRequest) -> HttpResponse:
    try:
        BAD_LINKS.count(get_adapter().get_client_ip(request), now=timezone.now())
    except TooMany as many:
        return _wait(request, many)
    return render(request, "runbell/unsubscribe_void.html", status=404)


def _wait(request: HttpRequest, many: TooMany) -> HttpResponse:
    response = render(request, "runbell/unsubscribe_wait.html", status=429)
    response["Retry-After"] = str(many.retry_after)
    return response


@link_page
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, public_id: str, job_id: int, token: str) -> HttpResponse:
    """GET only asks, since mail scanners follow links. POST acts at once: the page's form says what to stop.

    A mail client's ``List-Unsubscribe=One-Click`` says nothing, and means everything (RFC 8058).
    """
    if request.method != "POST":
        found = service.subscription(public_id, token, job_id, now=timezone.now())
        template = "runbell/unsubscribe.html" if found.rules else "runbell/unsubscribe_done.html"
        return render(request, template, {"found": found})
    scope = request.POST.get("scope", Scope.EVERYTHING)
    try:
        found = service.unsubscribe(public_id, token, job_id, scope, now=timezone.now())
    except ValueError:
        found = service.subscription(public_id, token, job_id, now=timezone.now())
        return render(request, "runbell/unsubscribe.html", {"found": found, "is_wrong": True}, status=400)
    return render(request, "runbell/unsubscribe_done.html", {"found": found, "stopped": scope})


@link_page
@require_POST
def undo_by_link(request: HttpRequest, public_id: str, job_id: int, token: str) -> HttpResponse:
    service.undo(public_id, token, now=timezone.now())
    page = reverse("unsubscribe", kwargs={"public_id": public_id, "job_id": job_id, "token": token})
    return redirect(f"{page}?undone=1")
