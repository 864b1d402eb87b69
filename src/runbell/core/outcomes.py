"""How a run ended, from what its steps say: cancelled › failed › warned › succeeded, first match wins."""

import signal

from runbell.core.because import Because
from runbell.core.runs import Outcome, RunReport, StepReport, worst

STOPS = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})
"""Signals by which somebody asks a job to stop: a terminal that closes, Ctrl-C, Ctrl-\\, and every scheduler's cancel. Death by any
other (the kernel's SIGKILL when memory runs out, a crash) is a failure: nobody asked for it."""

CODES = ("interrupted", "claimed", "killed", "exit_code", "no_end_reported", "warnings", "no_trouble")


def ending(exit_code: int) -> tuple[int, int | None]:
    """The exit code as a shell shows it, and the signal behind it: -15 and 143 are (143, 15); 2 is (2, None)."""
    if -64 <= exit_code < 0:
        return 128 - exit_code, -exit_code
    if 128 < exit_code <= 192:
        return exit_code, exit_code - 128
    return exit_code, None


def step_outcome(step: StepReport, *, otherwise: Outcome = Outcome.FAILED) -> Outcome:
    """A step that ended with 0 in spite of a signal did its work. `otherwise`: what one is whose end nobody told."""
    said = _said(step)
    if _end(step)[0] is None:
        return worst([said or otherwise, otherwise])
    return said or otherwise


def run_outcome(report: RunReport) -> Outcome:
    """The outcome of a finished report. A reporter may know more than its steps tell, so its own word can make the outcome
    worse and never better. Without that word, what never ended has failed."""
    claimed = report.outcome or Outcome.FAILED
    steps = [step_outcome(step, otherwise=claimed) for step in report.steps]
    return worst([claimed, *steps] if report.outcome or not steps else steps)


def because_of(report: RunReport) -> Because:
    """What decided the outcome: the first step that says so, or else the reporter's word; one of `CODES`."""
    outcome = run_outcome(report)
    step = next((step for step in report.steps if _said(step) is outcome), None)
    return _because(step, outcome) if step else Because("claimed" if report.outcome else "no_end_reported")


def _said(step: StepReport) -> Outcome | None:
    """What the step itself tells. Its artifacts tell of warnings only: whether it failed is for the exit code to say."""
    code, stopped_by = _end(step)
    if code:
        return Outcome.CANCELLED if stopped_by in STOPS else Outcome.FAILED
    if step.counts.get("warned"):
        return Outcome.WARNED
    return None if code is None else Outcome.SUCCEEDED


def _because(step: StepReport, outcome: Outcome) -> Because:
    code, stopped_by = _end(step)
    if outcome is Outcome.CANCELLED:
        return Because("interrupted", {"signal": stopped_by})
    if outcome is Outcome.FAILED:
        return Because("killed", {"signal": stopped_by}) if stopped_by else Because("exit_code", {"exit_code": code, "step": step.index})
    return Because("warnings" if outcome is Outcome.WARNED else "no_trouble")


def _end(step: StepReport) -> tuple[int | None, int | None]:
    """Exit code and signal. A signal that was passed on goes before the one that killed: a job that is killed because it did not
    stop in time was cancelled. A signal alone is an end too."""
    if step.exit_code is None:
        return (128 + step.signal, step.signal) if step.signal else (None, None)
    code, death = ending(step.exit_code)
    return code, step.signal or death
