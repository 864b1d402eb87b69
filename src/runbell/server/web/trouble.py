"""Pages for when the server itself is at fault. They ask nothing of the database."""

import sys

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.defaults import server_error

from runbell.server.services.readiness import PATIENCE, is_out_of_order


def broken(request: HttpRequest) -> HttpResponse:
    """Django calls this while it handles the error, wherever that came up: in a view or in a middleware."""
    if not is_out_of_order(sys.exc_info()[1]):
        return server_error(request)
    # Not `render`: what a page is given with a request begins with its user.
    page = render_to_string("503.html", {"theme": "system"})
    return HttpResponse(page, status=503, headers={"Retry-After": str(PATIENCE), "Cache-Control": "no-store"})


def too_many(request: HttpRequest) -> HttpResponse:
    response = render(request, "429.html", status=429)
    response["Retry-After"] = "60"  # the shortest of allauth's windows; it does not say which one is full
    return response
