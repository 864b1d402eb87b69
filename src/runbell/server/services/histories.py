"""How the runs of a job ended before: what a message about a run compares it with."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import islice
from statistics import median
from typing import Any, NamedTuple

from django.db.models import DateTimeField, QuerySet, TextField
from django.db.models.functions import Cast

from runbell.core.runs import Outcome
from runbell.server.db.models import Run
from runbell.server.db.prepared import Given, Prepared

HISTORY = 30
USUAL_SPREAD = 3  # median absolute deviations; what lies within is as usual


class Past(NamedTuple):
    outcome: Outcome
    started_at: datetime
    seconds: float | None


def histories(runs: Sequence[Run]) -> list[list[Past]]:
    """Of stored runs of one job, each with the last `HISTORY` that ended, oldest first and the run itself at the end.

    One query, and one more for each run that was started long before the others.
    """
    before = _ended_until(max(runs, key=lambda run: run.started_at), len(runs))
    is_all = len(before) < HISTORY - 1 + len(runs)
    return [_history(run, before, is_all) for run in runs]


def _history(run: Run, ended: Sequence[tuple[int, Past]], is_all: bool) -> list[Past]:
    before = _last_before(run, ended)
    if not is_all and len(before) < HISTORY - 1:
        before = _last_before(run, _ended_until(run, 1))
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else None
    return [*reversed(before), Past(Outcome(run.outcome), run.started_at, seconds)]


def _last_before(run: Run, ended: Sequence[tuple[int, Past]]) -> list[Past]:
    """The youngest first."""
    fits = (past for pk, past in ended if past.started_at <= run.started_at and pk != run.pk)
    return list(islice(fits, HISTORY - 1))


def _ended_until(run: Run, count: int) -> list[tuple[int, Past]]:
    """What `count` runs, none of them started later than this one, may need; the youngest first."""
    rows = _find_ended(count)(job=run.job_id, started_at=run.started_at)
    return [(pk, _past(outcome, started, finished)) for pk, outcome, started, finished in rows]


@lru_cache(maxsize=100)
def _find_ended(count: int) -> Prepared[tuple[int, str, str, str | None]]:
    """Times as text: thirty rows at a time, Django's way to make moments of them would cost more than all the rest."""

    def ended() -> QuerySet[Run, Any]:
        runs = Run.objects.filter(job=Given("job"), merged_into=None, started_at__lte=Given("started_at", DateTimeField()))
        values = ("pk", "outcome", Cast("started_at", TextField()), Cast("finished_at", TextField()))
        return runs.exclude(outcome="").order_by("-started_at", "-pk").values_list(*values)[: HISTORY - 1 + count]

    return Prepared(ended, grows=True)


def _past(outcome: str, started: str, finished: str | None) -> Past:
    start = _moment(started)
    return Past(Outcome(outcome), start, (_moment(finished) - start).total_seconds() if finished else None)


def _moment(text: str) -> datetime:
    """Both tell UTC; SQLite without saying so."""
    return datetime.fromisoformat(text if "+" in text else f"{text}+00:00")


def usual_seconds(past: Sequence[Past]) -> tuple[float | None, float | None]:
    """Median duration of the runs that ended by themselves and how far from it is still usual; None below three of them."""
    took = [one.seconds for one in past if one.seconds is not None and one.outcome in (Outcome.SUCCEEDED, Outcome.WARNED)]
    if len(took) < 3:
        return None, None
    middle = median(took)
    spread = median(abs(seconds - middle) for seconds in took)
    return middle, max(USUAL_SPREAD * spread, 0.1 * middle)


def trouble(past: Sequence[Past]) -> tuple[datetime | None, int]:
    """Since when, and for how many runs without a break, they have ended like the last one; nothing for a run without trouble."""
    outcome = past[-1].outcome
    if outcome not in (Outcome.FAILED, Outcome.WARNED):
        return None, 0
    row = 0
    while row < len(past) and past[-1 - row].outcome is outcome:
        row += 1
    return past[-row].started_at, row
