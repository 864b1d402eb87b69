"""For monitors and orchestrators: words alone, since anybody may ask."""

from time import monotonic

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from runbell.server.services.readiness import has_worker, not_ready_because, outage

GRACE = 60.0  # seconds without a worker: `serve` starts it beside us, and a deployment replaces it


class Watch:
    """When a worker was last seen by this process, which counts from its own start."""

    def __init__(self) -> None:
        self.seen_at = monotonic()

    def is_worker_missing(self) -> bool:
        if has_worker():
            self.seen_at = monotonic()
        return monotonic() - self.seen_at > GRACE


WATCH = Watch()


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """503: requests cannot be served, or nobody sends. Trouble with a way out is told with 200: reports are still taken and kept."""
    problem = not_ready_because() or ("no worker runs" if WATCH.is_worker_missing() else "")
    if problem:
        return _plain(problem, 503)
    trouble = outage(now=timezone.now())
    if trouble is None:
        return _plain("ready", 200)
    return _plain("ready; trouble with a transport, messages wait" if trouble.because else "ready; messages are late", 200)


def _plain(text: str, status: int) -> HttpResponse:
    return HttpResponse(f"{text}\n", content_type="text/plain", status=status)
