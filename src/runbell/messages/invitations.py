"""The invitation to an account."""

from runbell.core.permissions import Role
from runbell.messages.facts import InvitationFacts
from runbell.messages.message import Fact, Line, Message, Moment, Strong, Tone
from runbell.messages.safe import isolated, one_line
from runbell.messages.words import Words, words_in


def compose_invitation(facts: InvitationFacts, language: str) -> Message:
    """What it is to somebody who may never have heard of Runbell, and until when the link works."""
    words = words_in(language)
    word, account = words.say("INVITATION"), isolated(one_line(facts.account))
    return Message(
        language=words.language,
        tone=Tone.NOTICE,
        word=word,
        title=account,
        place=words.say("as {role}", role=role_word(facts.role, words)),
        subject=f"{word} · {account}",
        account=account,
        account_id=facts.account_id,
        summary=_summary(facts, account, words),
        open_label=words.say("Accept the invitation"),
        facts=(
            Fact(words.say("Role"), (role_word(facts.role, words),)),
            Fact(words.say("The link works until"), (Moment(facts.expires_at, is_short=True),)),
        ),
        remarks=(words.say("Nothing happens unless you accept. If you do not know who sent this, leave it."),),
    )


def _summary(facts: InvitationFacts, account: str, words: Words) -> Line:
    what = words.say("Runbell tells people by mail how their dbt jobs ended.")
    if not facts.invited_by:
        return (*words.line("You are invited to join {account}.", account=Strong((account,))), " ", what)
    by = Strong((isolated(one_line(facts.invited_by)),))
    return (*words.line("{who} invites you to join {account}.", who=by, account=Strong((account,))), " ", what)


def role_word(role: Role, words: Words) -> str:
    return {
        Role.ACCOUNT_ADMIN: words.say("Account admin"),
        Role.NOTIFICATION_MANAGER: words.say("Notification manager"),
        Role.DEVELOPER: words.say("Developer"),
        Role.VIEWER: words.say("Viewer"),
    }[role]
