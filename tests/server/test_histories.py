"""What a run is compared with: the same, whether it is looked at alone or told with others."""

from datetime import timedelta
from itertools import pairwise

from pytest_django import DjangoAssertNumQueries

from runbell.core.runs import Outcome, RunState
from runbell.server.db.models import Run
from runbell.server.services.histories import HISTORY, histories, trouble, usual_seconds
from tests.server.people import NOW, Acme


def ended(shop: Acme, started: int, *, took: int | None = 60, outcome: str = "succeeded") -> Run:
    """`started`: minutes before now."""
    start = NOW - timedelta(minutes=started)
    return Run.objects.create(
        account=shop.account,
        job=shop.job,
        state=RunState.FINISHED,
        outcome=outcome,
        started_at=start,
        finished_at=start + timedelta(seconds=took) if took is not None else None,
        received_at=NOW,
    )


def test_runs_told_together_have_the_history_that_each_would_have_alone(
    shop: Acme, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for minutes in range(200, 100, -1):
        ended(shop, minutes, took=minutes)
    together = [ended(shop, minutes, outcome="failed") for minutes in (90, 3, 2, 2)]
    with django_assert_num_queries(1):
        found = histories(together)
    assert found == [histories([run])[0] for run in together]
    assert [len(past) for past in found] == [HISTORY] * 4
    assert [past[-1].started_at for past in found] == [run.started_at for run in together]
    assert found[0][-2].seconds == 101
    assert all(earlier.started_at <= later.started_at for past in found for earlier, later in pairwise(past))
    assert [trouble(past)[1] for past in found] == [1, 2, 4, 4]


def test_a_run_from_long_ago_is_asked_for_by_itself(shop: Acme, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    runs = [ended(shop, minutes) for minutes in range(100, 0, -1)]
    with django_assert_num_queries(2):
        late, old = histories([runs[-1], runs[40]])
    assert [past.started_at for past in old] == [run.started_at for run in runs[41 - HISTORY : 41]]
    assert [past.started_at for past in late] == [run.started_at for run in runs[-HISTORY:]]


def test_the_first_run_and_one_without_an_end(shop: Acme) -> None:
    first = ended(shop, 5, took=None, outcome="cancelled")
    [[past]] = histories([first])
    assert (past.outcome, past.started_at, past.seconds) == (Outcome.CANCELLED, first.started_at, None)
    assert usual_seconds([past]) == (None, None)
    assert trouble([past]) == (None, 0)
