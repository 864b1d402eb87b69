"""What the dbt platform tells by webhooks: believed when signed, taken once, written down and answered. The worker reads the rest.

POST ─ signature fits? ─> known event id? ─> event + run that is due, in one commit ─> 200, and the worker is rung
"""

import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from runbell.core.because import Because
from runbell.core.dbt_runs import EVENTS, Event, read_event, told_by_event
from runbell.core.fields import BadField
from runbell.server.db import bell
from runbell.server.db.models import DbtEvent, DbtPlatform, DbtRun

MAX_BODY = 1024 * 1024
_NO_SECRET = "no such integration"  # noqa: S105  # signed with by nobody: the answer takes as long for an unknown id


class NotSigned(Exception):
    """Not signed with the secret of this integration, or there is no such integration: strangers cannot tell which."""


def take(platform_id: int, body: bytes, signature: str, *, now: datetime) -> dict[str, Any]:
    """What to answer with. Raises `NotSigned`, and `BadField` for what is signed and cannot be read."""
    platform = _signer(platform_id, body, signature)
    event = read_event(_json(body))
    because = _of_no_use(event, platform)
    DbtPlatform.objects.filter(pk=platform.pk).update(heard_at=now, heard_because=because.to_json() if because else None)
    if because:
        return {"ignored": because.code, **because.params}
    try:
        return _take_once(platform, event, now)
    except IntegrityError:
        # The same event, or another about the same run, was written by another process between our look and our write.
        return _take_once(platform, event, now)


def _signer(platform_id: int, body: bytes, signature: str) -> DbtPlatform:
    platform = DbtPlatform.objects.filter(pk=platform_id, removed_at=None).exclude(webhook_secret="").first()
    secret = platform.webhook_secret if platform else _NO_SECRET
    made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    is_same = hmac.compare_digest(made.encode(), signature.strip().encode("utf-8", "replace"))
    if platform is None or not is_same:
        raise NotSigned
    return platform


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError):
        raise BadField("body", "is not JSON") from None


def _of_no_use(event: Event, platform: DbtPlatform) -> Because | None:
    if event.account_id != platform.external_id:
        return Because("dbt_other_account", {"account": event.account_id})
    return None if event.type in EVENTS else Because("dbt_other_event", {"event": event.type})


@transaction.atomic
def _take_once(platform: DbtPlatform, event: Event, now: datetime) -> dict[str, Any]:
    _, is_new = DbtEvent.objects.get_or_create(platform=platform, event_id=event.id, defaults={"received_at": now})
    if not is_new:
        return {"known": True}
    told = told_by_event(event.raw)
    note(platform, told.run_id, now=now, told=dict(event.raw), has_ended=told.has_ended)
    transaction.on_commit(bell.ring)
    return {"taken": True}


def note(platform: DbtPlatform, run_id: str, *, now: datetime, told: dict[str, Any] | None = None, has_ended: bool) -> None:
    """There is news of a run. An end is never taken back by a start that comes late; what is done is done. Inside a transaction."""
    DbtRun.objects.get_or_create(platform=platform, external_id=run_id, defaults={"seen_at": now})
    row = DbtRun.objects.select_for_update().get(platform=platform, external_id=run_id)
    if row.done_at or (row.settle_at and not has_ended):
        return
    if told and (has_ended or not row.told):
        row.told = _short(told)
    if has_ended and row.settle_at is None:
        row.settle_at = now + settings.RUNBELL_DBT_SETTLE
    if not row.told_at:
        row.due_at = now
    row.save()


def _short(told: dict[str, Any]) -> dict[str, Any]:
    """Only what is read of it, and short: it is stored."""
    return {name: value[:1000] if isinstance(value, str) else value for name, value in told.items() if isinstance(value, str | int | None)}
