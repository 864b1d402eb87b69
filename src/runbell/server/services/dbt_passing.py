"""Runs that are started, cancelled and tried again on the dbt platform, for jobs that came from there.

What may have been done is never asked for twice, and never answered in a way that makes a client ask again: a job that runs twice is harm.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import DatabaseError, transaction

from runbell.channels.dbt_api import ACT_TIMEOUT, DbtApi, DbtTrouble, Kind
from runbell.core.because import Because
from runbell.core.dbt_runs import Code, Told, report_of, run_key, told_by_api
from runbell.core.permissions import Action
from runbell.core.runs import JobRef
from runbell.messages.reasons import reason
from runbell.server.db import bell
from runbell.server.db.models import DbtPlatform, Job, Run, RunKey
from runbell.server.services import audit
from runbell.server.services.access import Actor, job_for, run_for
from runbell.server.services.dbt_asking import Held, asking
from runbell.server.services.dbt_details import aliases_of
from runbell.server.services.dbt_events import note
from runbell.server.services.dbt_platforms import host_of, integration_of, system_actor
from runbell.server.services.job_places import label
from runbell.server.services.runs import record_run

SOON = timedelta(seconds=10)
UNKNOWN = "Whether it was done is not known: look there before you ask again."


class Verb(StrEnum):
    RUN = "run"
    RERUN = "rerun"
    CANCEL = "cancel"
    RETRY = "retry"


class NotFromDbt(LookupError):
    """The job or the run is of no account of the dbt platform that is connected here."""


class NotNow(RuntimeError):
    """Nothing was asked for: it may be asked again after that time."""

    def __init__(self, after: timedelta, text: str, *, is_limit: bool) -> None:
        super().__init__(text)
        self.after, self.is_limit = after, is_limit


class NotDone(RuntimeError):
    """Refused there, or not known to be done. `code`: what to answer."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def start(actor: Actor, job_id: int, verb: Verb, body: Mapping[str, Any], *, now: datetime) -> Run:
    """The run that began there. Raises `NotThere`, `NotFromDbt`, `NotAllowed`, `NotNow`, `NotDone`."""
    job = require_from_dbt(actor, job_id)
    platform = _platform_of(job)
    actor.require(Action.RUN_JOBS)
    told = _ask(platform, lambda api: api.act(f"jobs/{job.external_id}/{verb}/", body), now)
    return _noted(told, lambda: _begun(platform, job, told, actor, verb, now))


def change(actor: Actor, run_id: int, verb: Verb, *, now: datetime) -> Run:
    """The run itself when it was cancelled, the new one when it was tried again. Raises what `start` does."""
    run = run_for(actor, run_id, Action.SEE_JOBS)
    platform, upstream_id = _source_of(run)
    actor.require(Action.RUN_JOBS)
    told = _ask(platform, lambda api: api.act(f"runs/{upstream_id}/{verb}/", {}), now)
    if verb is Verb.RETRY:
        return _noted(told, lambda: _begun(platform, run.job, told, actor, verb, now))
    return _noted(told, lambda: _cancelled(platform, run, upstream_id, actor, now))


def require_from_dbt(actor: Actor, job_id: int) -> Job:
    """Raises `NotThere`, `NotAllowed`, `NotFromDbt`."""
    job = job_for(actor, job_id, Action.SEE_JOBS)
    _platform_of(job)
    return job


def _platform_of(job: Job) -> DbtPlatform:
    found = [platform for platform in _connected(job.account_id) if integration_of(platform) == job.integration]
    if not job.external_id or not found:
        raise NotFromDbt
    return found[0]


def _source_of(run: Run) -> tuple[DbtPlatform, str]:
    """By the keys of the run: reports may have told of it too."""
    keys = list(RunKey.objects.filter(run=run, key__startswith="dbt:").values_list("key", flat=True))
    for platform in _connected(run.account_id):
        start = run_key(host_of(platform), platform.external_id, "")
        for key in keys:
            if key.startswith(start):
                return platform, key.removeprefix(start)
    raise NotFromDbt


def _connected(account_id: int) -> list[DbtPlatform]:
    rows = DbtPlatform.objects.select_related("account").filter(account=account_id, removed_at=None)
    return [platform for platform in rows if platform.token]


def _ask(platform: DbtPlatform, question: Callable[[DbtApi], Mapping[str, Any]], now: datetime) -> Told:
    """What the platform says of the run. Everything that it can answer becomes one of our own errors."""
    try:
        with asking(platform, now=now, timeout=ACT_TIMEOUT) as api:
            told = told_by_api(question(api))
    except Held:
        pause = platform.held_until - now if platform.held_until else SOON
        raise NotNow(pause, "The dbt platform does not answer at the moment, so it was not asked.", is_limit=False) from None
    except DbtTrouble as trouble:
        raise _said(trouble) from None
    if not told.run_id:
        raise NotDone(409, f"{reason(Because('dbt_not_api'), 'en')} {UNKNOWN}")
    return told


def _said(trouble: DbtTrouble) -> NotNow | NotDone:
    text = reason(trouble.because, "en")
    if trouble.kind is Kind.LIMITED:
        return NotNow(trouble.retry_after or SOON, text, is_limit=True)
    if trouble.kind is Kind.REFUSED:
        return NotDone(int(trouble.because.params["code"]), text)
    if trouble.kind is Kind.MISSING:
        return NotDone(404, text)
    if trouble.kind is Kind.RIGHTS:
        return NotDone(409, text)
    if not trouble.is_asked:
        return NotNow(SOON, text, is_limit=False)
    return NotDone(409, f"{text} {UNKNOWN}")


def _noted(told: Told, keep: Callable[[], Run]) -> Run:
    """It is done there already: a database that is down now must not make anybody ask again."""
    try:
        return keep()
    except DatabaseError:
        raise NotDone(409, f"The dbt platform did it, run {told.run_id}, but it could not be noted here. Do not ask again.") from None


def _cancelled(platform: DbtPlatform, run: Run, upstream_id: str, actor: Actor, now: datetime) -> Run:
    """How it ends is read there, like the end of every other run."""
    with transaction.atomic():
        note(platform, upstream_id, now=now, has_ended=False)
        _record(platform, run.job, actor, Verb.CANCEL, upstream_id, now)
        transaction.on_commit(bell.ring)
    return run


def _begun(platform: DbtPlatform, job: Job, told: Told, actor: Actor, verb: Verb, now: datetime) -> Run:
    """Recorded at once, so that whoever asked can follow it by our id; how it ends is read as for every other run."""
    environment = job.environment
    report = report_of(
        replace(told, code=Code.RUNNING),
        job=JobRef(environment.project.name, environment.name, job.name),
        key=run_key(host_of(platform), platform.external_id, told.run_id),
        aliases=aliases_of(platform, told.run_id),
        artifacts={},
        now=now,
    )
    with transaction.atomic():
        run = record_run(report, actor=system_actor(platform.account), now=now).run
        note(platform, told.run_id, now=now, has_ended=False)
        _record(platform, job, actor, verb, told.run_id, now)
        transaction.on_commit(bell.ring)
    return run_for(actor, run.pk, Action.SEE_JOBS)


def _record(platform: DbtPlatform, job: Job, actor: Actor, verb: Verb, run_id: str, now: datetime) -> None:
    action = audit.ACTIONS["dbt.run" if verb is Verb.RERUN else f"dbt.{verb}"]
    audit.record(account=platform.account, actor=actor, action=action, subject=label(job), now=now, after={"dbt_run": run_id})
