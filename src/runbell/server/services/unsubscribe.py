"""Unsubscribing: the link in every mail, the member's own button, and the way back for 24 hours.

One click means everything to this address from this account (https://www.rfc-editor.org/rfc/rfc8058); the page offers less.
Whoever holds the link may stop mail to its address and take that back, and nothing else. It tells them no more than the mail did.

A rule for all jobs of an environment has no exceptions. To stop one job of it, the rule becomes one rule for each other job there
is now: what was asked for happens, and the page says that jobs which appear later are not among them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from runbell.core.because import Because
from runbell.core.permissions import Action
from runbell.server.db.models import Delivery, Destination, Environment, Job, Member, Rule, State, Unsubscription
from runbell.server.db.models.deliveries import Purpose
from runbell.server.services import audit, limits, notices
from runbell.server.services.access import Actor
from runbell.server.services.decisions import address_of
from runbell.server.services.link_tokens import EMAIL, destination_by, link_token

UNDO_FOR = timedelta(hours=24)
CHANGES_A_MINUTE = 20  # of one address, through its links
_PURPOSE = "unsubscribe"


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


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    at: datetime
    scope: str


def unsubscribe_url(destination: Destination, job_id: int) -> str:
    """For List-Unsubscribe and the foot of a mail about this job. Nothing is stored; raising `generation` voids it."""
    token = link_token(_PURPOSE, destination, job_id)
    return f"{settings.RUNBELL_PUBLIC_URL}/u/{destination.public_id}/{job_id}/{token}"


def subscription(public_id: str, token: str, job_id: int, *, now: datetime) -> Subscription:
    """Changes nothing. Raises `NotThere` for a link that we did not make, or that is void."""
    destination = destination_by(_PURPOSE, public_id, token, job_id)
    return _subscription(destination, now, _job(destination, job_id))


@transaction.atomic
def unsubscribe(public_id: str, token: str, job_id: int, scope: str, *, now: datetime) -> Subscription:
    """Stops what `scope` says. A second time finds nothing left and says the same.

    Raises `ValueError` when the link offers no such scope, and `TooMany`.
    """
    destination = _locked(destination_by(_PURPOSE, public_id, token, job_id))
    limits.take(f"unsubscribe:{destination.pk}", CHANGES_A_MINUTE, now=now)
    job = _job(destination, job_id)
    if Scope(scope) is not Scope.EVERYTHING and job is None:
        raise ValueError(scope)
    _remove(destination, Scope(scope), job, None, now)
    return _subscription(destination, now, job)


@transaction.atomic
def undo(public_id: str, token: str, job_id: int, *, now: datetime) -> None:
    destination = _locked(destination_by(_PURPOSE, public_id, token, job_id))
    limits.take(f"unsubscribe:{destination.pk}", CHANGES_A_MINUTE, now=now)
    _restore(destination, None, now)


def last_unsubscribed(destination: Destination) -> Unsubscribed | None:
    """For whoever sets new rules: this address unsubscribed by its own wish, and nobody took that back."""
    last = destination.unsubscriptions.filter(undone_at=None).order_by("-at", "-pk").first()
    return Unsubscribed(last.at, last.scope) if last else None


@transaction.atomic
def unsubscribe_self(actor: Actor, *, now: datetime) -> None:
    """The signed-in member's own address, whatever else they may change."""
    for destination in _own(actor):
        _remove(destination, Scope.EVERYTHING, None, actor, now)


@transaction.atomic
def undo_self(actor: Actor, *, now: datetime) -> None:
    for destination in _own(actor):
        _restore(destination, actor, now)


def own_subscription(actor: Actor, *, now: datetime) -> Subscription:
    destination = _member_destinations(actor).first()
    if destination is None:
        return Subscription(actor.member.user.email, actor.member.account.name, 0, 0, None)
    return _subscription(destination, now)


def _own(actor: Actor) -> list[Destination]:
    actor.require(Action.UNSUBSCRIBE_SELF)
    return [_locked(destination) for destination in _member_destinations(actor)]


def _member_destinations(actor: Actor) -> Any:
    related = Destination.objects.select_related("account", "member__user")
    return related.filter(account=actor.account_id, kind=EMAIL, member=actor.member, state=State.ACTIVE)


def _locked(destination: Destination) -> Destination:
    """Two clicks at once must not both find rules to remove."""
    Destination.objects.select_for_update().get(pk=destination.pk)
    return destination


def _job(destination: Destination, job_id: int) -> Job | None:
    """The link's job, while there is one. A mail about several has none."""
    return Job.objects.select_related("environment").filter(pk=job_id, account=destination.account_id, state=State.ACTIVE).first()


def _rang(destination: Destination, job: Job) -> Rang:
    told = Delivery.objects.filter(destination=destination, purpose=Purpose.RUN, run__job=job).exclude(because=None).order_by("-pk")
    stored = told.values_list("because", flat=True).first()
    why = Because(stored["code"], {**stored["params"], "environment": job.environment.name}) if stored else None
    return Rang(job.pk, job.name, job.environment.name, why)


def _rules_in(destination: Destination, scope: Scope, job: Job | None) -> QuerySet[Rule]:
    """The rules that go."""
    if job is None or scope is Scope.EVERYTHING:
        return destination.rules.all()
    covers = Q(environment=job.environment_id)
    return destination.rules.filter(covers | (Q(job=job) if scope is Scope.JOB else Q(job__environment=job.environment_id)))


def _siblings(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(environment=job.environment_id, state=State.ACTIVE).exclude(pk=job.pk)


def _choices(destination: Destination, job: Job | None, total: int) -> tuple[Choice, ...]:
    everything = Choice(Scope.EVERYTHING, total)
    if job is None:
        return (everything,)
    others = _siblings(job).count()
    is_for_new_jobs = destination.rules.filter(environment=job.environment_id).exists()
    one, all_of_it = (_rules_in(destination, scope, job).count() for scope in (Scope.JOB, Scope.ENVIRONMENT))
    offered = (
        Choice(Scope.JOB, one, job.name, job.environment.name, 1, others if is_for_new_jobs else 0, is_for_new_jobs),
        Choice(Scope.ENVIRONMENT, all_of_it, job.environment.name, job.environment.name, others + 1, 0, is_for_new_jobs),
    )
    return (*(choice for choice in offered if choice.rules), everything)


def _remove(destination: Destination, scope: Scope, job: Job | None, actor: Actor | None, now: datetime) -> None:
    rules = list(_rules_in(destination, scope, job).order_by("pk"))
    if not rules:
        return
    before = destination.rules.count()
    is_first = not destination.unsubscriptions.filter(at__gt=now - UNDO_FOR).exists()
    _rules_in(destination, scope, job).delete()
    if scope is Scope.JOB and job:
        _spread([rule for rule in rules if rule.environment_id], job, now)
    keep_for_undo(destination, rules, scope, now=now)
    _touch(destination, now)
    after = {"rules": destination.rules.count(), "scope": scope.value, "of": _name(scope, job)}
    _record(destination, actor, "email.unsubscribe", now, before={"rules": before}, after=after)
    if destination.member_id is None and is_first:
        notices.tell_unsubscribed(
            destination,
            job=job if scope is Scope.JOB else None,
            environment=job.environment if job and scope is not Scope.EVERYTHING else None,
            now=now,
        )


def keep_for_undo(destination: Destination, rules: Iterable[Rule], scope: str, *, now: datetime) -> None:
    removed = [[rule.job_id, rule.environment_id, rule.outcome, rule.set_by_id] for rule in rules]
    Unsubscription.objects.create(destination=destination, at=now, scope=scope, rules=removed)


def _name(scope: Scope, job: Job | None) -> str:
    return "" if job is None or scope is Scope.EVERYTHING else job.name if scope is Scope.JOB else job.environment.name


def _spread(rules: list[Rule], job: Job, now: datetime) -> None:
    """What all jobs of the environment had goes on for the others. The moment says later which rules came of this, see `_restore`."""
    others = list(_siblings(job).values_list("pk", flat=True)) if rules else []
    Rule.objects.bulk_create(
        (
            Rule(destination_id=rule.destination_id, job_id=other, outcome=rule.outcome, set_by_id=rule.set_by_id, set_at=now)
            for rule in rules
            for other in others
        ),
        batch_size=1_000,
        ignore_conflicts=True,
    )


def _restore(destination: Destination, actor: Actor | None, now: datetime) -> None:
    """Brings back what still makes sense: rules for jobs and environments that are there, beside any set since."""
    last = undoable(destination, now)
    if last is None:
        return
    last.undone_at = now
    last.save(update_fields=["undone_at"])
    if last.scope == Scope.JOB:
        environments = [environment for _, environment, _, _ in last.rules if environment]
        destination.rules.filter(set_at=last.at, job__environment__in=environments).delete()
    Rule.objects.bulk_create(rules_kept(last, destination, now), ignore_conflicts=True)
    _touch(destination, now)
    _record(destination, actor, "email.unsubscribe_undo", now, before={}, after={"rules": destination.rules.count()})


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


def _touch(destination: Destination, now: datetime) -> None:
    Destination.objects.filter(pk=destination.pk).update(revision=F("revision") + 1, updated_at=now)


def undoable(destination: Destination, now: datetime) -> Unsubscription | None:
    """What `undo` would bring back."""
    return destination.unsubscriptions.filter(undone_at=None, at__gt=now - UNDO_FOR).order_by("-at", "-pk").first()


def _subscription(destination: Destination, now: datetime, job: Job | None = None) -> Subscription:
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


def _record(
    destination: Destination, actor: Actor | None, action: audit.Action, now: datetime, *, before: dict[str, Any], after: dict[str, Any]
) -> None:
    through = {} if actor else {"through": "unsubscribe link"}
    audit.record(
        account=destination.account,
        actor=actor,
        action=action,
        subject=address_of(destination),
        now=now,
        before=before,
        after=after | through,
    )
