"""What is kept for how long: runs, and what became of their messages. Old rows go in small batches, each a short transaction of its own.

A job keeps its last run and a run its open deliveries, however old. Ids rise with time, so a batch is the next rows by id: no batch reads
more than it may delete, and one that finds nothing old ends the round.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from runbell.core.deliveries import PENDING
from runbell.server.db.models import Delivery, Message, Run

BATCH = 200
ROUND = timedelta(hours=1)
LOCK = 0x72_62_01  # of PostgreSQL, for one transaction: two workers do not delete the same rows


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step looked at: the last id, None at the end of what is old, and how many rows went."""

    last: int | None
    gone: int


Step = Callable[[int, datetime], Batch]


@dataclass
class Pruner:
    """Where a round stands, for one process. A restart begins anew, which costs a look at what is kept."""

    steps: Sequence[Step] = field(default_factory=lambda: (prune_deliveries, prune_messages, prune_runs, prune_sessions))
    place: int = 0
    after: int = 0
    due_at: datetime | None = None

    def run_due(self, now: datetime) -> datetime:
        """One batch, and when to come again: at once while there is more. After a clock that went back, not later than a round from now."""
        if self.due_at and now < self.due_at <= now + ROUND:
            return self.due_at
        with transaction.atomic():
            batch = self.steps[self.place](self.after, now) if _is_ours() else Batch(None, 0)
        self.after = batch.last or 0
        if batch.last is None:
            self.place = (self.place + 1) % len(self.steps)
        is_round_over = batch.last is None and self.place == 0
        self.due_at = now + ROUND if is_round_over else now
        return self.due_at


def _is_ours() -> bool:
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def prune_deliveries(after: int, now: datetime) -> Batch:
    """With their tries, and what the mailbox holds of them. Receipts stay with their run."""
    limit = now - settings.RUNBELL_KEEP_DELIVERIES
    rows = list(Delivery.objects.filter(pk__gt=after).order_by("pk").values_list("pk", "created_at", "settled_at")[:BATCH])
    old = [pk for pk, created, settled in rows if created < limit and settled and settled < limit]
    if old:
        Delivery.objects.filter(pk__in=old).exclude(state__in=[state.value for state in PENDING]).only("pk").delete()
    return _batch([(pk, created < limit) for pk, created, _ in rows], len(old))


def prune_messages(after: int, now: datetime) -> Batch:
    """What no delivery in the log says any more."""
    limit = now - settings.RUNBELL_KEEP_DELIVERIES
    rows = list(Message.objects.filter(pk__gt=after).order_by("pk").values_list("pk", "created_at")[:BATCH])
    said = Delivery.objects.filter(message=OuterRef("pk"))
    gone, _ = Message.objects.filter(~Exists(said), pk__in=[pk for pk, created in rows if created < limit]).delete()
    return _batch([(pk, created < limit) for pk, created in rows], gone)


def prune_runs(after: int, now: datetime) -> Batch:
    """With steps, nodes, keys, receipts, and those that were merged into them."""
    limit = now - settings.RUNBELL_KEEP_RUNS
    rows = list(Run.objects.filter(pk__gt=after).order_by("pk").values_list("pk", "received_at")[:BATCH])
    old = _prunable([pk for pk, received in rows if received < limit])
    Run.objects.filter(Q(pk__in=old) | Q(merged_into__in=old)).only("pk").delete()
    return _batch([(pk, received < limit) for pk, received in rows], len(old))


def _prunable(ids: Sequence[int]) -> list[int]:
    """Those that are decided, have a younger run of their job, and nothing on its way."""
    whole = Run.objects.filter(job=OuterRef("job"), merged_into=None)
    younger = whole.filter(Q(started_at__gt=OuterRef("started_at")) | Q(started_at=OuterRef("started_at"), pk__gt=OuterRef("pk")))
    pending = Delivery.objects.filter(state__in=[state.value for state in PENDING])
    # Two questions: with one that says "or", SQLite reads all deliveries for each run.
    own, merged = pending.filter(run=OuterRef("pk")), pending.filter(run__merged_into=OuterRef("pk"))
    rows = Run.objects.filter(pk__in=ids, decided_at__isnull=False, merged_into=None)
    return list(rows.filter(Exists(younger), ~Exists(own), ~Exists(merged)).values_list("pk", flat=True))


def prune_sessions(after: int, now: datetime) -> Batch:
    """Sign-ins that ran out."""
    keys = list(Session.objects.filter(expire_date__lt=now).order_by("expire_date").values_list("pk", flat=True)[:BATCH])
    gone, _ = Session.objects.filter(pk__in=keys).delete()
    return Batch(after + 1 if len(keys) == BATCH else None, gone)


def _batch(rows: Sequence[tuple[int, bool]], gone: int) -> Batch:
    """Goes on behind a full batch with something old in it."""
    goes_on = len(rows) == BATCH and any(is_old for _, is_old in rows)
    return Batch(rows[-1][0] if goes_on else None, gone)
