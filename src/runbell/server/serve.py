"""`runbell serve`: web server and worker as two child processes; when one ends, both end, and nothing outlives this process.

A killed granian master leaves a worker that keeps the port, so every child, and granian's own in wsgi.py, asks the kernel to be
told of its parent's death: prctl(2), PR_SET_PDEATHSIG.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from runbell.server import logs

PR_SET_PDEATHSIG = 1
HEAD_TIMEOUT, MAX_HEAD = 10_000, 64 * 1024  # milliseconds and bytes that the head of a request may take
GRACE = 15.0  # seconds to finish what is in flight


def serve() -> int:
    """Blocks until a signal or the end of a child. The exit code is 0 after SIGTERM and SIGINT, else 1."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True, mode=0o700)  # WhiteNoise warns of a missing one
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    children = [_start("web"), _start("worker")]
    print(f"Runbell is at {settings.RUNBELL_PUBLIC_URL}", flush=True)
    while not stop.wait(0.2):
        if any(child.poll() is not None for child in children):
            break
    return _end(children, is_asked=stop.is_set())


def _start(part: str) -> subprocess.Popen[bytes]:
    code = f"from runbell.server.serve import {part}; {part}({os.getpid()})"
    # A session of its own: Ctrl-C reaches this process alone, which then ends its children in order.
    return subprocess.Popen([sys.executable, "-c", code], start_new_session=True)


def _end(children: list[subprocess.Popen[bytes]], *, is_asked: bool) -> int:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    return 0 if is_asked else 1


def die_with(parent: int) -> None:
    """Asks the kernel for SIGTERM at the parent's death, and ends at once when it has died already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)


def web(parent: int) -> None:
    die_with(parent)
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings

    host, _, port = settings.RUNBELL_BIND.rpartition(":")
    Granian(
        "runbell.server.wsgi:gateway",
        address=host.strip("[]"),
        port=int(port),
        interface=Interfaces.RSGI,
        workers=1,
        log_access=False,
        websockets=False,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_TIMEOUT, max_buffer_size=MAX_HEAD),
    ).serve()


def worker(parent: int) -> None:
    die_with(parent)
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runbell.server.settings")
    django.setup()
    logs.set_up(settings.RUNBELL_LOG_LEVEL)
    from runbell.server.worker.loop import run_worker

    # After kill -9 of `serve` its worker first finishes what it sends, and only then gives the lock up.
    sys.exit(run_worker(patience=timedelta(seconds=GRACE)))
