"""Which messages of the log are wanted, as queries that an index answers however long the log is.

Named by few (a job, an address): their messages are fetched and sorted. Named by many, or by nobody: the log is walked from its newest end,
and each message asked whether it fits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from django.db.models import Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery

from runbell.core.deliveries import PENDING, DeliveryState
from runbell.server.db import outbox
from runbell.server.db.models import Account, Delivery, Destination, Job, Run
from runbell.server.db.models.deliveries import ENDED_SQL, Purpose

FEW = 5_000
COUNTED = 10_000
"""Nothing is counted further: from here on the number only says that there are many."""
GROUPS: Mapping[str, tuple[DeliveryState, ...]] = {
    "sent": (DeliveryState.SENT, DeliveryState.FOLDED),
    "trying": PENDING,
    "dead": (DeliveryState.DEAD,),
    "unsent": (DeliveryState.SUPPRESSED,),
}
"""The filter's words, and the states each holds."""
Jobs = QuerySet[Job] | list[int]


@dataclass(frozen=True, slots=True)
class Wish:
    """What of the log to show. `channel`: a kind; `search`: a part of the name of a job or Slack channel, or of an address."""

    channel: str = ""
    outcome: str = ""
    environment: int | None = None
    job: int | None = None
    search: str = ""
    since: datetime | None = None


class Count(Subquery):
    """How many rows a query has, as a column: several counts are one statement."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()
    empty_result_set_value = 0


@dataclass(frozen=True, slots=True)
class Chosen:
    """What fits a wish. `is_few`: `where` names so few that its own indexes are the way; it names nothing of another account."""

    account_id: int
    where: Q
    is_few: bool

    @classmethod
    def by(cls, account_id: int, wish: Wish) -> Self:
        within, tests = _within(account_id, wish), _tests(wish)
        if within is None and not wish.search:
            return cls(account_id, tests, is_few=False)
        jobs = Job.objects.filter(account=account_id) if within is None else within
        named, addresses = _found(jobs, account_id, wish.search) if wish.search else (jobs, [])
        elsewhere = Q() if within is None else _is_about(within)
        few = Q(run__in=Run.objects.filter(job__in=named).values("pk")) | Q(destination__in=addresses) & elsewhere
        if Delivery.objects.filter(few).order_by()[: FEW + 1].count() <= FEW:
            return cls(account_id, few & tests, is_few=True)
        return cls(account_id, (_is_about(named) | Q(destination__in=addresses) & elsewhere) & tests, is_few=False)

    def rows(self, group: str = "all") -> QuerySet[Delivery]:
        """Those of a word of `GROUPS`, or of all, the newest first. Sign-in mails and the like are between the server and one person."""
        rows = Delivery.objects.filter(self.where).exclude(purpose=Purpose.ACCOUNT).order_by("-created_at", "-pk")
        states = GROUPS.get(group)
        if self.is_few:
            return rows.filter(state__in=states) if states else rows
        if group == "trying":  # few of all accounts: `+ 0` keeps SQLite from walking the log of the account instead
            own = rows.annotate(of=F("account_id") + 0).filter(of=self.account_id)
            return own.extra(where=[outbox.PENDING_SQL])  # noqa: S610  a literal, so that SQLite uses the index
        rows = rows.filter(account=self.account_id)
        if group == "sent":  # nearly all there are: a walk along the log finds them
            return rows.exclude(state__in=[state for other, held in GROUPS.items() if other != "sent" for state in held])
        return rows.filter(state=states[0]).extra(where=[ENDED_SQL]) if states else rows  # noqa: S610  as above


def counts(account_id: int, *wanted: QuerySet[Delivery]) -> list[int]:
    """Up to `COUNTED` of each, in one statement."""
    columns = [Count(rows.order_by().values("pk")[:COUNTED]) for rows in wanted]
    return list(Account.objects.filter(pk=account_id).values_list(*columns).get())


def _within(account_id: int, wish: Wish) -> QuerySet[Job] | None:
    """The jobs that environment and job leave, deleted ones among them; None for all."""
    jobs = Job.objects.filter(account=account_id)
    if wish.environment is not None:
        jobs = jobs.filter(environment=wish.environment)
    if wish.job is not None:
        jobs = jobs.filter(pk=wish.job)
    return None if wish.environment is None and wish.job is None else jobs


def _tests(wish: Wish) -> Q:
    """What a row itself, or its run, says."""
    tests = Q()
    if wish.channel:
        tests &= Q(lane=wish.channel) | Q(lane__startswith=f"{wish.channel}:")
    if wish.since:
        tests &= Q(created_at__gt=wish.since)
    if wish.outcome:
        tests &= Q(Exists(Run.objects.filter(pk=OuterRef("run"), outcome=wish.outcome)))
    return tests


def _is_about(jobs: Jobs) -> Q:
    return Q(Exists(Run.objects.filter(pk=OuterRef("run"), job__in=jobs)))


def _found(jobs: QuerySet[Job], account_id: int, search: str) -> tuple[Jobs, list[int]]:
    """Ids of jobs and destinations with these words. Compared here: SQLite knows no upper case beyond ASCII."""
    words = search.casefold()
    named = [pk for pk, name in jobs.values_list("pk", "name") if words in name.casefold()]
    addresses = Destination.objects.filter(account=account_id).values_list("pk", "address", "member__user__email")
    ears = [pk for pk, address, email in addresses if words in (email or address).casefold()]
    return named, ears
