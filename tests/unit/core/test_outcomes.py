import signal
from datetime import UTC, datetime

import pytest

from runbell.core.outcomes import because_of, ending, run_outcome, step_outcome
from runbell.core.runs import JobRef, Outcome, RunReport, RunState, StepReport

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


def test_death_by_a_signal_nobody_asked_for_names_the_signal() -> None:
    assert because_of(report(StepReport(1, "dbt build", exit_code=137))).to_json() == {"code": "killed", "params": {"signal": 9}}
