"""The last runs of the job: as bars, and as a sentence that says the same."""

from datetime import timedelta
from statistics import median

from runbell.core.runs import Outcome
from runbell.messages.facts import RunFacts
from runbell.messages.labels import TONES
from runbell.messages.message import Bar, Line, Since
from runbell.messages.words import Words

MAX_BARS = 30
LEAST = 0.06  # a run of no time at all is still a run


def bars(facts: RunFacts) -> tuple[Bar, ...]:
    known = [seconds for _, seconds in facts.history if seconds]
    usual = facts.usual_seconds or (median(known) if known else 0)
    return tuple(Bar(TONES[outcome], _height(seconds, usual)) for outcome, seconds in facts.history[-MAX_BARS:])


def _height(seconds: float | None, usual: float) -> float:
    if seconds is None or not usual:
        return 0.5
    return round(min(max(seconds / usual / 2, LEAST), 1.0), 3)


def history(facts: RunFacts, words: Words) -> Line:
    last = [outcome for outcome, _ in facts.history[-MAX_BARS:]]
    if len(last) < 2:
        return (words.say("This is its first run."),) if last else ()
    counts = ", ".join(count_of_runs(outcome, n, words) for outcome in Outcome if (n := last.count(outcome)))
    line: Line = (words.count("Last {n} run: {counts}.", "Last {n} runs: {counts}.", len(last), counts=counts),)
    trouble = _trouble(facts, words)
    return (*line, " ", *trouble) if trouble else line


def count_of_runs(outcome: Outcome, n: int, words: Words) -> str:
    match outcome:
        case Outcome.SUCCEEDED:
            return words.count_of("runs", "{n} succeeded", "{n} succeeded", n)
        case Outcome.WARNED:
            return words.count_of("runs", "{n} warned", "{n} warned", n)
        case Outcome.FAILED:
            return words.count_of("runs", "{n} failed", "{n} failed", n)
        case Outcome.CANCELLED:
            return words.count_of("runs", "{n} canceled", "{n} canceled", n)


def _trouble(facts: RunFacts, words: Words) -> Line:
    """Since when, if that was another day; else for how many runs."""
    if facts.trouble_since is None or facts.trouble_runs < 2:
        return ()
    until = facts.finished_at or facts.started_at
    is_old = until - facts.trouble_since >= timedelta(days=1)
    since = Since(facts.trouble_since, until)
    if facts.outcome is Outcome.FAILED:
        return words.line("Failing {since}.", since=since) if is_old else (_for_runs_failing(facts.trouble_runs, words),)
    if facts.outcome is Outcome.WARNED:
        return words.line("Warning {since}.", since=since) if is_old else (_for_runs_warning(facts.trouble_runs, words),)
    return ()


def _for_runs_failing(n: int, words: Words) -> str:
    return words.count("Failing for {n} run.", "Failing for {n} runs.", n)


def _for_runs_warning(n: int, words: Words) -> str:
    return words.count("Warning for {n} run.", "Warning for {n} runs.", n)
