"""Boxes that two people changed at once: every pair of what was, what shall be and what is stored."""

import pytest

from runbell.core.cells import ALL_JOBS, Cell, Conflict, Merge, Stored, Value, merge
from runbell.core.fields import BadField
from runbell.core.runs import Outcome

OFF, ON, ALL, GONE = Value.OFF, Value.ON, Value.ALL, Value.GONE
FAILED, WARNED = Outcome.FAILED, Outcome.WARNED
JOB = 7


def stored(*rules: tuple[int, Outcome], jobs: tuple[int, ...] = (JOB,)) -> Stored:
    return Stored(frozenset(jobs), frozenset(rules))


def one(was: Value, to: Value, now: Stored, *, line: int = JOB) -> Merge:
    return merge([Cell(line, FAILED, was, to)], now)


@pytest.mark.parametrize("line", [JOB, ALL_JOBS])
@pytest.mark.parametrize(
    ("was", "to", "is_stored", "add", "remove"),
    [(OFF, ON, False, 1, 0), (ON, OFF, True, 0, 1), (OFF, ON, True, 0, 0), (ON, OFF, False, 0, 0)],
)
def test_a_box_that_is_as_it_was_is_changed_and_one_that_is_as_wished_is_left(
    line: int, was: Value, to: Value, is_stored: bool, add: int, remove: int
) -> None:
    found = one(was, to, stored((line, FAILED)) if is_stored else stored(), line=line)
    assert (len(found.add), len(found.remove), found.conflicts) == (add, remove, ())


@pytest.mark.parametrize("to", [OFF, ON])
def test_all_jobs_chosen_meanwhile_is_neither(to: Value) -> None:
    found = one(ON if to is OFF else OFF, to, stored((ALL_JOBS, FAILED)))
    assert [conflict.stored for conflict in found.conflicts] == [ALL]


def test_a_job_that_is_gone_is_neither() -> None:
    found = one(OFF, ON, stored(jobs=()))
    assert found.conflicts == (Conflict(Cell(JOB, FAILED, OFF, ON), GONE),)


def test_whoever_changed_the_line_of_all_jobs_means_the_jobs_own_boxes() -> None:
    now = stored((ALL_JOBS, FAILED))
    found = merge([Cell(ALL_JOBS, FAILED, ON, OFF), Cell(JOB, FAILED, OFF, ON)], now)
    assert found == Merge(add=((JOB, FAILED),), remove=((ALL_JOBS, FAILED),), conflicts=())


def test_another_outcome_of_all_jobs_does_not_matter() -> None:
    assert not one(OFF, ON, stored((ALL_JOBS, WARNED))).conflicts


def test_having_chosen_below_all_jobs_holds_only_while_that_is_so() -> None:
    assert not one(ALL, ON, stored((ALL_JOBS, FAILED))).conflicts
    assert one(ALL, ON, stored()).conflicts[0].stored is OFF


def test_a_box_comes_once() -> None:
    cell = Cell(JOB, FAILED, OFF, ON)
    with pytest.raises(BadField, match="twice"):
        merge([cell, cell], stored())
