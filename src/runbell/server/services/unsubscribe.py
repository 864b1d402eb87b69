"""Unsubscribing: the link in every mail, the member's own button, and the way back for 24 hours.

One click means everything to this address from this account (https://www.rfc-editor.org/rfc/rfc8058); the page offers less.
Whoever holds the link may stop mail to its address and take that back, and nothing else. It tells them no more than the mail did.

A rule for all jobs of an environment has no exceptions. To stop one job of it, the rule becomes one rule for each other job there
is now: what was asked for happens, and the page says that jobs which appear later are not among them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from runbell.core.permissions import Action
from runbell.server.db.models import Destination, Job, Rule, State
from runbell.server.services import audit, limits, notices
from runbell.server.services.access import Actor
from runbell.server.services.decisions import address_of
from runbell.server.services.kept_rules import UNDO_FOR, keep_for_undo, rules_kept, undoable
from runbell.server.services.link_tokens import EMAIL, destination_by, link_token
from runbell.server.services.subscriptions import Scope, Subscription, job_of_link, rules_in, siblings, subscription_of

CHANGES_A_MINUTE = 20  # of one address, through its links
_PURPOSE = "unsubscribe"


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    at: datetime
    scope: str


def unsubscribe_url(destination: Destination, job_id: int) -> str:
    """For List-Unsubscribe and the foot of a mail about this job. Nothing is stored; raising `generation` voids it."""
    token = link_token(_PURPOSE, destination)
    return f"{settings.RUNBELL_PUBLIC_URL}/u/{destination.public_id}/{job_id}/{token}"


def subscription(public_id: str, token: str, job_id: int, *, now: datetime) -> Subscription:
    """Changes nothing. Raises `NotThere` for a link that we did not make, or that is void."""
    destination = destination_by(_PURPOSE, public_id, token)
    return subscription_of(destination, now, job_of_link(destination, job_id))


@transaction.atomic
def unsubscribe(public_id: str, token: str, job_id: int, scope: str, *, now: datetime) -> Subscription:
    """Stops what `scope` says. A second time finds nothing left and says the same.

    Raises `ValueError` when the link offers no such scope, and `TooMany`.
    """
    destination = _locked(destination_by(_PURPOSE, public_id, token))
    limits.take(f"unsubscribe:{destination.pk}", CHANGES_A_MINUTE, now=now)
    job = job_of_link(destination, job_id)
    if Scope(scope) is not Scope.EVERYTHING and job is None:
        raise ValueError(scope)
    _remove(destination, Scope(scope), job, None, now)
    return subscription_of(destination, now, job)


@transaction.atomic
def undo(public_id: str, token: str, *, now: datetime) -> None:
    destination = _locked(destination_by(_PURPOSE, public_id, token))
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
    return subscription_of(destination, now)


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


def _remove(destination: Destination, scope: Scope, job: Job | None, actor: Actor | None, now: datetime) -> None:
    rules = list(rules_in(destination, scope, job).order_by("pk"))
    if not rules:
        return
    before = destination.rules.count()
    is_first = not destination.unsubscriptions.filter(at__gt=now - UNDO_FOR).exists()
    rules_in(destination, scope, job).delete()
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


def _name(scope: Scope, job: Job | None) -> str:
    return "" if job is None or scope is Scope.EVERYTHING else job.name if scope is Scope.JOB else job.environment.name


def _spread(rules: list[Rule], job: Job, now: datetime) -> None:
    """What all jobs of the environment had goes on for the others. The moment says later which rules came of this, see `_restore`."""
    others = list(siblings(job).values_list("pk", flat=True)) if rules else []
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


def _touch(destination: Destination, now: datetime) -> None:
    Destination.objects.filter(pk=destination.pk).update(revision=F("revision") + 1, updated_at=now)


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
