"""The commands of a run, one line each."""

from runbell.core.outcomes import ending
from runbell.core.runs import Outcome
from runbell.messages.facts import RunFacts, StepFacts, is_rewritten
from runbell.messages.labels import TONES, ended
from runbell.messages.message import Span, StepLine
from runbell.messages.reasons import signal_name
from runbell.messages.safe import one_line
from runbell.messages.words import Words

MAX_STEPS = 8
MAX_COMMAND = 100


def steps(facts: RunFacts, words: Words) -> tuple[StepLine, ...]:
    return tuple(_step(step, facts.outcome, words) for step in facts.steps[:MAX_STEPS])


def steps_more(facts: RunFacts, words: Words) -> str:
    more = len(facts.steps) - MAX_STEPS
    return words.count("+{n} more step on the run page.", "+{n} more steps on the run page.", more) if more > 0 else ""


def _step(step: StepFacts, outcome: Outcome, words: Words) -> StepLine:
    report = step.report
    seconds = (report.finished_at - report.started_at).total_seconds() if report.started_at and report.finished_at else None
    return StepLine(
        tone=TONES[step.outcome],
        word=ended(step.outcome, words),
        command=one_line(report.command, MAX_COMMAND),
        detail="; ".join(filter(None, (_counts(step, words), _end(step, outcome, words)))),
        took=Span(seconds) if seconds is not None else None,
    )


def _end(step: StepFacts, outcome: Outcome, words: Words) -> str:
    """How the process ended, where that is what decided the run."""
    code, death = ending(step.report.exit_code) if step.report.exit_code is not None else (None, None)
    stopped_by = step.report.signal or death
    if stopped_by and code != 0:
        if step.outcome is Outcome.CANCELLED:
            return words.say("interrupted by {signal}", signal=signal_name(stopped_by))
        return words.say("killed by signal {number}", number=str(stopped_by))
    if code is None or step.outcome is not outcome:
        return ""
    return words.say("exit code {code}", code=str(code))


def _counts(step: StepFacts, words: Words) -> str:
    counts = step.report.counts
    passed, warned, failed, skipped = (counts.get(name, 0) for name in ("passed", "warned", "failed", "skipped"))
    is_canceled = step.outcome is Outcome.CANCELLED
    if is_canceled and is_rewritten(counts):
        failed = 0
    if sources := counts.get("sources", 0):
        if sources == passed:
            return words.count("{n} source fresh", "{n} sources fresh", sources)
        if sources == passed + warned + failed:
            return ", ".join(filter(None, (_n_fresh(passed, words), _n_stale(warned + failed, words))))
    said = [
        words.count_of("nodes", "{n} passed", "{n} passed", passed) if passed else "",
        words.count_of("nodes", "{n} warned", "{n} warned", warned) if warned else "",
        words.count_of("nodes", "{n} failed", "{n} failed", failed) if failed else "",
    ]
    if skipped and is_canceled:
        said.append(words.count_of("nodes", "{n} not started", "{n} not started", skipped))
    elif skipped:
        said.append(words.count_of("nodes", "{n} skipped", "{n} skipped", skipped))
    return ", ".join(filter(None, said))


def _n_fresh(n: int, words: Words) -> str:
    return words.count_of("sources", "{n} fresh", "{n} fresh", n) if n else ""


def _n_stale(n: int, words: Words) -> str:
    return words.count_of("sources", "{n} stale", "{n} stale", n)
