"""One message about many runs, where each by itself would come too late. It names every one of them."""

from collections import Counter
from collections.abc import Sequence

from runbell.core.runs import Outcome
from runbell.messages.facts import DigestFacts, DigestRun
from runbell.messages.history import count_of_runs
from runbell.messages.labels import TONES, headline
from runbell.messages.message import Entry, Line, Message
from runbell.messages.safe import isolated, one_line
from runbell.messages.words import Words, words_in

WORST_FIRST = (Outcome.FAILED, Outcome.WARNED, Outcome.CANCELLED, Outcome.SUCCEEDED)


def compose_digest(facts: DigestFacts, language: str) -> Message:
    """The worst first, and of the same outcome the oldest."""
    words = words_in(language)
    runs = sorted(facts.runs, key=lambda run: WORST_FIRST.index(run.outcome))
    account, worst = isolated(one_line(facts.account)), runs[0].outcome
    title = words.count("{n} run ended", "{n} runs ended", len(runs))
    return Message(
        language=words.language,
        tone=TONES[worst],
        word=headline(worst, words),
        title=title,
        place=account,
        subject=f"{title} · {_counted(runs, words)}",
        account=account,
        account_id=facts.account_id,
        summary=_summary(words),
        entries=tuple(_entry(run, words) for run in runs),
    )


def _counted(runs: Sequence[DigestRun], words: Words) -> str:
    counts = Counter(run.outcome for run in runs)
    return words.listed([count_of_runs(outcome, counts[outcome], words) for outcome in WORST_FIRST if counts[outcome]])


def _summary(words: Words) -> Line:
    return (words.say("Too many messages were waiting to send them one by one."),)


def _entry(run: DigestRun, words: Words) -> Entry:
    job, environment = isolated(one_line(run.job)), isolated(one_line(run.environment))
    return Entry(TONES[run.outcome], headline(run.outcome, words), job, environment, run.run_id)
