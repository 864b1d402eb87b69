"""Who would hear of a job, before it has run."""

from collections import Counter
from typing import Any

from django.db.models import Q, QuerySet

from runbell.core.runs import JobRef, Outcome
from runbell.server.db.models import Destination, Rule, State
from runbell.server.services.decisions import SLACK
from runbell.server.services.jobs import find_environment, find_job
from runbell.server.services.trust import unconfirmed


def able(prefix: str = "destination__") -> Q:
    """Whose destination gets messages now: `decisions.silent_because` as a condition of the database. `prefix` leads to the destination."""

    def on(**wanted: object) -> Q:
        return Q(**{f"{prefix}{name}": value for name, value in wanted.items()})

    member = on(member=None) | on(member__is_active=True, member__user__is_active=True)
    lives = on(link__ended_at=None, link__workspace__broken_because__isnull=True)
    # Without a link both of these are null too: then only what needs none hears.
    link = lives & (on(link__isnull=False) | ~on(kind=SLACK))
    is_on = on(state=State.ACTIVE, disabled_because__isnull=True)
    return member & link & is_on & ~unconfirmed(prefix)


def ears(account_id: int) -> QuerySet[Destination]:
    """The destinations that get messages now. Of many rules, ask whether theirs is among the `Ids` of these, instead of joining it to each."""
    return Destination.objects.filter(able(""), account=account_id).order_by()


def who_hears(ref: JobRef, *, account_id: int) -> dict[str, Any]:
    """`{known, id, hears: {outcome: number of destinations}}`; a job not known yet is told of by its environment's rules."""
    job = find_job(ref, account_id=account_id)
    environment = job.environment if job else find_environment(ref, account_id=account_id)
    covers = Q(environment=environment) if environment else Q(pk__in=())
    covers = covers | Q(job=job) if job else covers
    pairs = Rule.objects.filter(able(), covers, destination__account=account_id)
    counts = Counter(outcome for outcome, _ in set(pairs.values_list("outcome", "destination_id")))
    return {"known": job is not None, "id": job.pk if job else None, "hears": {outcome.value: counts[outcome.value] for outcome in Outcome}}
