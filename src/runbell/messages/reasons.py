"""One sentence for each reason code, in each language. A reason is stored as a code and worded only here."""

import signal
from collections.abc import Callable, Mapping
from typing import Any

from runbell.core.because import Because
from runbell.core.rules import Scope
from runbell.core.runs import Outcome
from runbell.messages.dbt_reasons import DBT_SENTENCES
from runbell.messages.labels import chosen
from runbell.messages.safe import isolated, one_line
from runbell.messages.slack_reasons import SLACK_SENTENCES
from runbell.messages.words import Words, words_in

Sentence = Callable[[Words, Mapping[str, Any]], str]


def reason(because: Because, language: str) -> str:
    """The sentence for a reason. One whose code nobody words any more, from an older version, is shown as it is."""
    sentence = SENTENCES.get(because.code)
    return sentence(words_in(language), because.params) if sentence else because.code.replace("_", " ")


def footer(because: Because, address: str, language: str) -> str:
    """Why this message came to this address, as its last lines say it."""
    words = words_in(language)
    match because.code:
        case "chose_job" | "chose_environment":
            outcome, jobs = _outcome(words, because.params), _jobs(words, because)
            return words.say("You get this because {outcome} is set for {jobs} for {address}.", outcome=outcome, jobs=jobs, address=address)
        case "test_asked":
            return words.say(
                "You get this because {by} asked for a test message to {address}.", by=_text(because.params, "by"), address=address
            )
        case "invited":
            by = _text(because.params, "by")
            if not by:
                return words.say("You get this because {address} was invited.", address=address)
            return words.say("You get this because {by} invited {address}.", by=by, address=address)
        case "is_admin":
            return words.say("You get this because {address} belongs to an admin of this account.", address=address)
        case "owns_channel":
            return words.say(
                "You get this because that Slack channel is sent to through your link. This message is for {address}.", address=address
            )
        case "set_rules":
            return words.say("You get this because you chose what is sent there. This message is for {address}.", address=address)
        case _:
            return words.say("This message is for {address}. {reason}", address=address, reason=reason(because, language))


def rang(because: Because, language: str) -> str:
    """Why a message about a job was sent, for whoever holds it: the rule, not who set it."""
    words = words_in(language)
    return words.say("Sent because {outcome} was set for {jobs}.", outcome=_outcome(words, because.params), jobs=_jobs(words, because))


def _text(params: Mapping[str, Any], name: str, limit: int = 200) -> str:
    return isolated(one_line(str(params.get(name) or ""), limit))


def _outcome(words: Words, params: Mapping[str, Any]) -> str:
    stored = params.get("outcome")
    return chosen(Outcome(stored), words) if stored in set(Outcome) else str(stored)


def _jobs(words: Words, because: Because) -> str:
    environment = _text(because.params, "environment")
    if because.code == "chose_job":
        return words.say("this job")
    return words.say("all jobs of {environment}", environment=environment) if environment else words.say("all jobs of this environment")


def _chose(code: str) -> Sentence:
    def sentence(words: Words, params: Mapping[str, Any]) -> str:
        said = words.say("{outcome} is set for {jobs}", outcome=_outcome(words, params), jobs=_jobs(words, Because(code, params)))
        by = _text(params, "set_by")
        return words.say("{said}, by {by}.", said=said, by=by) if by else said + "."

    return sentence


def _chose_others(words: Words, params: Mapping[str, Any]) -> str:
    outcomes = [chosen(Outcome(word), words) for word in params.get("outcomes") or () if word in set(Outcome)]
    return words.say("Chose only {outcomes} for this job.", outcomes=words.listed(outcomes))


def _paused(words: Words, params: Mapping[str, Any]) -> str:
    """Until when is a matter of the reader's zone, and stays a parameter."""
    is_job = params.get("scope") == Scope.JOB
    jobs = words.say("this job") if is_job else words.say("all jobs of this environment")
    by = _text(params, "by")
    return (
        words.say("Messages about {jobs} were paused, by {by}.", jobs=jobs, by=by)
        if by
        else words.say("Messages about {jobs} were paused.", jobs=jobs)
    )


def _killed(words: Words, params: Mapping[str, Any]) -> str:
    """Nothing but the kernel's out-of-memory killer sends signal 9 unasked; whether it did is a guess, and is said as one."""
    if params.get("signal") == signal.SIGKILL:
        return words.say("Killed by signal 9, possibly out of memory.")
    return words.say("Killed by {signal}.", signal=signal_name(params.get("signal")))


def signal_name(number: object) -> str:
    """`SIGINT` for 2; the number itself where it has no name here."""
    return next((known.name for known in signal.Signals if known == number), str(number))


def _last(words: Words, said: str, params: Mapping[str, Any]) -> str:
    """What the last try ran into, when that was kept."""
    last = params.get("last")
    return f"{said} {reason(Because.from_json(last), words.language)}" if isinstance(last, Mapping) and last.get("code") else said


def _answered(words: Words, said: str, params: Mapping[str, Any]) -> str:
    """With what the other side said: ``…: 550 5.1.1 “no such user”.`` It speaks its own language."""
    text = _text(params, "text")
    answer = [_text(params, "code"), _text(params, "enhanced"), words.say("“{answer}”", answer=text) if text else ""]
    return words.say("{said}: {answer}.", said=said, answer=" ".join(filter(None, answer))) if any(answer) else said + "."


SENTENCES: dict[str, Sentence] = {
    # core.rules
    "chose_job": _chose("chose_job"),
    "chose_environment": _chose("chose_environment"),
    "chose_others": _chose_others,
    "paused": lambda words, params: _paused(words, params),
    "also_warned": lambda words, _: words.say("It also warned; you chose Warns only."),
    # core.deliveries
    "too_old": lambda words, params: _last(words, words.say("Given up because it became too old."), params),
    "tries_used_up": lambda words, params: _last(words, words.say("Given up after the last try."), params),
    "answer_lost": lambda words, params: _last(
        words, words.say("Given up because the answer was lost twice; the message may have arrived, even twice."), params
    ),
    "waited_together": lambda words, params: words.count(
        "Told together: {n} message was waiting.",
        "Told together: {n} messages were waiting.",
        int(params.get("n") or 0),
    ),
    # core.outcomes
    "interrupted": lambda words, params: words.say("Interrupted by {signal}.", signal=signal_name(params.get("signal"))),
    "claimed": lambda words, _: words.say("Whoever reported it said that it ended like this."),
    "killed": _killed,
    "exit_code": lambda words, params: words.say(
        "Step {step} ended with exit code {code}.", step=_text(params, "step"), code=_text(params, "exit_code")
    ),
    "no_end_reported": lambda words, _: words.say("No end was reported; the job or its machine may have died."),
    "warnings": lambda words, _: words.say("A test or a source freshness check warned."),
    "no_trouble": lambda words, _: words.say("Every step ended well, without a warning."),
    # core.artifacts
    "artifact_not_text": lambda words, _: words.say("The artifact is not text in UTF-8."),
    "artifact_not_json": lambda words, _: words.say("The artifact is not whole JSON."),
    "artifact_unknown_shape": lambda words, _: words.say("The artifact has an unknown shape."),
    # server: decisions, parcels, lanes, mailbox
    "internal_error": lambda words, _: words.say("Runbell ran into an error of its own; its log says more."),
    "transport_settings": lambda words, params: _answered(words, words.say("The settings of the mail server are wrong"), params),
    "payload_unreadable": lambda words, _: words.say("The stored message cannot be decrypted; its key is missing."),
    "secret_unreadable": lambda words, _: words.say("What it takes to send there cannot be decrypted; its key is missing."),
    "destination_gone": lambda words, _: words.say("The destination was removed meanwhile."),
    "mailbox_unavailable": lambda words, _: words.say("The mailbox cannot be written to just now."),
    "no_mail_relay": lambda words, _: words.say("No mail server is set, and this message may not lie in the mailbox."),
    "member_inactive": lambda words, _: words.say("The member is not active."),
    "destination_disabled": lambda words, params: _last(words, words.say("Nothing is sent to this address until it is set right."), params),
    # messages of other kinds
    "test_asked": lambda words, params: words.say("{by} asked for a test message.", by=_text(params, "by")),
    "invited": lambda words, params: words.say("An invitation to {address}.", address=_text(params, "address")),
    "invitation_withdrawn": lambda words, _: words.say("The invitation was withdrawn, accepted or sent anew."),
    "is_admin": lambda words, _: words.say("Admins of the account are told."),
    "confirmation_asked": lambda words, params: words.say("{by} asked for it.", by=_text(params, "by")),
    "not_confirmed": lambda words, _: words.say("The holder of this address has not confirmed it yet."),
    "owned_channel": lambda words, _: words.say("Whoever owned the settings of that Slack channel is told."),
    "owns_channel": lambda words, _: words.say("Whoever owns the settings of that Slack channel is told."),
    "linked_slack": lambda words, _: words.say("Whoever linked the Slack workspace is told."),
    "set_rules": lambda words, _: words.say("Whoever chose what is sent to that address is told."),
    # channels.smtp
    "smtp_unreachable": lambda words, params: _answered(words, words.say("The mail server cannot be reached"), params),
    "smtp_tls": lambda words, params: _answered(words, words.say("No secure connection to the mail server"), params),
    "smtp_no_starttls": lambda words, _: words.say("The mail server does not offer STARTTLS."),
    "smtp_auth": lambda words, params: _answered(words, words.say("The mail server did not take our sign-in"), params),
    "smtp_not_ready": lambda words, params: _answered(words, words.say("The mail server is not ready"), params),
    "smtp_sender_refused": lambda words, params: _answered(words, words.say("The mail server does not take mail from our address"), params),
    "smtp_disconnected": lambda words, _: words.say("The mail server broke the connection off."),
    "smtp_no_answer": lambda words, _: words.say("The mail server did not answer in time."),
    "smtp_no_answer_after_data": lambda words, _: words.say(
        "The mail server did not say whether it took the message, so it is sent again; it may arrive twice."
    ),
    "smtp_address_unknown": lambda words, params: _answered(words, words.say("There is no such address"), params),
    "smtp_recipient_refused": lambda words, params: _answered(words, words.say("The address was refused"), params),
    "smtp_mailbox_full": lambda words, params: _answered(words, words.say("The mailbox is full"), params),
    "smtp_later": lambda words, params: _answered(words, words.say("The mail server said to try later"), params),
    # channels.reach: the public URL
    "url_unreachable": lambda words, params: _answered(words, words.say("The public URL cannot be reached from this server"), params),
    "url_certificate": lambda words, params: _answered(words, words.say("The certificate of the public URL is not trusted here"), params),
    "url_silent": lambda words, _: words.say("The public URL does not answer in time."),
    "url_answers": lambda words, params: words.say(
        "The public URL answers with HTTP {code}, not as Runbell does.", code=_text(params, "code")
    ),
    "url_not_ours": lambda words, _: words.say("Something else than Runbell answers at the public URL."),
    "smtp_message_refused": lambda words, params: _answered(words, words.say("The message was refused"), params),
    # channels.slack_errors
    **SLACK_SENTENCES,
    # channels.dbt_api
    **DBT_SENTENCES,
}

CODES = tuple(SENTENCES)
