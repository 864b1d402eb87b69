"""What the link of an invitation opens: for a new person, for somebody who can sign in already, and when it works no more."""

from collections.abc import Callable
from functools import wraps

from allauth.account.utils import perform_login
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from runbell.core.fields import BadField
from runbell.core.permissions import Role
from runbell.server.services.accepting import Invited, SomebodyElse, accept_as, accept_as_new, invited
from runbell.server.services.access import NotThere
from runbell.server.services.invitations import Closed, Status
from runbell.server.web.roles import ROLES

LinkView = Callable[[HttpRequest, int, str], HttpResponse]


def _link(view: LinkView) -> LinkView:
    """The link is a secret: no cache keeps it, and no other site hears of it."""

    @wraps(view)
    def door(request: HttpRequest, invitation_id: int, token: str) -> HttpResponse:
        try:
            response = view(request, invitation_id, token)
        except NotThere:
            response = render(request, "runbell/join_closed.html", {"status": "unknown"}, status=404)
        add_never_cache_headers(response)
        return response

    return door


@_link
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, invitation_id: int, token: str) -> HttpResponse:
    """GET changes nothing, since mail scanners follow links."""
    language = _language(request, invited(invitation_id, token, now=timezone.now()))
    with translation.override(language):
        request.LANGUAGE_CODE = language
        response = _opened(request, invitation_id, token)
        response.headers["Content-Language"] = language
    return response


def _language(request: HttpRequest, found: Invited) -> str:
    """The page speaks as the mail did, until its reader chooses otherwise at its foot; somebody new keeps that."""
    chosen = request.user.language if request.user.is_authenticated else request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
    return chosen if chosen in dict(settings.LANGUAGES) else found.language


def _opened(request: HttpRequest, invitation_id: int, token: str) -> HttpResponse:
    if request.method != "POST":
        return _page(request, invited(invitation_id, token, now=timezone.now()))
    try:
        return _accept(request, invitation_id, token)
    except (Closed, SomebodyElse):
        return _page(request, invited(invitation_id, token, now=timezone.now()))
    except BadField as bad:
        return _page(request, invited(invitation_id, token, now=timezone.now()), bad)


def _accept(request: HttpRequest, invitation_id: int, token: str) -> HttpResponse:
    now = timezone.now()
    if request.user.is_authenticated:
        member = accept_as(request.user, invitation_id, token, now=now)
        messages.success(request, gettext("You are now a member of %(account)s") % {"account": member.account.name})
        return redirect("home", account_id=member.account_id)
    name, password = request.POST.get("name", ""), request.POST.get("password", "")
    member = accept_as_new(invitation_id, token, name=name, password=password, language=translation.get_language(), now=now)
    signed_in: HttpResponse = perform_login(request, member.user, redirect_url=reverse("home", args=[member.account_id]))
    return signed_in


def _page(request: HttpRequest, found: Invited, bad: BadField | None = None) -> HttpResponse:
    """What to do next depends on who looks."""
    context = {"found": found, "status": found.status, "role": ROLES[Role(found.role)]}
    if found.status is not Status.OPEN:
        return render(request, "runbell/join_closed.html", context, status=410)
    if request.user.is_authenticated:
        is_theirs = request.user.email == found.email
        template = "runbell/join_accept.html" if is_theirs else "runbell/join_somebody_else.html"
        return render(request, template, context | {"bad": bad}, status=409 if bad else 200)
    if found.has_user:
        return render(request, "runbell/join_sign_in.html", context)
    errors = {bad.field: _said(bad)} if bad else {}
    kept = request.POST.get("name", "")
    return render(request, "runbell/join_new.html", context | {"errors": errors, "name": kept}, status=400 if bad else 200)


def _said(bad: BadField) -> str:
    """Django words what is wrong with a password, in the reader's language."""
    return bad.message if bad.field == "password" else gettext("Give a name of 1 to 200 characters, on one line.")
