"""Waiting that ends: at a deadline, or when a stop signal is pending."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
STEP = 0.05  # seconds between looks at `is_stopped`


def within(seconds: float, work: Callable[[], Result], is_stopped: Callable[[], bool]) -> Result | None:
    """The result of `work`, or None when it takes longer or a stop is asked for; then it is left behind in its thread.

    A thread, because a host name that cannot be resolved blocks for as long as the resolver likes, whatever the socket's timeout.
    """
    results: list[Result] = []
    errors: list[Exception] = []

    def do() -> None:
        try:
            results.append(work())
        except Exception as error:  # raised again below, in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    _wait(lambda: not thread.is_alive(), thread.join, seconds, is_stopped)
    if errors:
        raise errors[0]
    return results[0] if results else None


def pause_for(seconds: float, is_stopped: Callable[[], bool]) -> None:
    _wait(lambda: False, time.sleep, seconds, is_stopped)


def _wait(is_done: Callable[[], bool], wait: Callable[[float], None], seconds: float, is_stopped: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not is_done() and not is_stopped() and (left := deadline - time.monotonic()) > 0:
        wait(min(STEP, left))
