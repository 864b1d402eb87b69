"""Runs of the dbt platform, read and recorded by the worker: with their steps and artifacts, once these are there.

due ─ read it ─ runs still? ──> recorded as started; events or the poller make it due again
          │  └─ ended, whole? ──> recorded: decided and told
          └─ no details yet ─ before settle_at? ──> again soon
                            └─ after? ──> told with what is known; details that come later are for the page alone
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Min

from runbell.channels.dbt_api import DbtApi, DbtTrouble, Kind
from runbell.core.artifacts import Artifact, is_stale, read_artifact
from runbell.core.dbt_runs import Told, report_of, run_key, told_by_api, told_by_event
from runbell.core.runs import RunReport
from runbell.server.db.models import DbtEvent, DbtPlatform, DbtRun
from runbell.server.services.artifacts import Place, keep
from runbell.server.services.dbt_asking import Held, asking
from runbell.server.services.dbt_mirror import job_ref, knows_job, refresh
from runbell.server.services.dbt_platforms import host_of, system_actor
from runbell.server.services.runs import record_run

AT_ONCE = 50
LEASE = timedelta(minutes=2)
AGAIN = timedelta(seconds=2)  # for artifacts that are not there yet
LATE_EVERY, LATE_FOR = timedelta(minutes=2), timedelta(hours=1)
KEPT = timedelta(days=30)
ARTIFACTS_A_RUN = 50


@dataclass(frozen=True, slots=True)
class Detail:
    """`is_whole`: there is no more to wait for. Artifacts are by the platform's numbers of their steps."""

    told: Told
    artifacts: Mapping[int, Artifact] = field(default_factory=dict)
    files: Mapping[int, tuple[str, bytes]] = field(default_factory=dict)  # the same as they came, with their names
    is_whole: bool = True
    is_of_now: bool = True  # else by an event, whose names may be old ones


def run_due(now: datetime) -> datetime | None:
    """Everything that is due, and when something is again."""
    for row in DbtRun.objects.filter(due_at__lte=now).select_related("platform__account").order_by("due_at")[:AT_ONCE]:
        claim = now + LEASE
        if row.platform.token and DbtRun.objects.filter(pk=row.pk, due_at=row.due_at).update(due_at=claim):
            _work(row, claim, now)
        elif not row.platform.token:
            DbtRun.objects.filter(pk=row.pk).update(due_at=None)
    _prune(now)
    soonest: datetime | None = DbtRun.objects.aggregate(at=Min("due_at"))["at"]
    return soonest


def _work(row: DbtRun, claim: datetime, now: datetime) -> None:
    """The platform's row is read afresh: an earlier one of this turn may have found that it does not answer."""
    platform = DbtPlatform.objects.select_related("account").get(pk=row.platform_id)
    detail = _read(row, platform, now)
    if detail and detail.told.has_ended and row.settle_at is None:
        row.settle_at = now + settings.RUNBELL_DBT_SETTLE
    is_overdue = bool(row.settle_at and row.settle_at <= now)
    if detail and (detail.is_whole or is_overdue) and not (row.told_at and not detail.is_whole):
        _record(row, platform, detail, now)
    _settle(row, platform, detail, claim, now)


def _read(row: DbtRun, platform: DbtPlatform, now: datetime) -> Detail | None:
    """What is known now, if anything."""
    by_event = told_by_event(row.told) if row.told else None
    try:
        with asking(platform, now=now) as api:
            detail = _ask(api, row)
            if not knows_job(platform, detail.told.job.id):
                refresh(platform, api, now=now)
    except (DbtTrouble, Held) as trouble:
        is_gone = isinstance(trouble, DbtTrouble) and trouble.kind is Kind.MISSING
        return Detail(by_event, is_whole=is_gone, is_of_now=False) if by_event and by_event.run_id else None
    if by_event and by_event.has_ended and not detail.told.has_ended:
        return Detail(by_event, is_whole=False, is_of_now=False)  # the event knows more than the API does yet
    return detail


def _ask(api: DbtApi, row: DbtRun) -> Detail:
    told = told_by_api(api.run(row.external_id))
    if not told.has_ended:
        return Detail(told)
    artifacts: dict[int, Artifact] = {}
    files: dict[int, tuple[str, bytes]] = {}
    wanted = [step for step in told.steps if step.artifact][-ARTIFACTS_A_RUN:]
    for step in wanted:
        raw = api.artifact(row.external_id, step.artifact, step.index)
        found = read_artifact(raw) if raw is not None else None
        if raw is not None and isinstance(found, Artifact) and not is_stale(found, since=step.started_at):
            artifacts[step.index], files[step.index] = found, (step.artifact, raw)
    return Detail(told, artifacts, files, is_whole=told.has_artifacts or (bool(wanted) and len(artifacts) == len(wanted)))


def _record(row: DbtRun, platform: DbtPlatform, detail: Detail, now: datetime) -> None:
    told = detail.told
    ref = job_ref(platform, told.project, told.environment, told.job, now=now, is_newest=detail.is_of_now)
    report = report_of(
        told,
        job=ref,
        key=run_key(host_of(platform), platform.external_id, row.external_id),
        aliases=aliases_of(platform, row.external_id),
        artifacts=detail.artifacts,
        now=now,
    )
    row.run = record_run(report, actor=system_actor(platform.account), now=now).run
    if told.has_ended:
        row.told_at = row.told_at or now
    if settings.RUNBELL_DBT_ARTIFACTS:
        _keep(detail, report, row.run.pk, now)


def _keep(detail: Detail, report: RunReport, run_id: int, now: datetime) -> None:
    """By our numbers: the steps that are not dbt's are not among ours."""
    for number, step in enumerate(report.steps, 1):
        name, raw = detail.files.get(step.index, ("", b""))
        if name and len(raw) <= settings.RUNBELL_MAX_ARTIFACT:
            keep(Place(run_id, number, name), raw, now=now)


def aliases_of(platform: DbtPlatform, run_id: str) -> tuple[str, ...]:
    """As `runbell report` calls a run whose artifacts name it; not where two hosts could mean two runs by one number."""
    connected = DbtPlatform.objects.filter(account=platform.account_id).exclude(polled_to=None)  # ever: an import alone brings no runs
    hosts = connected.values_list("url", flat=True)
    return (f"dbt-run:{run_id}",) if set(hosts) == {platform.url} else ()


def _settle(row: DbtRun, platform: DbtPlatform, detail: Detail | None, claim: datetime, now: datetime) -> None:
    """When it is due again, unless an event came meanwhile and said so itself."""
    row.tries += 1
    due_at, done_at = _next(row, platform, detail, now)
    facts = {"tries": row.tries, "run": row.run, "told_at": row.told_at, "settle_at": row.settle_at}
    rows = DbtRun.objects.filter(pk=row.pk)
    if not rows.filter(due_at=claim).update(due_at=due_at, done_at=done_at, **facts):
        rows.update(tries=row.tries, run=row.run, told_at=row.told_at)


def _next(row: DbtRun, platform: DbtPlatform, detail: Detail | None, now: datetime) -> tuple[datetime | None, datetime | None]:
    is_whole = bool(detail and detail.is_whole)
    if is_whole and detail and detail.told.has_ended:
        return None, now
    if is_whole:
        return None, None
    if row.told_at or (row.settle_at is None and row.seen_at + LATE_FOR <= now):
        is_over = row.seen_at + LATE_FOR <= now
        return (None, now) if is_over and row.told_at else (None if is_over else now + LATE_EVERY, None)
    again = max(platform.held_until or now, now + AGAIN)
    return (min(again, max(row.settle_at, now + AGAIN)) if row.settle_at else again), None


def _prune(now: datetime) -> None:
    """By then neither a repeat nor the poller's look back comes to them; if one did, the run's key would know it."""
    DbtEvent.objects.filter(received_at__lt=now - KEPT).delete()
    DbtRun.objects.filter(done_at__lt=now - KEPT).delete()
