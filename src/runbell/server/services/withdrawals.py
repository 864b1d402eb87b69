"""Deliveries whose reason to be sent went away. A room of its own, so that whoever judges deliveries may also withdraw some."""

from datetime import datetime

from django.db.models import QuerySet

from runbell.core.because import Because
from runbell.core.deliveries import DeliveryState
from runbell.server.db.models import Delivery


def withdraw(rows: QuerySet[Delivery], because: Because, *, now: datetime) -> None:
    """Ends what waits among `rows`, unsent. What is being sent just now ends by itself."""
    waiting = rows.filter(state__in=(DeliveryState.QUEUED, DeliveryState.WAITING))
    waiting.update(state=DeliveryState.SUPPRESSED, last_because=because.to_json(), payload=None, settled_at=now)
