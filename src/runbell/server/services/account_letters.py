"""What the mails about one's own sign-in say, each in the language and zone of its reader, and sending them."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from runbell.messages.message import Moment, Reader
from runbell.messages.wording import piece_text
from runbell.server.db.models import User
from runbell.server.services.audit import Action
from runbell.server.services.sign_ins import record_for_person


@dataclass(frozen=True, slots=True)
class Letter:
    """`body` names its facts as %(name)s. What changed how a person signs in has an `action` for the audit log."""

    subject: Promise
    body: Promise
    action: Action | None = None


RESET_LINK = "account/email/password_reset_key"
LETTERS = {  # allauth's names where it sends them
    RESET_LINK: Letter(
        gettext_lazy("Set a new password"),
        gettext_lazy(
            "Somebody asked to set a new password for %(email)s at %(server)s.\n\n"
            "This link does so. It works once, and for 24 hours:\n%(url)s\n\n"
            "If it was not you, there is nothing to do: the password stays as it is."
        ),
    ),
    "account/email/password_reset": Letter(
        gettext_lazy("Your password was set anew"),
        gettext_lazy(
            "The password of %(email)s at %(server)s was set by a link from a mail, on %(when)s, from %(address)s.\n"
            "All sessions were ended.\n\nIf it was not you, ask an admin of your account for help."
        ),
        "member.password",
    ),
    "account/email/password_changed": Letter(
        gettext_lazy("Your password was changed"),
        gettext_lazy(
            "The password of %(email)s at %(server)s was changed on %(when)s, from %(address)s.\n"
            "All other sessions were ended.\n\nIf it was not you, set a new one at once:\n%(reset)s"
        ),
        "member.password",
    ),
    "account/email/password_set": Letter(
        gettext_lazy("A password was set"),
        gettext_lazy(
            "%(email)s at %(server)s can now sign in with a password. It was set on %(when)s, from %(address)s.\n\n"
            "If it was not you, set a new one at once:\n%(reset)s"
        ),
        "member.password",
    ),
    "mfa/email/totp_activated": Letter(
        gettext_lazy("Sign-in in two steps is on"),
        gettext_lazy(
            "Signing in as %(email)s at %(server)s now asks for a code of your authenticator app."
            " This was switched on on %(when)s, from %(address)s.\n\nIf it was not you, set a new password at once:\n%(reset)s"
        ),
        "member.second_step_on",
    ),
    "mfa/email/totp_deactivated": Letter(
        gettext_lazy("Sign-in in two steps is off"),
        gettext_lazy(
            "Signing in as %(email)s at %(server)s no longer asks for a code."
            " This was switched off on %(when)s, from %(address)s.\n\nIf it was not you, set a new password at once:\n%(reset)s"
        ),
        "member.second_step_off",
    ),
    "mfa/email/recovery_codes_generated": Letter(
        gettext_lazy("You have new recovery codes"),
        gettext_lazy(
            "New recovery codes were made for %(email)s at %(server)s on %(when)s, from %(address)s. The old ones no longer work.\n\n"
            "If it was not you, set a new password at once:\n%(reset)s"
        ),
        "member.recovery_codes",
    ),
    "email.confirm": Letter(
        gettext_lazy("Confirm your new address"),
        gettext_lazy(
            "%(email)s at %(server)s is to become %(new)s.\n\n"
            "Open this link and confirm, signed in as before. It works once, and for 24 hours:\n%(url)s\n\n"
            "If it was not you, there is nothing to do: nothing changes."
        ),
    ),
    "email.taken": Letter(
        gettext_lazy("This address is yours already"),
        gettext_lazy(
            "Somebody wanted to use %(email)s at %(server)s as their address. It belongs to you, so nothing has changed.\n\n"
            "There is nothing to do."
        ),
    ),
    "email.asked": Letter(
        gettext_lazy("Your address is to change"),
        gettext_lazy(
            "On %(when)s somebody signed in as %(email)s at %(server)s asked to change the address to %(new)s."
            " Nothing changes before it is confirmed from there.\n\n"
            "If it was not you, set a new password at once; the link to confirm is void then:\n%(reset)s"
        ),
    ),
    "email.changed": Letter(
        gettext_lazy("Your address has changed"),
        gettext_lazy(
            "On %(when)s your address at %(server)s became %(new)s. This one no longer signs in, and mail about jobs goes to the new one.\n\n"
            "If it was not you, ask an admin of your account for help."
        ),
    ),
}


def compose(name: str, user: User, *, to: str, now: datetime, **facts: str) -> EmailMessage:
    """One letter, in the language and zone of `user`."""
    letter = LETTERS[name]
    server = settings.RUNBELL_PUBLIC_URL
    with translation.override(user.language):
        when = piece_text(Moment(now), Reader(user.language, user.zone))
        told = {"email": user.email, "server": server, "when": when, "reset": f"{server}/account/password/reset/", **facts}
        return EmailMessage(str(letter.subject), str(letter.body) % told + "\n", to=[to])


def send_reset_link(user: User | None, *, typed: str, url: str, now: datetime) -> None:
    """To the address we know, not to the spelling that was typed. For nobody the same work is done, and nothing is sent."""
    compose(RESET_LINK, user or User(email=typed), to=user.email if user else typed, now=now, url=url).send()


def note_change(name: str, user: User, *, address: str, now: datetime) -> None:
    """What changed how a person signs in is audited, and told to them."""
    action = LETTERS[name].action
    assert action is not None
    record_for_person(user, action, now=now)
    compose(name, user, to=user.email, now=now, address=address).send()
