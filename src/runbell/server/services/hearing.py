"""Who would hear of a job, before it has run."""

from collections import Counter
from typing import Any

from django.db.models import Q

from runbell.core.runs import JobRef, Outcome
from runbell.server.db.models import Rule, State
from runbell.server.services.decisions import SLACK
from runbell.server.services.jobs import find_environment, find_job
from runbell.server.services.trust import unconfirmed


def able() -> Q:
    """Rules whose destination gets messages now: `decisions.silent_because` as a condition of the database."""
    member = Q(destination__member=None) | Q(destination__member__is_active=True, destination__member__user__is_active=True)
    lives = Q(destination__link__ended_at=None, destination__link__workspace__broken_because__isnull=True)
    # Without a link both of these are null too: then only what needs none hears.
    link = lives & (Q(destination__link__isnull=False) | ~Q(destination__kind=SLACK))
    is_on = Q(destination__state=State.ACTIVE, destination__disabled_because__isnull=True)
    return member & link & is_on & ~unconfirmed("destination__")


def who_hears(ref: JobRef, *, account_id: int) -> dict[str, Any]:
    """`{known, id, hears: {outcome: number of destinations}}`; a job not known yet is told of by its environment's rules."""
    job = find_job(ref, account_id=account_id)
    environment = job.environment if job else find_environment(ref, account_id=account_id)
    covers = Q(environment=environment) if environment else Q(pk__in=())
    covers = covers | Q(job=job) if job else covers
    pairs = Rule.objects.filter(able(), covers, destination__account=account_id)
    counts = Counter(outcome for outcome, _ in set(pairs.values_list("outcome", "destination_id")))
    return {"known": job is not None, "id": job.pk if job else None, "hears": {outcome.value: counts[outcome.value] for outcome in Outcome}}
