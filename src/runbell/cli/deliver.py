"""What becomes of one report: sent, kept for later, or set aside. Says so in one line, unless it was simply sent."""

import json
import time
from collections.abc import Callable
from enum import StrEnum

from runbell.cli.say import say
from runbell.cli.send import LIMIT, Accepted, Answer, Refused, Unsent, send_report
from runbell.cli.settings import Settings
from runbell.cli.spool import Spool
from runbell.cli.waits import pause_for, within

LONGEST_PAUSE = 15.0  # seconds between tries with --wait


class Fate(StrEnum):
    SENT = "sent"
    KEPT = "kept"
    REFUSED = "refused"
    LOST = "lost"


def never() -> bool:
    return False


def deliver(body: bytes, *, settings: Settings, verbose: bool = False, is_stopped: Callable[[], bool] = never) -> Fate:
    """At most `LIMIT` seconds, and `settings.wait` more. `is_stopped` cuts the waiting short; the report is kept then."""
    spool = Spool(settings.spool_dir)
    began = time.monotonic()
    try:
        answer = _send_patiently(body, settings, is_stopped)
    except KeyboardInterrupt:
        answer = Unsent("interrupted")
    if isinstance(answer, Accepted):
        if verbose:
            say(_told(answer))
        left = LIMIT - (time.monotonic() - began)
        if left > 0 and spool.waiting():
            within(left, lambda: drain(spool, settings, deadline=began + LIMIT), is_stopped)
        return Fate.SENT
    return _set_aside(spool, body, answer.why) if isinstance(answer, Refused) else _keep(spool, body, answer.why)


def drain(spool: Spool, settings: Settings, *, deadline: float) -> Answer | None:
    """Sends what waits, oldest first, until one cannot be sent. Returns the answer that ended it; None when another process is at it."""
    answer: Answer | None = Accepted({})
    with spool.sending() as is_ours:
        if not is_ours:
            return None
        for path in spool.waiting():
            left = deadline - time.monotonic()
            if left <= 0:
                return Unsent("no time left")
            try:
                body = path.read_bytes()
            except OSError as error:
                say(f"cannot read {path}: {error.strerror}")
                continue
            answer = send_report(settings, body, timeout=min(LIMIT, left))
            if isinstance(answer, Unsent):
                return answer
            if isinstance(answer, Refused) and _set_aside(spool, body, answer.why) is Fate.LOST:
                continue
            path.unlink(missing_ok=True)
    return answer


def _send_patiently(body: bytes, settings: Settings, is_stopped: Callable[[], bool]) -> Answer:
    deadline, pause = time.monotonic() + settings.wait, 1.0
    while True:
        answer = within(LIMIT, lambda: send_report(settings, body), is_stopped) or _no_answer(settings, is_stopped)
        is_final = not isinstance(answer, Unsent) or not answer.is_patient or is_stopped()
        if is_final or time.monotonic() + pause > deadline:
            return answer
        pause_for(pause, is_stopped)
        pause = min(pause * 2, LONGEST_PAUSE)


def _no_answer(settings: Settings, is_stopped: Callable[[], bool]) -> Unsent:
    return Unsent("stopped while sending" if is_stopped() else f"cannot reach {settings.url} (no answer within {LIMIT:.0f} s)")


def _keep(spool: Spool, body: bytes, why: str) -> Fate:
    try:
        dropped = spool.keep(body)
    except OSError as error:
        say(f"{why}; the report cannot be kept in {spool.directory} either ({error.strerror}): this run is not reported")
        return Fate.LOST
    count = len(spool.waiting())
    say(f"{why}; the report of {_job(body)} is kept and goes out with the next one, or by `runbell flush` ({count} in {spool.directory})")
    for what in dropped:
        say(f"the spool is full: the oldest report was dropped, {what}")
    return Fate.KEPT


def _set_aside(spool: Spool, body: bytes, why: str) -> Fate:
    try:
        where = f"set aside as {spool.reject(body)}"
    except OSError as error:
        where = f"and it cannot be set aside in {spool.directory} ({error.strerror})"
        say(f"the server refuses the report of {_job(body)}: {why}; {where}")
        return Fate.LOST
    say(f"the server refuses the report of {_job(body)}: {why}; {where}")
    return Fate.REFUSED


def _job(body: bytes) -> str:
    try:
        return str(json.loads(body)["job"]["name"])
    except (ValueError, LookupError, TypeError):
        return "an unreadable report"


def _told(answer: Accepted) -> str:
    run = answer.run
    ignored = ", ".join(map(str, run.get("ignored") or ()))
    return f"reported as {run.get('outcome')}: {run.get('url')}" + (f" (was known; ignored {ignored})" if ignored else "")
