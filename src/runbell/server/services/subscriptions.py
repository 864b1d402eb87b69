"""What an unsubscribe page says: what can be stopped, what that takes away, and why the mail came. Nothing is changed here."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import Q, QuerySet

from runbell.core.because import Because
from runbell.server.db.models import Delivery, Destination, Job, Rule, State
from runbell.server.db.models.deliveries import Purpose
from runbell.server.services.decisions import address_of
from runbell.server.services.kept_rules import UNDO_FOR, undoable


class Scope(StrEnum):
    JOB = "job"
    ENVIRONMENT = "environment"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be stopped: `rules` go. `jobs`: how many jobs it is about.

    `others`: for one job, how many others get a rule of their own, because a rule for all jobs of their environment goes.
    """

    scope: Scope
    rules: int
    name: str = ""
    environment: str = ""
    jobs: int = 0
    others: int = 0
    is_for_new_jobs: bool = False


@dataclass(frozen=True, slots=True)
class Rang:
    """The job that the link's mail was about, and why the last such mail was sent; without who set that, which no mail says."""

    job_id: int
    job: str
    environment: str
    because: Because | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """What an unsubscribe page says of an address. `undo_until` is set while what was removed can come back.

    `rules` are those there are now, `removed` and `scope` tell of the last unsubscribing that can be undone.
    `account_id` is given where somebody can sign in and read more.
    """

    address: str
    account: str
    rules: int
    removed: int
    undo_until: datetime | None
    scope: str = Scope.EVERYTHING
    choices: tuple[Choice, ...] = ()
    rang: Rang | None = None
    account_id: int | None = None


def subscription_of(destination: Destination, now: datetime, job: Job | None = None) -> Subscription:
    rules = destination.rules.count()
    last = undoable(destination, now)
    return Subscription(
        address=address_of(destination),
        account=destination.account.name,
        rules=rules,
        removed=len(last.rules) if last else 0,
        undo_until=last.at + UNDO_FOR if last else None,
        scope=last.scope if last else Scope.EVERYTHING,
        choices=_choices(destination, job, rules),
        rang=_rang(destination, job) if job else None,
        account_id=destination.account_id if destination.member_id else None,
    )


def job_of_link(destination: Destination, job_id: int) -> Job | None:
    """The link's job, while there is one; a mail about several has none. The token does not cover it: only a job that this address chose or was
    told of, so that nobody learns other names by counting.
    """
    told = Delivery.objects.filter(destination=destination, purpose=Purpose.RUN, run__job=job_id)
    job = Job.objects.select_related("environment").filter(pk=job_id, account=destination.account_id, state=State.ACTIVE).first()
    return job if job and (destination.rules.filter(job=job).exists() or told.exists()) else None


def _rang(destination: Destination, job: Job) -> Rang:
    told = Delivery.objects.filter(destination=destination, purpose=Purpose.RUN, run__job=job).exclude(because=None).order_by("-pk")
    stored = told.values_list("because", flat=True).first()
    why = Because(stored["code"], {**stored["params"], "environment": job.environment.name}) if stored else None
    return Rang(job.pk, job.name, job.environment.name, why)


def rules_in(destination: Destination, scope: Scope, job: Job | None) -> QuerySet[Rule]:
    """The rules that go."""
    if job is None or scope is Scope.EVERYTHING:
        return destination.rules.all()
    covers = Q(environment=job.environment_id)
    return destination.rules.filter(covers | (Q(job=job) if scope is Scope.JOB else Q(job__environment=job.environment_id)))


def siblings(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(environment=job.environment_id, state=State.ACTIVE).exclude(pk=job.pk)


def _choices(destination: Destination, job: Job | None, total: int) -> tuple[Choice, ...]:
    everything = Choice(Scope.EVERYTHING, total)
    if job is None:
        return (everything,)
    others = siblings(job).count()
    is_for_new_jobs = destination.rules.filter(environment=job.environment_id).exists()
    one, all_of_it = (rules_in(destination, scope, job).count() for scope in (Scope.JOB, Scope.ENVIRONMENT))
    offered = (
        Choice(Scope.JOB, one, job.name, job.environment.name, 1, others if is_for_new_jobs else 0, is_for_new_jobs),
        Choice(Scope.ENVIRONMENT, all_of_it, job.environment.name, job.environment.name, others + 1, 0, is_for_new_jobs),
    )
    return (*(choice for choice in offered if choice.rules), everything)
