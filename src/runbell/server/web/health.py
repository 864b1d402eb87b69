"""For monitors and orchestrators: words, and how much waits on the whole server, since anybody may ask. No account, address or job is told."""

from datetime import datetime
from hmac import compare_digest
from ipaddress import ip_address
from time import monotonic
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from runbell.server.services.metrics import as_text, metrics
from runbell.server.services.readiness import Outage, Queue, has_worker, not_ready_because, outage, queue

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
    """503: requests cannot be served, or nobody sends. Trouble with a way out is told with 200: reports are still taken and kept.
    On a second line, how many messages wait, and for how long the oldest."""
    problem = not_ready_because() or ("no worker runs" if WATCH.is_worker_missing() else "")
    if problem:
        return _plain(problem, 503)
    now = timezone.now()
    seen = queue(now=now)
    return _plain(f"{_state(outage(seen, now=now))}\n{_depth(seen, now)}", 200)


def _state(trouble: Outage | None) -> str:
    if trouble is None:
        return "ready"
    return "ready; trouble with a transport, messages wait" if trouble.because else "ready; messages are late"


def _depth(seen: Queue, now: datetime) -> str:
    if not seen.oldest_at:
        return "queue: 0"
    return f"queue: {seen.count}, oldest {max((now - seen.oldest_at).total_seconds(), 0):.0f} s"


def prometheus(request: HttpRequest) -> HttpResponse:
    """With the token, or without one from this machine alone. A proxy on it speaks for strangers, and says so in a header."""
    if not _may_measure(request):
        raise Http404
    return HttpResponse(as_text(metrics(now=timezone.now())), content_type="text/plain; version=0.0.4; charset=utf-8")


def _may_measure(request: HttpRequest) -> bool:
    token = settings.RUNBELL_METRICS_TOKEN
    if token:
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return compare_digest(sent.encode("utf-8", "replace"), token.encode())
    is_forwarded = any(name in request.headers for name in ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via"))
    return (
        not is_forwarded
        and _is_loopback(request.META.get("REMOTE_ADDR", ""))
        and _is_loopback(urlsplit(f"//{request.get_host()}").hostname or "")
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _plain(text: str, status: int) -> HttpResponse:
    return HttpResponse(f"{text}\n", content_type="text/plain", status=status)
