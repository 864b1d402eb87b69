"""A report becomes a run: one transaction for run, steps, nodes, decisions and deliveries; a 2xx answer comes after its commit.

report ─ keys known? ─no──> new run ─ finished? ─> decided and stored at once, with others of its job in a batch
              └─yes─> known run (or two: merge) ─> decided? ─no──> the new snapshot ─ finished? ─> decided
                                                      └─yes─> fill what was empty, say what was ignored
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.conf import settings
from django.db import IntegrityError, transaction

from runbell.core.because import Because
from runbell.core.outcomes import because_of, run_outcome
from runbell.core.permissions import Action
from runbell.core.redact import redact_report
from runbell.core.runs import JobRef, RunReport, RunState, to_json
from runbell.server.db import new_rows
from runbell.server.db.inserts import insert, row_of
from runbell.server.db.models import Account, Job, Run, RunKey
from runbell.server.db.prepared import Given, Prepared
from runbell.server.services import artifacts
from runbell.server.services.access import Actor, NotThere, in_project
from runbell.server.services.decisions import decide_run, rules_of, store_decided, weigh
from runbell.server.services.jobs import find_or_create_job
from runbell.server.services.steps import complete_steps, numbered, store_steps, told_steps

TOGETHER = 50
LATE_FIELDS = ("git_branch", "git_sha", "host_tool", "log_end")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a report. `ignored`: the fields that came too late to change what was decided."""

    run: Run
    is_new: bool
    ignored: tuple[str, ...] = ()


def record_run(report: RunReport, *, actor: Actor, now: datetime) -> Recorded:
    """Stores a report; the same one told twice is one run and one notification. Raises `NotAllowed`, `NotThere`, `BadField`."""
    actor.require(Action.REPORT_RUNS)
    return _record(redact_report(report), actor, now)


def record_runs(reports: Sequence[RunReport], *, actor: Actor, now: datetime) -> list[Recorded | NotThere]:
    """Each as if it came alone, in this order; what would have raised `NotThere` has it in its place. Raises `NotAllowed`.

    New runs of one job are stored together, up to `TOGETHER` in one transaction: everybody else waits for it on SQLite.
    """
    actor.require(Action.REPORT_RUNS)
    reports = [redact_report(report) for report in reports]
    told = Counter(key for report in reports for key in _keys(report))
    of_job: dict[JobRef, list[int]] = defaultdict(list)
    for place, report in enumerate(reports):
        if all(told[key] == 1 for key in _keys(report)):
            of_job[report.job].append(place)
    results: dict[int, Recorded | NotThere] = {}
    for places in of_job.values():
        for first in range(0, len(places), TOGETHER):
            results |= _record_together({place: reports[place] for place in places[first : first + TOGETHER]}, actor, now)
    for place in sorted(set(range(len(reports))) - set(results)):
        results[place] = _record_or_not(reports[place], actor, now)
    return [results[place] for place in range(len(reports))]


def _record_together(reports: Mapping[int, RunReport], actor: Actor, now: datetime) -> Mapping[int, Recorded]:
    """Those that are of new runs; the others, and all of them when somebody is in the way, are left to come alone."""
    try:
        with transaction.atomic():
            known = _known([key for report in reports.values() for key in _keys(report)], actor)
            new = {place: report for place, report in reports.items() if known.keys().isdisjoint(_keys(report))}
            return dict(zip(new, _add_runs(list(new.values()), actor, now), strict=True))
    except (IntegrityError, NotThere):
        return {}


def _record_or_not(report: RunReport, actor: Actor, now: datetime) -> Recorded | NotThere:
    try:
        return _record(report, actor, now)
    except NotThere as nothing:
        return nothing


def _record(report: RunReport, actor: Actor, now: datetime) -> Recorded:
    try:
        with transaction.atomic():
            return _record_now(report, actor, now)
    except IntegrityError:
        # Another process stored the same key, or moved the run, between our look and our write: now it is there to be found.
        with transaction.atomic():
            return _record_now(report, actor, now)


def _record_now(report: RunReport, actor: Actor, now: datetime) -> Recorded:
    known = _known(_keys(report), actor)
    if not known:
        return _add_runs([report], actor, now)[0]
    runs = [run for pk in sorted(set(known.values())) for run in _hold_run(pk=pk)]
    if len(runs) < len(set(known.values())):
        # The row was moved to another job while we waited for it, and the join with its old one fails (PostgreSQL).
        raise IntegrityError("a run was merged into another job meanwhile")
    if not all(in_project(actor, run.job.environment.project_id) for run in runs):
        raise NotThere  # a key is no way around a token's limits
    run = _merge(runs)
    insert(RunKey, (_key(run, key) for key in _keys(report) if key not in known))
    if run.decided_at is not None:
        return Recorded(run, is_new=False, ignored=_add_late(run, report))
    if report.state is RunState.FINISHED or run.state == RunState.STARTED:
        _renew(run, report, actor.member.account, now)
    elif run.settle_at is None:
        decide_run(run, now=now, account=actor.member.account)
    return Recorded(run, is_new=False)


def _keys(report: RunReport) -> list[str]:
    invocations = (f"inv:{step.invocation_id}" for step in report.steps if step.invocation_id)
    return list(dict.fromkeys([report.key, *report.aliases, *invocations]))


def _key(run: Run, key: str) -> new_rows.RunKey:
    return {"account_id": run.account_id, "key": key, "run_id": run.pk}


def _known(keys: Sequence[str], actor: Actor) -> dict[str, int]:
    given = {f"key{number}": key for number, key in enumerate(keys)}
    return dict(_find_keys(len(keys))(account=actor.account_id, **given))


@lru_cache(maxsize=4 * TOGETHER)
def _find_keys(count: int) -> Prepared[tuple[str, int]]:
    keys = [Given(f"key{number}") for number in range(count)]
    return Prepared(lambda: RunKey.objects.filter(account=Given("account"), key__in=keys).values_list("key", "run_id"), grows=True)


_hold_run = Prepared(
    lambda: Run.objects.select_for_update(of=("self",)).select_related("job__environment__project").filter(pk=Given("pk")), grows=True
)


def _add_runs(reports: Sequence[RunReport], actor: Actor, now: datetime) -> list[Recorded]:
    """New runs of one job, each table by one statement."""
    if not reports:
        return []
    job = find_or_create_job(reports[0].job, actor=actor, now=now)
    account = actor.member.account
    rules = rules_of(job) if any(report.state is RunState.FINISHED for report in reports) else []
    runs, decided = [], []
    for report in reports:
        runs.append(run := _new_run(report, job, actor, now))
        if run.state == RunState.FINISHED:
            decided.append(weigh(run, told_steps(run, numbered(report)), rules, now=now, account=account))
    told = list(zip(runs, reports, strict=True))
    for run, pk in zip(runs, insert(Run, map(row_of, runs)), strict=True):
        run.pk, run._state.adding = pk, False
    insert(RunKey, (_key(run, key) for run, report in told for key in _keys(report)))
    store_steps((run, numbered(report)) for run, report in told)
    store_decided(decided, now=now)
    return [Recorded(run, is_new=True) for run in runs]


def _new_run(report: RunReport, job: Job, actor: Actor, now: datetime) -> Run:
    run = Run(account_id=actor.account_id, job=job, token=actor.token, received_at=now)
    run.lost_at = now + (job.lost_after or settings.RUNBELL_LOST_RUN_AFTER) if report.state is RunState.STARTED else None
    _fill(run, report)
    return run


def _fill(run: Run, report: RunReport) -> None:
    """What the report says of the run itself."""
    run.state, run.started_at, run.finished_at = report.state, report.started_at, report.finished_at
    run.trigger = to_json(report.trigger)
    run.git_branch, run.git_sha = report.git.branch, report.git.sha
    run.host_tool, run.log_end = report.host_tool, report.log_end
    if report.state is RunState.FINISHED:
        run.outcome, run.because, run.lost_at = run_outcome(report), because_of(report).to_json(), None


def _renew(run: Run, report: RunReport, account: Account, now: datetime) -> None:
    """The newest snapshot replaces the one before, steps and all."""
    _fill(run, report)
    steps, decided = numbered(report), []
    if run.state == RunState.FINISHED and run.settle_at is None:
        decided.append(weigh(run, told_steps(run, steps), rules_of(run.job), now=now, account=account))
    run.save()
    run.steps.all().delete()
    store_steps([(run, steps)])
    store_decided(decided, now=now)


def _merge(runs: list[Run]) -> Run:
    """Keys that met: the older run stays and gets the details, the younger points at it. What was decided once is not sent again."""
    oldest, *younger = runs
    for other in younger:
        RunKey.objects.filter(run=other).update(run=oldest)
        artifacts.move(other, oldest)
        if other.decided_at is not None and oldest.decided_at is None:
            _adopt_end(oldest, other)
        Run.objects.filter(pk=other.pk).update(merged_into=oldest, lost_at=None, settle_at=None)
    return oldest


def _adopt_end(run: Run, other: Run) -> None:
    for name in ("state", "outcome", "because", "finished_at", "decided_at", "not_told", *LATE_FIELDS):
        setattr(run, name, getattr(other, name) or getattr(run, name))
    run.lost_at = run.settle_at = None
    run.save()
    if not run.steps.exists():
        other.steps.update(run=run)
    # Told once, under the younger's name: the receipts and deliveries come along.
    other.deliveries.update(run=run)
    other.receipts.update(run=run)


def _add_late(run: Run, report: RunReport) -> tuple[str, ...]:
    """After the decision: empty fields are filled, a differing end is kept for the page, the rest is named as ignored."""
    told = {"git_branch": report.git.branch, "git_sha": report.git.sha, "host_tool": report.host_tool, "log_end": report.log_end}
    for name, value in told.items():
        if value and not getattr(run, name):
            setattr(run, name, value)
    ignored = [name for name, value in told.items() if value and getattr(run, name) != value]
    if report.state is RunState.FINISHED:
        ignored += _late_end(run, report)
    run.save()
    return tuple(ignored)


def _late_end(run: Run, report: RunReport) -> list[str]:
    complete_steps(run, numbered(report))
    outcome = run_outcome(report)
    if outcome == run.outcome and run.finished_at:
        return []
    run.late_end = {
        "outcome": outcome.value,
        "because": because_of(report).to_json(),
        "finished_at": to_json(report.finished_at),
    }
    return ["outcome"] if outcome != run.outcome else []


def lose_runs(*, now: datetime, limit: int = 100) -> int:
    """Started runs whose end never came fail, and ring. Returns how many; fewer than `limit` means that none are left."""
    with transaction.atomic():
        lost = (
            Run.objects.select_for_update(of=("self",))
            .select_related("account", "job")
            .filter(lost_at__lte=now)
            .order_by("lost_at")[:limit]
        )
        for run in (runs := list(lost)):
            run.state, run.outcome, run.lost_at = RunState.FINISHED, "failed", None
            run.because = Because("no_end_reported").to_json()
            run.save()
            decide_run(run, now=now, account=run.account)
    return len(runs)
