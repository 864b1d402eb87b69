"""How a run ended, from what its steps say: cancelled › failed › warned › succeeded, first match wins."""

import signal

from runbell.core.because import Because
from runbell.core.runs import Outcome, RunReport, StepReport, worst

STOPS = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})
"""Signals by which somebody asks a job to stop: a terminal that closes, Ctrl-C, Ctrl-\\, and every scheduler's cancel."""

CODES = ("interrupted", "claimed", "killed", "exit_code", "no_end_reported", "warnings", "no_trouble")


def ending(exit_code: int) -> tuple[int, int | None]:
    """The exit code as a shell shows it, and the signal behind it: -15 and 143 are (143, 15); 2 is (2, None)."""
    if -64 <= exit_code < 0:
        return 128 - exit_code, -exit_code
    if 128 < exit_code <= 192:
        return exit_code, exit_code - 128
    return exit_code, None


def step_outcome(step: StepReport) -> Outcome:
    """A step that ended with 0 in spite of a signal did its work. Without an exit code or a signal it never ended: failed."""
    code, death = ending(step.exit_code) if step.exit_code is not None else (1, None)
    stopped_by = step.signal or death
    if code != 0:
        return Outcome.CANCELLED if stopped_by in STOPS else Outcome.FAILED
    return Outcome.WARNED if step.counts.get("warned") else Outcome.SUCCEEDED


def run_outcome(report: RunReport) -> Outcome:
    """The outcome of a finished report. A reporter may know more than its steps tell, so its own word can make the outcome
    worse and never better."""
    claimed = [report.outcome] if report.outcome else []
    return worst(claimed + [step_outcome(step) for step in report.steps])


def because_of(report: RunReport) -> Because:
    """What decided the outcome; one of `CODES`."""
    outcome = run_outcome(report)
    step = next((step for step in report.steps if step_outcome(step) is outcome), None)
    if step is None:
        return Because("claimed")
    code, death = ending(step.exit_code) if step.exit_code is not None else (1, None)
    if outcome is Outcome.CANCELLED:
        return Because("interrupted", {"signal": step.signal or death})
    if outcome is Outcome.FAILED:
        killed_by = step.signal or death
        return Because("killed", {"signal": killed_by}) if killed_by else Because("exit_code", {"exit_code": code, "step": step.index})
    return Because("warnings" if outcome is Outcome.WARNED else "no_trouble")
