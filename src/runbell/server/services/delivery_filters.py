"""Which messages of the log are wanted, as queries that an index answers however long the log is.

Named by few (a job, an address): their messages are fetched and sorted. Named by many, or by nobody: the log is walked from its newest end,
and each message asked whether it fits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery

from runbell.core.deliveries import PENDING, DeliveryState
from runbell.server.db import outbox
from runbell.server.db.models import Account, Delivery, Destination, Job, Run
from runbell.server.db.models.deliveries import ENDED_SQL, Purpose
from runbell.server.db.models.runs import RARE, RARE_SQL

FEW = 5_000
RUNS = 30_000
COUNTED = 10_000
COUNTED_IN_FILTERS = 1_000
"""Nothing is counted further: from here on the number only says that there are many. What filters leave is farther apart."""
GROUPS: Mapping[str, tuple[DeliveryState, ...]] = {
    "sent": (DeliveryState.SENT, DeliveryState.FOLDED),
    "trying": PENDING,
    "dead": (DeliveryState.DEAD,),
    "unsent": (DeliveryState.SUPPRESSED,),
}
"""The filter's words, and the states each holds."""


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
    is_few: bool = False
    most: int = COUNTED  # nothing is counted further

    @classmethod
    def by(cls, account_id: int, wish: Wish) -> Self:
        tests = _tests(wish)
        runs, addresses, within = _named(account_id, wish)
        if runs is None and addresses is None:
            return cls(account_id, tests, most=COUNTED if wish == Wish(since=wish.since) else COUNTED_IN_FILTERS)
        elsewhere = Q() if within is None else _is_about(within)
        to = Q(destination__in=addresses or []) & elsewhere
        if _are_few(runs):
            few = Q(run__in=runs.values("pk")) | to if runs is not None else to
            if Delivery.objects.filter(few).order_by()[: FEW + 1].count() <= FEW:
                return cls(account_id, few & tests, is_few=True)
        many = Q(Exists(runs.filter(pk=OuterRef("run")))) | to if runs is not None else to
        return cls(account_id, many & tests, most=COUNTED_IN_FILTERS)

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

    def counts(self, *groups: str) -> dict[str, int]:
        """In one statement, each up to `most`; few are read once for all."""
        if self.is_few:
            found = dict(self.rows().order_by().values_list("state").annotate(n=models.Count("pk")))
            return {group: sum(n for state, n in found.items() if state in GROUPS.get(group, found)) for group in groups}
        columns = [Count(self.rows(group).order_by().values("pk")[: self.most]) for group in groups]
        return dict(zip(groups, Account.objects.filter(pk=self.account_id).values_list(*columns).get(), strict=True))


Named = tuple[QuerySet[Run] | None, list[int] | None, QuerySet[Job] | None]


def _named(account_id: int, wish: Wish) -> Named:
    """Runs and destinations that the wish names, if it does; and the jobs it keeps to."""
    within = _within(account_id, wish)
    if wish.search:
        jobs = Job.objects.filter(account=account_id) if within is None else within
        named, addresses = _found(jobs, account_id, wish.search)
        return Run.objects.filter(job__in=named) if named else None, addresses, within
    if within is not None:
        return Run.objects.filter(job__in=within), None, within
    if wish.outcome in RARE:
        runs = Run.objects.filter(account=account_id, outcome=wish.outcome)
        return runs.extra(where=[RARE_SQL]), None, None  # noqa: S610  as above
    if wish.channel not in ("", "email"):  # invitations are mail, and have no destination
        return None, list(Destination.objects.filter(account=account_id, kind=wish.channel).values_list("pk", flat=True)), None
    return None, None, None


def _are_few(runs: QuerySet[Run] | None) -> bool:
    """Few enough to look up the messages of each."""
    return runs is None or runs.order_by()[: RUNS + 1].count() <= RUNS


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


def _is_about(jobs: QuerySet[Job]) -> Q:
    return Q(Exists(Run.objects.filter(pk=OuterRef("run"), job__in=jobs)))


def _found(jobs: QuerySet[Job], account_id: int, search: str) -> tuple[list[int], list[int]]:
    """Ids of jobs and destinations with these words. Compared here: SQLite knows no upper case beyond ASCII."""
    words = search.casefold()
    named = [pk for pk, name in jobs.values_list("pk", "name") if words in name.casefold()]
    addresses = Destination.objects.filter(account=account_id).values_list("pk", "address", "member__user__email")
    ears = [pk for pk, address, email in addresses if words in (email or address).casefold()]
    return named, ears
