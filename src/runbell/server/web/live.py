"""Pages that follow what happens: the browser asks again with the stamp of what it shows, and mostly hears 304 (live.js)."""

from collections.abc import Callable
from hashlib import sha256

from django.conf import settings
from django.http import HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.translation import get_language

from runbell.server.web.edge import Page

BUSY, CALM = 5, 15  # seconds between two looks, with and without something running


def live(page: Page, stamp: str, draw: Callable[[str], HttpResponse]) -> HttpResponse:
    """304 when the browser has this already, without drawing. `draw` gets the ETag, to put it into the page.

    The stamp is taken before the page is drawn: what changes in between is drawn once more, never missed.
    """
    user = page.request.user
    reader = (user.pk, get_language(), getattr(user, "zone", ""), page.frame.may, settings.RUNBELL_VERSION)
    facts = repr((stamp, page.request.get_full_path(), reader))
    etag = f'"{sha256(facts.encode()).hexdigest()[:24]}"'
    response = get_conditional_response(page.request, etag=etag)
    if not isinstance(response, HttpResponse):
        response = draw(etag)
        response["ETag"] = etag
    return response


def is_part(page: Page) -> bool:
    """Whether only what changes is asked for."""
    return bool(page.request.headers.get("HX-Request"))
