"""What has ended goes out once more: one message, or all that were given up. The same row, under a new key; the tries before stay in the log."""

from datetime import datetime

from django.db import transaction
from django.db.models import F, Q, QuerySet

from runbell.core.deliveries import PENDING, DeliveryState
from runbell.core.permissions import Action
from runbell.server.db import bell
from runbell.server.db.models import Delivery
from runbell.server.services import audit
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.delivery_filters import Chosen, Wish

MOST = 10_000
"""At once: one statement, and they leave together. More are left for a second time."""
HAS_MESSAGE = Q(message__isnull=False)
"""A mail of the server to one person, such as a reset, has no message to send again."""


@transaction.atomic
def resend(actor: Actor, delivery_id: int, *, now: datetime) -> Delivery:
    """Raises `NotThere`; what is still on its way, and what was told in a digest, stays as it is."""
    actor.require(Action.RESEND_DELIVERIES)
    delivery = _own(actor).select_for_update(of=("self",)).filter(pk=delivery_id).first()
    if delivery is None:
        raise NotThere
    if delivery.state not in (*PENDING, DeliveryState.FOLDED):
        _requeue(actor, Delivery.objects.filter(pk=delivery.pk), now)
        delivery.refresh_from_db()
    return delivery


def count_dead(actor: Actor, wish: Wish, *, seen: datetime) -> int:
    """How many `resend_dead` sends: the number on its button."""
    return _dead(actor, wish, seen).count()


@transaction.atomic
def resend_dead(actor: Actor, wish: Wish, *, seen: datetime, now: datetime) -> int:
    """All that fit the wish and were given up when somebody looked, and still are; how many. The oldest first, at most `MOST`."""
    actor.require(Action.RESEND_DELIVERIES)
    dead = list(_dead(actor, wish, seen).values_list("pk", flat=True))
    return _requeue(actor, Delivery.objects.filter(pk__in=dead, state=DeliveryState.DEAD), now)


def _dead(actor: Actor, wish: Wish, seen: datetime) -> QuerySet[Delivery]:
    rows = Chosen.by(actor.account_id, wish).rows("dead").filter(HAS_MESSAGE).exclude(settled_at__gt=seen)
    return rows.order_by("created_at", "pk")[:MOST]


def _own(actor: Actor) -> QuerySet[Delivery]:
    return Delivery.objects.filter(HAS_MESSAGE, account=actor.account_id)


def _requeue(actor: Actor, rows: QuerySet[Delivery], now: datetime) -> int:
    """`created_at` moves along: the age that ends a delivery counts from here."""
    count = rows.update(
        state=DeliveryState.QUEUED,
        due_at=now,
        created_at=now,
        resends=F("resends") + 1,
        attempts=0,
        last_because=None,
        provider_id="",
        settled_at=None,
    )
    if count:
        audit.record(
            account=actor.member.account, actor=actor, action="delivery.resend", subject=str(count), now=now, after={"deliveries": count}
        )
        transaction.on_commit(bell.ring)
    return count
