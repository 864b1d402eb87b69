"""Secrets that are kept only as long as they can be of use."""

from datetime import datetime

from django.db.models import Min

from runbell.server.db.models import Destination, State
from runbell.server.services.kept_rules import UNDO_FOR

WEBHOOK = "slack_webhook"


def forget_removed(now: datetime) -> datetime | None:
    """Forgets URLs of webhooks that can no longer be brought back, and says when there is one again."""
    removed = Destination.objects.filter(kind=WEBHOOK, state=State.DELETED)
    removed.filter(updated_at__lte=now - UNDO_FOR).exclude(secret="").update(secret="")
    last: datetime | None = removed.filter(updated_at__gt=now - UNDO_FOR).aggregate(at=Min("updated_at"))["at"]
    return last + UNDO_FOR if last else None
