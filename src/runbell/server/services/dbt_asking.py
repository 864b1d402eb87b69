"""Asking the dbt platform, within its limits: while it refuses or does not answer it is left in peace, longer each time."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from runbell.channels.dbt_api import TIMEOUT, DbtApi, DbtTrouble, Kind
from runbell.server.db.models import DbtPlatform
from runbell.server.services.dbt_platforms import api_of
from runbell.server.services.notices import tell_dbt_stopped

BUSY = timedelta(seconds=10)  # a 429 without Retry-After
LONGEST = timedelta(minutes=1)
NO_RIGHTS = timedelta(minutes=5)


class Held(Exception):
    """It is not asked now."""


@contextmanager
def asking(platform: DbtPlatform, *, now: datetime, timeout: float = TIMEOUT) -> Iterator[DbtApi]:
    """Raises `Held` before anything is asked. What comes of it is noted; `DbtTrouble` goes on to the caller."""
    if platform.held_until and platform.held_until > now:
        raise Held
    with closing(api_of(platform, timeout=timeout)) as api:
        try:
            yield api
        except DbtTrouble as trouble:
            if trouble.kind not in (Kind.MISSING, Kind.REFUSED):
                _note_trouble(platform, trouble, now)
            raise
    if platform.failures or platform.held_until or platform.broken_because:
        _note_works(platform)


def _note_works(platform: DbtPlatform) -> None:
    platform.failures, platform.held_until, platform.broken_because, platform.broken_at = 0, None, None, None
    _mine(platform).update(failures=0, held_until=None, broken_because=None, broken_at=None)


@transaction.atomic
def _note_trouble(platform: DbtPlatform, trouble: DbtTrouble, now: datetime) -> None:
    is_news = trouble.kind is Kind.RIGHTS and platform.broken_because is None
    platform.failures = min(platform.failures + 1, 30)
    platform.held_until = now + _pause(platform.failures, trouble)
    if trouble.kind is Kind.RIGHTS:
        platform.broken_because, platform.broken_at = trouble.because.to_json(), platform.broken_at or now
    changed = _mine(platform).update(
        failures=platform.failures, held_until=platform.held_until, broken_because=platform.broken_because, broken_at=platform.broken_at
    )
    if is_news and changed:
        tell_dbt_stopped(platform, trouble.because, now=now)


def _pause(failures: int, trouble: DbtTrouble) -> timedelta:
    if trouble.retry_after is not None:
        return trouble.retry_after
    if trouble.kind is Kind.RIGHTS:
        return NO_RIGHTS
    return BUSY if trouble.kind is Kind.LIMITED else min(timedelta(seconds=2 ** min(failures - 1, 10)), LONGEST)


def _mine(platform: DbtPlatform) -> QuerySet[DbtPlatform]:
    """Unless somebody set another token meanwhile: then this says nothing of it."""
    return DbtPlatform.objects.filter(pk=platform.pk, updated_at=platform.updated_at, removed_at=None)
