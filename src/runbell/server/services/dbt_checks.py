"""Check: what of an account of the dbt platform works and what does not, asked one by one."""

from collections.abc import Callable
from contextlib import closing
from datetime import datetime

from django.db import transaction

from runbell.channels.dbt_api import DbtApi, DbtTrouble, Kind
from runbell.core.because import Because
from runbell.server.db import bell
from runbell.server.db.models import DbtPlatform
from runbell.server.services import limits
from runbell.server.services.access import Actor
from runbell.server.services.dbt_platforms import api_of, platform_for

CHECKS_A_MINUTE = 6
WHAT = ("account", "projects", "environments", "jobs", "runs", "artifacts")


def check_now(actor: Actor, platform_id: int, *, now: datetime) -> None:
    """Raises `NotThere`, `NotAllowed`, `TooMany`. A way that is down is asked once, not six times."""
    platform = platform_for(actor, platform_id)
    limits.take(f"dbt-check:{platform.pk}", CHECKS_A_MINUTE, now=now)
    lines: list[dict[str, object]] = []
    with closing(api_of(platform)) as api:
        for what in WHAT:
            trouble = _trouble(_question(api, what))
            lines.append({"what": what, "because": trouble.because.to_json() if trouble else None})
            if trouble and (what == "account" or trouble.kind is Kind.WAY):
                break
    _keep(platform, lines, now)


@transaction.atomic
def _keep(platform: DbtPlatform, lines: list[dict[str, object]], now: datetime) -> None:
    """When all is well the worker asks again at once."""
    rows = DbtPlatform.objects.filter(pk=platform.pk, updated_at=platform.updated_at)
    rows.update(checked_at=now, checked=lines)
    if all(line["because"] is None for line in lines):
        rows.update(broken_because=None, broken_at=None, held_until=None, failures=0, poll_at=now)
        transaction.on_commit(bell.ring)


def _question(api: DbtApi, what: str) -> Callable[[], object]:
    if what == "account":
        return api.account
    if what == "runs":
        return api.last_run
    return (lambda: _artifacts(api)) if what == "artifacts" else (lambda: api.listing(what))


def _artifacts(api: DbtApi) -> None:
    run = api.last_run()
    if run and type(run.get("id")) is int:
        api.artifacts(str(run["id"]))


def _trouble(ask: Callable[[], object]) -> DbtTrouble | None:
    try:
        ask()
    except DbtTrouble as trouble:
        return trouble
    return None


def checked(platform: DbtPlatform) -> list[tuple[str, Because | None]]:
    return [(line["what"], Because.from_json(line["because"]) if line["because"] else None) for line in platform.checked]
