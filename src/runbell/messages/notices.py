"""Messages that are about no run's end: a test somebody asked for, a question to the holder of an address, and news for the admins."""

from runbell.messages.facts import ConfirmationFacts, Notice, NoticeFacts, TestFacts
from runbell.messages.message import Fact, Line, Message, Moment, Tone
from runbell.messages.reasons import reason
from runbell.messages.safe import isolated, one_line
from runbell.messages.words import Words, words_in


def compose_test(facts: TestFacts, language: str) -> Message:
    """A test says in its first word that it is one."""
    words = words_in(language)
    word, title = words.say("TEST"), words.say("messages arrive here")
    account, asked_by = isolated(one_line(facts.account)), isolated(one_line(facts.asked_by))
    return Message(
        language=words.language,
        tone=Tone.NOTICE,
        word=word,
        title=words.say("Messages arrive here"),
        place=account,
        subject=f"{word} · {title} · {account}",
        account=account,
        account_id=facts.account_id,
        summary=words.line(
            "{who} asked for this on {moment}, to see whether messages from Runbell arrive. Nothing has happened to any job.",
            who=asked_by,
            moment=Moment(facts.asked_at),
        ),
        is_test=True,
    )


def compose_confirmation(facts: ConfirmationFacts, language: str) -> Message:
    """Its link is the reader's `run`: the page that asks once more, since mail scanners follow links."""
    words = words_in(language)
    word, title, account = words.say("PLEASE CONFIRM"), words.say("messages about dbt jobs"), isolated(one_line(facts.account))
    return Message(
        language=words.language,
        tone=Tone.NOTICE,
        word=word,
        title=words.say("Messages about dbt jobs"),
        place=account,
        subject=f"{word} · {title} · {account}",
        account=account,
        account_id=facts.account_id,
        summary=words.line(
            "{who} wants messages about dbt jobs sent to {address}, asked on {moment}. "
            "None is sent before you confirm. If you know nothing of it, do nothing.",
            who=isolated(one_line(facts.asked_by)),
            address=isolated(one_line(facts.address)),
            moment=Moment(facts.asked_at),
        ),
        open_label=words.say("Confirm this address"),
    )


def compose_notice(facts: NoticeFacts, language: str) -> Message:
    words = words_in(language)
    word, account = _word(facts, words), isolated(one_line(facts.account))
    named = isolated(one_line(facts.address))
    address = named or words.say("mail server")
    return Message(
        language=words.language,
        tone=Tone.NOTICE,
        word=word,
        title=named or words.say("Mail server"),
        place=account,
        subject=f"{word} · {address} · {account}",
        account=account,
        account_id=facts.account_id,
        summary=_summary(facts, address, words),
        open_label=words.say("Open the run") if facts.run_id else "",
        facts=_facts(facts, words),
    )


def _word(facts: NoticeFacts, words: Words) -> str:
    return {
        Notice.DELIVERY_DIED: words.say("NOT DELIVERED"),
        Notice.ADDRESS_REFUSED: words.say("ADDRESS REFUSED"),
        Notice.EXTERNAL_UNSUBSCRIBED: words.say("UNSUBSCRIBED"),
        Notice.CHANNEL_TAKEN_OVER: words.say("TAKEN OVER"),
        Notice.OUTAGE: words.say("NOT DELIVERED"),
        Notice.SLACK_STOPPED: words.say("SLACK STOPPED"),
        Notice.DBT_STOPPED: words.say("DBT PLATFORM STOPPED"),
    }[facts.notice]


def _summary(facts: NoticeFacts, address: str, words: Words) -> Line:
    why = f" {reason(facts.because, words.language)}" if facts.because else ""
    match facts.notice:
        case Notice.DELIVERY_DIED:
            said = words.say("A message to {address} was given up and will not be sent.", address=address)
            return (said, why, " ", words.say("Nobody is told of it again before a message arrives there."))
        case Notice.ADDRESS_REFUSED:
            said = words.say(
                "Nothing is sent to {address} any more, until somebody sets it right in the notification settings.", address=address
            )
            return (said, why)
        case Notice.CHANNEL_TAKEN_OVER:
            who = isolated(one_line(facts.by))
            said = words.say(
                "{who} took over the settings of {address}. It is sent through their Slack link now.", who=who, address=address
            )
            return (said, " ", words.say("You need to do nothing."))
        case Notice.OUTAGE:
            said = words.say("The mail server was out of order for so long that messages were given up. The delivery log says which.")
            return (said, why)
        case Notice.SLACK_STOPPED:
            said = words.say(
                "Nothing is sent any more to the Slack channels that go through your link to {workspace}: {channels}.",
                workspace=address,
                channels=", ".join(isolated(one_line(name)) for name in facts.channels),
            )
            return (said, why, " ", words.say("Account settings › Integrations shows how it is and links it again. The settings are kept."))
        case Notice.DBT_STOPPED:
            said = words.say("{account} does not let Runbell read its runs any more.", account=address)
            way_out = words.say(
                "Runs of which webhooks tell are told without details; others are not. Account settings › Integrations has more."
            )
            return (said, why, " ", way_out)
        case Notice.EXTERNAL_UNSUBSCRIBED:
            return (_unsubscribed(facts, address, words), " ", words.say("The rules can be set again in the notification settings."))


def _unsubscribed(facts: NoticeFacts, address: str, words: Words) -> str:
    job, environment = (isolated(one_line(name)) for name in (facts.job, facts.environment))
    if facts.job:
        return words.say(
            "{address} unsubscribed from messages about {job} in {environment}.", address=address, job=job, environment=environment
        )
    if facts.environment:
        return words.say("{address} unsubscribed from messages about all jobs of {environment}.", address=address, environment=environment)
    return words.say("{address} unsubscribed from all email notifications.", address=address)


def _facts(facts: NoticeFacts, words: Words) -> tuple[Fact, ...]:
    told = [Fact(words.say("When"), (Moment(facts.at),))]
    if facts.job:
        told.append(Fact(words.say("Job"), (isolated(one_line(facts.job)),)))
    if facts.environment:
        told.append(Fact(words.say("Environment"), (isolated(one_line(facts.environment)),)))
    if facts.tries:
        told.append(Fact(words.say("Tries"), (words.number(facts.tries),)))
    return tuple(told)
