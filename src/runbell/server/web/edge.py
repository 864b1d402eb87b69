"""What every page shares: the reader's language and zone, and the frame around the page."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation


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
    """Template context of the frame: the theme of `<html>`."""
    user = getattr(request, "user", None)
    return {"theme": getattr(user, "theme", "system")}
