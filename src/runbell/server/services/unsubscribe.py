"""Unsubscribing: the link in every mail, the member's own button, and the way back for 24 hours.

One click means everything to this address from this account (https://www.rfc-editor.org/rfc/rfc8058). Whoever holds the
link may stop mail to its address and take that back, and nothing else.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from runbell.core.permissions import Action
from runbell.server.db.models import Destination, Environment, Job, Member, Rule, State, Unsubscription
from runbell.server.services import audit
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.decisions import address_of

UNDO_FOR = timedelta(hours=24)
EVERYTHING = "everything"
TOKEN_LENGTH = 22  # base64 characters: 132 bits
_KIND = "email"


@dataclass(frozen=True, slots=True)
class Subscription:
    """What an unsubscribe page says of an address. `undo_until` is set while what was removed can come back."""

    address: str
    account: str
    rules: int
    removed: int
    undo_until: datetime | None


def unsubscribe_url(destination: Destination, job_id: int) -> str:
    """For List-Unsubscribe and the foot of a mail about this job. Nothing is stored; raising `generation` voids it."""
    token = _token(settings.SECRET_KEY, destination)
    return f"{settings.RUNBELL_PUBLIC_URL}/u/{destination.public_id}/{job_id}/{token}"


def subscription(public_id: str, token: str, *, now: datetime) -> Subscription:
    """Changes nothing. Raises `NotThere` for a link that we did not make, or that is void."""
    return _subscription(_destination(public_id, token), now)


@transaction.atomic
def unsubscribe(public_id: str, token: str, *, now: datetime) -> Subscription:
    """Removes every rule of the link's address. A second time finds nothing left and says the same."""
    destination = _locked(_destination(public_id, token))
    _remove(destination, None, now)
    return _subscription(destination, now)


@transaction.atomic
def undo(public_id: str, token: str, *, now: datetime) -> Subscription:
    destination = _locked(_destination(public_id, token))
    _restore(destination, None, now)
    return _subscription(destination, now)


@transaction.atomic
def unsubscribe_self(actor: Actor, *, now: datetime) -> None:
    """The signed-in member's own address, whatever else they may change."""
    for destination in _own(actor):
        _remove(destination, actor, now)


@transaction.atomic
def undo_self(actor: Actor, *, now: datetime) -> None:
    for destination in _own(actor):
        _restore(destination, actor, now)


def own_subscription(actor: Actor, *, now: datetime) -> Subscription:
    destination = _member_destinations(actor).first()
    if destination is None:
        return Subscription(actor.member.user.email, actor.member.account.name, 0, 0, None)
    return _subscription(destination, now)


def _token(key: str, destination: Destination) -> str:
    signed = f"runbell.unsubscribe:{destination.public_id}:{destination.generation}".encode()
    return base64.urlsafe_b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest()).decode()[:TOKEN_LENGTH]


def _destination(public_id: str, token: str) -> Destination:
    destination = Destination.objects.select_related("account", "member__user").filter(public_id=public_id, kind=_KIND).first()
    if destination is None:
        raise NotThere
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(hmac.compare_digest(_token(key, destination).encode(), token.encode()) for key in keys):
        raise NotThere
    return destination


def _own(actor: Actor) -> list[Destination]:
    actor.require(Action.UNSUBSCRIBE_SELF)
    return [_locked(destination) for destination in _member_destinations(actor)]


def _member_destinations(actor: Actor) -> Any:
    related = Destination.objects.select_related("account", "member__user")
    return related.filter(account=actor.account_id, kind=_KIND, member=actor.member, state=State.ACTIVE)


def _locked(destination: Destination) -> Destination:
    """Two clicks at once must not both find rules to remove."""
    Destination.objects.select_for_update().get(pk=destination.pk)
    return destination


def _remove(destination: Destination, actor: Actor | None, now: datetime) -> None:
    removed = [list(row) for row in destination.rules.order_by("pk").values_list("job", "environment", "outcome", "set_by")]
    if not removed:
        return
    destination.rules.all().delete()
    Unsubscription.objects.create(destination=destination, at=now, scope=EVERYTHING, rules=removed)
    _touch(destination, now)
    _record(destination, actor, "email.unsubscribe", now, before={"rules": len(removed)}, after={"rules": 0})


def _restore(destination: Destination, actor: Actor | None, now: datetime) -> None:
    """Brings back what still makes sense: rules for jobs and environments that are there, beside any set since."""
    last = _undoable(destination, now)
    if last is None:
        return
    last.undone_at = now
    last.save(update_fields=["undone_at"])
    Rule.objects.bulk_create(_rules_of(last, destination, now), ignore_conflicts=True)
    _touch(destination, now)
    _record(destination, actor, "email.unsubscribe_undo", now, before={}, after={"rules": destination.rules.count()})


def _rules_of(last: Unsubscription, destination: Destination, now: datetime) -> list[Rule]:
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


def _undoable(destination: Destination, now: datetime) -> Unsubscription | None:
    return destination.unsubscriptions.filter(undone_at=None, at__gt=now - UNDO_FOR).order_by("-at", "-pk").first()


def _subscription(destination: Destination, now: datetime) -> Subscription:
    rules = destination.rules.count()
    last = _undoable(destination, now)
    return Subscription(
        address=address_of(destination),
        account=destination.account.name,
        rules=rules,
        removed=len(last.rules) if last else 0,
        undo_until=last.at + UNDO_FOR if last else None,
    )


def _record(
    destination: Destination, actor: Actor | None, action: str, now: datetime, *, before: dict[str, Any], after: dict[str, Any]
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
