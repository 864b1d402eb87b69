"""Who changed what."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from runbell.server.db.models import Account, AuditEntry
from runbell.server.services.access import Actor


def record(
    *,
    account: Account,
    actor: Actor | None,
    action: str,
    subject: str,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """`actor` None: the server's own command line. Never put a secret into `before` or `after`."""
    AuditEntry.objects.create(
        account=account,
        at=now,
        member=actor.member if actor else None,
        token=actor.token if actor else None,
        action=action,
        subject=subject[:400],
        before=before or {},
        after=after or {},
    )
