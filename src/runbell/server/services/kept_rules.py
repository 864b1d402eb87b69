"""Rules that were taken away, kept for a day so that it can be undone."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from runbell.server.db.models import Destination, Environment, Job, Member, Rule, State, Unsubscription

UNDO_FOR = timedelta(hours=24)


def keep_for_undo(destination: Destination, rules: Iterable[Rule], scope: str, *, now: datetime) -> None:
    removed = [[rule.job_id, rule.environment_id, rule.outcome, rule.set_by_id] for rule in rules]
    Unsubscription.objects.create(destination=destination, at=now, scope=scope, rules=removed)


def undoable(destination: Destination, now: datetime) -> Unsubscription | None:
    """What `undo` would bring back."""
    return destination.unsubscriptions.filter(undone_at=None, at__gt=now - UNDO_FOR).order_by("-at", "-pk").first()


def rules_kept(last: Unsubscription, destination: Destination, now: datetime) -> list[Rule]:
    """Of what was taken away, what still makes sense: rules of jobs and environments that are there."""
    here = {"account": destination.account_id}
    jobs = set(Job.objects.filter(**here, state=State.ACTIVE).values_list("pk", flat=True))
    environments = set(Environment.objects.filter(**here, state=State.ACTIVE).values_list("pk", flat=True))
    members = set(Member.objects.filter(**here).values_list("pk", flat=True))
    return [
        Rule(
            destination=destination,
            job_id=job,
            environment_id=environment,
            outcome=outcome,
            set_by_id=set_by if set_by in members else None,
            set_at=now,
        )
        for job, environment, outcome, set_by in last.rules
        if job in jobs or environment in environments
    ]
