"""Facts in, a message out: one function for each kind of news. Pure, and cheap enough for the transaction that stores the run."""

from collections.abc import Sequence

from runbell.messages.digests import compose_digest
from runbell.messages.facts import DigestFacts, DigestRun, InvitationFacts, RunFacts, StepFacts
from runbell.messages.history import bars, history
from runbell.messages.invitations import compose_invitation
from runbell.messages.labels import TONES, TOOLS, category_word, headline
from runbell.messages.message import Fact, Line, Message, Moment, Trouble
from runbell.messages.nodes import gist, remarks, troubles, troubles_title
from runbell.messages.notices import compose_confirmation, compose_notice, compose_test
from runbell.messages.safe import isolated, one_line
from runbell.messages.steps import steps, steps_more
from runbell.messages.summary import summary, took
from runbell.messages.words import Words, words_in

__all__ = [
    "DigestFacts",
    "DigestRun",
    "InvitationFacts",
    "RunFacts",
    "StepFacts",
    "compose_confirmation",
    "compose_digest",
    "compose_invitation",
    "compose_notice",
    "compose_run",
    "compose_test",
]

SHORT_SHA = 7
MAX_IN_SUBJECT = 90  # two names and the outcome stay below the 200 characters an inbox can still show


def compose_run(facts: RunFacts, language: str) -> Message:
    """What to tell about a decided run."""
    words = words_in(language)
    job, environment, project = (isolated(one_line(name)) for name in (facts.job, facts.environment, facts.project))
    word, told = headline(facts.outcome, words), troubles(facts, words)
    subject = " · ".join((word, isolated(one_line(facts.job, MAX_IN_SUBJECT)), isolated(one_line(facts.environment, MAX_IN_SUBJECT))))
    return Message(
        language=words.language,
        tone=TONES[facts.outcome],
        word=word,
        title=job,
        place=f"{environment} · {project}",
        subject=subject,
        account=one_line(facts.account),
        account_id=facts.account_id,
        environment=environment,
        run_id=facts.run_id,
        summary=summary(facts, words),
        preheader=_preheader(told, facts, words),
        open_label=words.say("Open the run"),
        facts=_facts(facts, words),
        troubles_title=troubles_title(facts, words),
        troubles=told,
        remarks=remarks(facts, words),
        steps_title=words.say("Steps") if facts.steps else "",
        steps=steps(facts, words),
        steps_more=steps_more(facts, words),
        bars=bars(facts),
        history=history(facts, words),
        ended_at=None if facts.is_lost else facts.finished_at,
    )


def _preheader(told: Sequence[Trouble], facts: RunFacts, words: Words) -> Line:
    """What an inbox shows beside the subject: the first trouble, then how long it took."""
    if not told:
        return ()
    said, duration = gist(told[0]), took(facts, words)
    stop = "" if str(said[-1]).endswith((".", "!", "?", "…")) else "."
    return (*said, stop, *((" ", *duration, ".") if duration else ()))


def _facts(facts: RunFacts, words: Words) -> tuple[Fact, ...]:
    told = [
        Fact(words.say("Project"), (one_line(facts.project),), is_place=True),
        Fact(words.say("Environment"), (one_line(facts.environment),), is_place=True),
        Fact(words.say("Started"), (Moment(facts.started_at),)),
    ]
    if facts.finished_at and not facts.is_lost:
        told.append(Fact(words.say("Ended"), (Moment(facts.finished_at, near=facts.started_at),)))
    if trigger := _trigger(facts, words):
        told.append(Fact(words.say("Trigger"), (trigger,)))
    branch, sha = one_line(facts.git.branch, 100), one_line(facts.git.sha, SHORT_SHA + 1).removesuffix("…")
    if branch and sha:
        told.append(Fact(words.say("Branch"), (words.say("{branch} at {commit}", branch=isolated(branch), commit=sha[:SHORT_SHA]),)))
    elif branch:
        told.append(Fact(words.say("Branch"), (isolated(branch),)))
    elif sha:
        told.append(Fact(words.say("Commit"), (sha[:SHORT_SHA],)))
    return tuple(told)


def _trigger(facts: RunFacts, words: Words) -> str:
    """“Airflow, scheduled”; what the reporter said of the cause where no tool is known."""
    cause = one_line(facts.trigger.cause, 100)
    if facts.host_tool == "cron":
        return cause or "cron"
    if facts.host_tool:
        tool = TOOLS.get(facts.host_tool, one_line(facts.host_tool, 100))
        return ", ".join(filter(None, (tool, category_word(facts.trigger.category, words))))
    return isolated(cause) or category_word(facts.trigger.category, words) or one_line(facts.trigger.actor, 100)
