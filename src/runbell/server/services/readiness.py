"""Can requests be served, is somebody sending, and does mail go out? In words that a stranger may read."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min, Q, QuerySet

from runbell.core.because import Because
from runbell.server.db import outbox
from runbell.server.db.bell import is_heard
from runbell.server.db.models import Delivery

LATE = timedelta(minutes=5)  # nothing due waits that long while a worker is well
DOWN = timedelta(minutes=1)
WAYS_DOWN = (
    *("smtp_unreachable", "smtp_tls", "smtp_no_starttls", "smtp_auth", "smtp_not_ready", "smtp_sender_refused", "smtp_disconnected"),
    *("smtp_no_answer", "transport_settings", "mailbox_unavailable"),
)
"""Reasons that are about the way out, not about one message or address."""
DATABASE_TROUBLE = (OperationalError, InterfaceError)
PATIENCE = 10  # seconds, for `Retry-After`

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outage:
    """Messages wait since then. `because` says what the way out ran into; None when nobody takes them."""

    since: datetime
    because: Because | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """How many messages are on their way or wait, and when the oldest was made. `stuck_since`: of any account, when the oldest was made that
    a way out holds up which is down."""

    count: int
    oldest_at: datetime | None
    stuck_since: datetime | None = None


def not_ready_because() -> str:
    """Empty when requests can be served; otherwise why not, without a name or a password in it."""
    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        is_behind = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError:
        return "the database does not answer"
    return "the database needs `runbell migrate`" if is_behind else ""


def is_out_of_order(error: BaseException | None) -> bool:
    """Whether the database itself is at fault: gone, full, locked, not writable. Then the same request may go well in a moment; the log says why."""
    # SQLite's module calls bad SQL by the same name: that is a bug of ours.
    if not isinstance(error, DATABASE_TROUBLE) or getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        return False
    log.error("database.trouble", problem=" ".join(str(error).split()))
    return True


def has_worker() -> bool:
    return is_heard()


def queue(*, now: datetime, account_id: int | None = None) -> Queue:
    """Of one account, or of all. One look-up in the small index of what is pending."""
    own = Q(account=account_id) if account_id else None
    is_stuck = Q(last_because__isnull=False, created_at__lt=now - DOWN * settings.RUNBELL_TIME_SCALE, last_because__code__in=WAYS_DOWN)
    return Queue(
        **_pending().aggregate(
            count=Count("pk", filter=own), oldest_at=Min("created_at", filter=own), stuck_since=Min("created_at", filter=is_stuck)
        )
    )


def outage(seen: Queue, *, now: datetime) -> Outage | None:
    """Trouble with the way out, or messages that are long due. One look-up more."""
    if seen.stuck_since:
        stuck = _pending().filter(created_at=seen.stuck_since, last_because__code__in=WAYS_DOWN)
        because = stuck.values_list("last_because", flat=True).first()
        return Outage(seen.stuck_since, Because.from_json(because) if because else None)
    due = min((at for lane, accounts in outbox.next_due().items() if lane != outbox.LOST_RUNS for at in accounts.values()), default=now)
    return Outage(due) if due < now - LATE * settings.RUNBELL_TIME_SCALE else None


def _pending() -> QuerySet[Delivery]:
    return Delivery.objects.extra(where=[outbox.PENDING_SQL]).order_by()  # noqa: S610  a literal, so that SQLite uses the index
