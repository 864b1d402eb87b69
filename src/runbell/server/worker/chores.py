"""What the worker does beside sending: Slack checked, tokens renewed, Slack channels listed, the dbt platform read, what is old deleted.

Each chore says when it is due again. Between workers a chore is claimed in the database by who does it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event, Thread
from traceback import format_exc

import structlog
from django.db import connection

from runbell.server.services import dbt_details, dbt_polls, slack_channels, slack_checks
from runbell.server.services.retention import Pruner

Chore = Callable[[datetime], datetime | None]
CHORES: tuple[Chore, ...] = (slack_checks.run_due, slack_channels.run_due, Pruner().run_due)
DBT_CHORES: tuple[Chore, ...] = (dbt_details.run_due, dbt_polls.run_due, dbt_details.run_due)
"""In a thread of their own: a dbt platform that hangs holds up no token of Slack. What a poll finds is read in the same turn."""
LONGEST_WAIT = timedelta(minutes=1)
BREATH = timedelta(seconds=1)  # every delivery rings; a chore need not look more often than this
MANNERS = 0.1  # seconds: what rang goes out first, and does not share the interpreter with chores
PATIENCE = 2.0  # seconds for a call to Slack to end; what is cut off is claimed anew when its claim runs out

log = structlog.get_logger()


class Chores:
    """`ring` and `stop` may be called from any thread."""

    def __init__(self, *, clock: Callable[[], datetime], chores: tuple[Chore, ...] = CHORES) -> None:
        self._clock, self._chores = clock, chores
        self._is_rung, self._is_stopped = Event(), Event()
        self._thread = Thread(target=self._run, name="chores", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ring(self) -> None:
        """Something may be due."""
        self._is_rung.set()

    def stop(self) -> None:
        self._is_stopped.set()
        self._is_rung.set()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        while not self._is_stopped.is_set():
            self._is_rung.clear()
            wait = min((self._do(chore) for chore in self._chores), default=LONGEST_WAIT)
            self._is_stopped.wait(BREATH.total_seconds())
            if self._is_rung.wait(max(wait - BREATH, timedelta()).total_seconds()):
                self._is_stopped.wait(MANNERS)
        connection.close()

    def _do(self, chore: Chore) -> timedelta:
        """How long until it is due again. Trouble with one is none of the others'."""
        if self._is_stopped.is_set():
            return timedelta()
        try:
            due = chore(self._clock())
        except Exception:
            log.error("chore.trouble", chore=chore.__module__, trace=format_exc())  # not log.exception, see lanes.py
            connection.close()
            return LONGEST_WAIT
        return min(max(due - self._clock(), timedelta()), LONGEST_WAIT) if due else LONGEST_WAIT
