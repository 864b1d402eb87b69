"""One sentence for each reason code, in each language. A reason is stored as a code and worded only here."""

import signal
from collections.abc import Callable, Mapping
from typing import Any

from runbell.core.because import Because
from runbell.core.runs import Outcome
from runbell.messages.labels import chosen
from runbell.messages.safe import isolated, one_line
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
        case "chose_job":
            return words.say(
                "You get this because {outcome} is set for this job for {address}.",
                outcome=_outcome(words, because.params),
                address=address,
            )
        case "chose_environment":
            where = _text(because.params, "environment") or words.say("this environment")
            outcome = _outcome(words, because.params)
            return words.say(
                "You get this because {outcome} is set for all jobs of {environment} for {address}.",
                outcome=outcome,
                environment=where,
                address=address,
            )
        case "test_asked":
            return words.say(
                "You get this because {by} asked for a test message to {address}.", by=_text(because.params, "by"), address=address
            )
        case "is_admin":
            return words.say("You get this because {address} belongs to an admin of this account.", address=address)
        case _:
            return words.say("This message is for {address}. {reason}", address=address, reason=reason(because, language))


def _text(params: Mapping[str, Any], name: str, limit: int = 200) -> str:
    return isolated(one_line(str(params.get(name) or ""), limit))


def _outcome(words: Words, params: Mapping[str, Any]) -> str:
    stored = params.get("outcome")
    return chosen(Outcome(stored), words) if stored in set(Outcome) else str(stored)


def _by(words: Words, said: str, params: Mapping[str, Any]) -> str:
    """“…, by Ada Lindqvist.”"""
    by = _text(params, "set_by")
    return words.say("{said}, by {by}.", said=said, by=by) if by else said + "."


def _chose_job(words: Words, params: Mapping[str, Any]) -> str:
    return _by(words, words.say("{outcome} is set for this job", outcome=_outcome(words, params)), params)


def _chose_environment(words: Words, params: Mapping[str, Any]) -> str:
    where = _text(params, "environment") or words.say("this environment")
    return _by(
        words, words.say("{outcome} is set for all jobs of {environment}", outcome=_outcome(words, params), environment=where), params
    )


def _chose_others(words: Words, params: Mapping[str, Any]) -> str:
    outcomes = [chosen(Outcome(word), words) for word in params.get("outcomes") or () if word in set(Outcome)]
    return words.say("Chose only {outcomes} for this job.", outcomes=words.listed(outcomes))


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


def _answer(params: Mapping[str, Any]) -> str:
    """What the other side said: ``550 5.1.1 no such user``. It speaks its own language."""
    return " ".join(filter(None, (_text(params, name) for name in ("code", "enhanced", "text"))))


def _answered(words: Words, said: str, params: Mapping[str, Any]) -> str:
    answer = _answer(params)
    return words.say("{said}: {answer}", said=said, answer=answer) if answer else said + "."


SENTENCES: dict[str, Sentence] = {
    # core.rules
    "chose_job": _chose_job,
    "chose_environment": _chose_environment,
    "chose_others": _chose_others,
    "also_warned": lambda words, _: words.say("It also warned; you chose Warns only."),
    # core.deliveries
    "too_old": lambda words, params: _last(words, words.say("Given up because it became too old."), params),
    "tries_used_up": lambda words, params: _last(words, words.say("Given up after the last try."), params),
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
    # messages of other kinds
    "test_asked": lambda words, params: words.say("{by} asked for a test message.", by=_text(params, "by")),
    "is_admin": lambda words, _: words.say("Admins of the account are told."),
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
    "smtp_message_refused": lambda words, params: _answered(words, words.say("The message was refused"), params),
}

CODES = tuple(SENTENCES)
