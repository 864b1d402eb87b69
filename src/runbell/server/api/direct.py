"""Programs go straight to their view: what is done around pages is a seventh of what a report costs."""

from collections.abc import Awaitable, Callable

from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import resolve
from django.utils import translation

API = "/api/"


class DirectMiddleware:
    """Past what follows in MIDDLEWARE, which is for people: sessions, their language and zone, forged forms, frames.

    It stays with MIDDLEWARE's promises: a wrong Host is refused, and every exception becomes an answer.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._view = convert_exception_to_response(_view)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        return self._view(request) if request.path_info.startswith(API) else self.get_response(request)


def _view(request: HttpRequest) -> HttpResponseBase:
    request.get_host()
    request.resolver_match = found = resolve(request.path_info)
    with translation.override(settings.LANGUAGE_CODE):  # not that of the page which the thread made before
        response: HttpResponseBase = found.func(request, *found.args, **found.kwargs)
    return response
