"""What no route leads to: programs get it in the shape of their API, people as a page."""

from django.http import HttpRequest, HttpResponse
from django.views.defaults import page_not_found

from runbell.server.api import edge, envelope


def not_there(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler404`. Pages and APIs that know the path answer by themselves."""
    if request.path.startswith(("/api/v2/", "/api/v3/")):
        return envelope.problem(404, envelope.NOT_FOUND)
    if request.path.startswith("/api/"):
        return edge.problem(404, edge.NOT_THERE)
    return page_not_found(request, exception)
