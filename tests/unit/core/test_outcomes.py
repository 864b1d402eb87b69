import signal
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbell.core.because import Because
from runbell.core.outcomes import CODES, STOPS, because_of, ending, run_outcome, step_outcome
from runbell.core.runs import COUNTS, SEVERITY, JobRef, Outcome, RunReport, RunState, StepReport

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)


def report(*steps: StepReport, outcome: Outcome | None = None) -> RunReport:
    return RunReport("k", RunState.FINISHED, JobRef("shop", "Production", "nightly"), NOW, NOW, outcome=outcome, steps=steps)


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        (0, (0, None)),
        (2, (2, None)),
        (-15, (143, 15)),
        (143, (143, 15)),
        (130, (130, 2)),
        (137, (137, 9)),
        (128, (128, None)),
        (255, (255, None)),
    ],
)
def test_negative_and_shell_forms_of_an_exit_code_are_one(told: int, meant: tuple[int, int | None]) -> None:
    assert ending(told) == meant


@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        (StepReport(1, "dbt build", exit_code=0), Outcome.SUCCEEDED),
        (StepReport(1, "dbt build", exit_code=0, counts={"warned": 1}), Outcome.WARNED),
        (StepReport(1, "dbt build", exit_code=1, counts={"warned": 1}), Outcome.FAILED),
        (StepReport(1, "dbt build", exit_code=2, signal=signal.SIGINT), Outcome.CANCELLED),
        (StepReport(1, "dbt build", exit_code=0, signal=signal.SIGTERM), Outcome.SUCCEEDED),
        (StepReport(1, "dbt build", exit_code=-9), Outcome.FAILED),
        (StepReport(1, "dbt build", exit_code=-9, signal=signal.SIGTERM), Outcome.CANCELLED),
        (StepReport(1, "dbt build"), Outcome.FAILED),
        (StepReport(1, "dbt build", counts={"warned": 1}), Outcome.FAILED),
        (StepReport(1, "dbt build", signal=signal.SIGTERM), Outcome.CANCELLED),
        (StepReport(1, "dbt build", signal=signal.SIGSEGV), Outcome.FAILED),
        (StepReport(1, "dbt build", exit_code=0, counts={"failed": 3}), Outcome.SUCCEEDED),  # the exit code decides failure
        (StepReport(1, "dbt build", exit_code=255), Outcome.FAILED),
    ],
)
def test_step_outcome(step: StepReport, outcome: Outcome) -> None:
    assert step_outcome(step) is outcome


def test_the_worst_step_decides() -> None:
    run = report(StepReport(1, "dbt source freshness", exit_code=0, counts={"warned": 1}), StepReport(2, "dbt build", exit_code=1))
    assert run_outcome(run) is Outcome.FAILED
    assert because_of(run).to_json() == {"code": "exit_code", "params": {"exit_code": 1, "step": 2}}


def test_a_claimed_outcome_never_makes_it_better() -> None:
    failed = StepReport(1, "dbt build", exit_code=1)
    assert run_outcome(report(failed, outcome=Outcome.SUCCEEDED)) is Outcome.FAILED
    assert run_outcome(report(failed, outcome=Outcome.CANCELLED)) is Outcome.CANCELLED
    assert because_of(report(failed, outcome=Outcome.CANCELLED)).code == "claimed"


def test_steps_that_tell_nothing_of_their_end_leave_it_to_the_reporter() -> None:
    silent, warned = StepReport(1, "dbt build"), StepReport(2, "dbt test", counts={"warned": 2})
    for outcome in Outcome:
        assert run_outcome(report(silent, outcome=outcome)) is outcome
        assert step_outcome(silent, otherwise=outcome) is outcome
        assert because_of(report(silent, outcome=outcome)).code == "claimed"
    assert run_outcome(report(silent, warned, outcome=Outcome.SUCCEEDED)) is Outcome.WARNED
    assert because_of(report(silent, warned, outcome=Outcome.SUCCEEDED)).code == "warnings"


def test_without_any_word_of_an_end_it_failed() -> None:
    ended = StepReport(1, "dbt seed", exit_code=0)
    for run in (report(), report(StepReport(1, "dbt build")), report(ended, StepReport(2, "dbt build", counts={"warned": 1}))):
        assert run_outcome(run) is Outcome.FAILED
        assert because_of(run) == Because("no_end_reported")


@pytest.mark.parametrize("number", sorted(STOPS))
def test_whoever_asks_a_job_to_stop_cancels_it(number: int) -> None:
    for step in (
        StepReport(1, "dbt build", exit_code=-number),
        StepReport(1, "dbt build", exit_code=128 + number),
        StepReport(1, "dbt build", exit_code=2, signal=number),
        StepReport(1, "dbt build", exit_code=137, signal=number),  # it did not stop in time and was killed
    ):
        assert run_outcome(report(step)) is Outcome.CANCELLED
        assert because_of(report(step)) == Because("interrupted", {"signal": number})


def test_death_by_a_signal_nobody_asked_for_names_the_signal() -> None:
    assert because_of(report(StepReport(1, "dbt build", exit_code=137))).to_json() == {"code": "killed", "params": {"signal": 9}}
    assert because_of(report(StepReport(1, "dbt build", exit_code=-11))).to_json() == {"code": "killed", "params": {"signal": 11}}


def test_what_went_well_says_so() -> None:
    fine = StepReport(1, "dbt build", exit_code=0)
    assert because_of(report(fine)) == Because("no_trouble")
    assert because_of(report(fine, StepReport(2, "dbt test", exit_code=0, counts={"warned": 1}))) == Because("warnings")


steps = st.builds(
    StepReport,
    index=st.integers(1, 200),
    command=st.just("dbt build"),
    exit_code=st.none() | st.integers(-64, 300),
    signal=st.none() | st.integers(1, 64),
    counts=st.dictionaries(st.sampled_from(COUNTS), st.integers(0, 3)),
)


@given(st.lists(steps, max_size=4), st.none() | st.sampled_from(Outcome))
def test_the_reporter_s_word_is_a_lower_bound_and_every_reason_is_listed(told: list[StepReport], claimed: Outcome | None) -> None:
    run = report(*told, outcome=claimed)
    assert because_of(run).code in CODES
    assert SEVERITY.index(run_outcome(run)) >= SEVERITY.index(claimed or Outcome.SUCCEEDED)
    for step in told:
        assert SEVERITY.index(run_outcome(run)) >= SEVERITY.index(step_outcome(step, otherwise=Outcome.SUCCEEDED))
