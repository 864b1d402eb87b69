"""Runs of the dbt platform of which no webhook told: cancelled ones, and all whose event was lost. Asked for by when they ended.

`polled_to` is by the clock over there and only moves after what came before it is noted, so a restart loses nothing. Each turn looks
back a little: a run may show up late, and clocks differ. What is known already costs nothing.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Min

from runbell.channels.dbt_api import DbtApi, DbtTrouble
from runbell.core.dbt_runs import told_by_api
from runbell.server.db.models import DbtPlatform, DbtRun
from runbell.server.services.dbt_asking import Held, asking
from runbell.server.services.dbt_events import note
from runbell.server.services.dbt_mirror import refresh

LOOK_BACK = timedelta(minutes=5)
AHEAD = timedelta(hours=1)  # as far as a clock there may be before ours
LEASE = timedelta(minutes=3)
MIRROR_EVERY = timedelta(minutes=15)


def run_due(now: datetime) -> datetime | None:
    for platform in DbtPlatform.objects.filter(poll_at__lte=now, removed_at=None).select_related("account").order_by("poll_at"):
        if DbtPlatform.objects.filter(pk=platform.pk, poll_at=platform.poll_at).update(poll_at=now + LEASE):
            poll(platform, now=now)
            DbtPlatform.objects.filter(pk=platform.pk, poll_at=now + LEASE).update(poll_at=_next(platform, now))
    soonest: datetime | None = DbtPlatform.objects.filter(removed_at=None).aggregate(at=Min("poll_at"))["at"]
    return soonest


def poll(platform: DbtPlatform, *, now: datetime) -> None:
    """Trouble ends the turn; what was noted until then stays."""
    try:
        with asking(platform, now=now) as api:
            if platform.mirrored_at is None or platform.mirrored_at + MIRROR_EVERY <= now:
                refresh(platform, api, now=now)
            _poll(platform, api, now)
    except (DbtTrouble, Held):
        return


def _poll(platform: DbtPlatform, api: DbtApi, now: datetime) -> None:
    """Never further back than when it was connected: what ended before is nobody's news."""
    since = max((platform.polled_to or now) - LOOK_BACK, platform.created_at - LOOK_BACK)
    for page in api.finished_runs(since, now + AHEAD):
        _note(platform, page, now)


@transaction.atomic
def _note(platform: DbtPlatform, page: list[Mapping[str, Any]], now: datetime) -> None:
    runs = [told for told in map(told_by_api, page) if told.run_id and told.has_ended]
    done = DbtRun.objects.filter(platform=platform, external_id__in=[told.run_id for told in runs]).exclude(done_at=None)
    known = set(done.values_list("external_id", flat=True))
    for told in runs:
        if told.run_id not in known:
            note(platform, told.run_id, now=now, has_ended=True)
    ends = [min(told.finished_at, now + AHEAD) for told in runs if told.finished_at]
    platform.polled_to = max([platform.polled_to or now, *ends])
    DbtPlatform.objects.filter(pk=platform.pk).update(polled_to=platform.polled_to)


def _next(platform: DbtPlatform, now: datetime) -> datetime:
    return max(now + settings.RUNBELL_DBT_POLL, platform.held_until or now)
