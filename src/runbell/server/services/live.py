"""Stamps: short texts that change when a page would. They cost a few index look-ups and draw nothing."""

from datetime import datetime

from django.db.models import Count, Max, Sum

from runbell.core.permissions import Action
from runbell.server.db.models import AuditEntry, Delivery, Destination, Run
from runbell.server.services.access import Actor, job_for, run_for

SLOW, FAST = 60, 20  # seconds after which “7 h ago” and a running bar are drawn anew, without and with something running


def home_stamp(actor: Actor, *, now: datetime) -> str:
    actor.require(Action.SEE_JOBS)
    newest = Run.objects.filter(account=actor.account_id).order_by("-pk").values_list("pk", flat=True).first()
    return _stamp(newest, _running(actor.account_id), _choices(actor), now=now)


def job_stamp(actor: Actor, job_id: int, *, now: datetime) -> str:
    job = job_for(actor, job_id, Action.SEE_JOBS)
    newest = Run.objects.filter(job=job).order_by("-started_at").values_list("pk", "outcome", "merged_into").first()
    return _stamp(newest, _running(actor.account_id), _choices(actor), now=now)


def run_stamp(actor: Actor, run_id: int, *, now: datetime) -> str:
    """Also of what became of its messages."""
    run = run_for(actor, run_id, Action.SEE_JOBS)
    sent = Delivery.objects.filter(run=run).aggregate(
        n=Count("pk"), settled=Count("settled_at"), last=Max("settled_at"), tries=Sum("attempts")
    )
    left = run.keys.count(), run.artifacts.count()
    facts = (run.decided_at, run.git_sha, run.late_end, bool(run.log_end), *left, *sent.values())
    return _stamp(run.pk, int(not run.outcome), *facts, now=now)


def _running(account_id: int) -> int:
    """Runs that go on, counted over the few rows of a small index. Asked by account, SQLite would read all runs of it."""
    return list(Run.objects.filter(lost_at__isnull=False).values_list("account", flat=True)).count(account_id)


def _choices(actor: Actor) -> tuple[object, ...]:
    """Rules, members, jobs and pauses are changed with an audit entry; a refusal by the other side moves `updated_at`."""
    last = AuditEntry.objects.filter(account=actor.account_id).order_by("-at").values_list("at", "pk").first()
    return last, Destination.objects.filter(account=actor.account_id).aggregate(at=Max("updated_at"))["at"]


def _stamp(newest: object, running: int, *facts: object, now: datetime) -> str:
    tick = int(now.timestamp()) // (FAST if running else SLOW)
    return repr((newest, running, facts, tick))
