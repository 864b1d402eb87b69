"""How much a request may bring: said by its head, before any of the body is read."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse


class SizeMiddleware:
    """For pages. The APIs, and others that take less, look by themselves and answer in their own shape.

    Django alone reads a multipart body of any size, and keeps it on disk. A body without a length it does not read at all.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        length = request.META.get("CONTENT_LENGTH") or "0"
        if request.path.startswith("/api/") or (length.isdigit() and int(length) <= most):
            return self.get_response(request)
        return HttpResponse(f"At most {most} bytes.\n", status=413, content_type="text/plain")
