"""Does mail leave? The settings looked at, the mail server asked, a test sent the way every mail goes, and what to publish."""

import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.conf import settings

from runbell.channels.base import Recipient
from runbell.channels.mime import is_mailbox, sender
from runbell.channels.reach import PATIENCE, Heard, send_told, why_not_us
from runbell.channels.registry import channel
from runbell.channels.smtp import read_relay
from runbell.core.because import Because
from runbell.core.deliveries import Sent
from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.messages.facts import TestFacts
from runbell.messages.message import Reader
from runbell.messages.notices import compose_test
from runbell.server.services import limits
from runbell.server.services.access import Actor
from runbell.server.services.parcels import transport

EMAIL = "email"
AN_HOUR, TESTS_AN_HOUR = 3600, 20
NO_DOMAINS = ("localhost", "local", "internal", "test", "example", "invalid", "lan", "home")


@dataclass(frozen=True, slots=True)
class Ways:
    """How mail leaves, without a secret. `relay` is empty while there is none; `trouble` says what is wrong with the settings."""

    relay: str
    host: str
    sender: str
    domain: str
    trouble: BadField | None = None

    @property
    def is_mailbox(self) -> bool:
        return not self.relay and self.trouble is None

    @property
    def is_no_domain(self) -> bool:
        """The From ends in no domain of the internet. Nothing is looked up: inside a company other names are seen than receivers see."""
        return "." not in self.domain or self.domain.rpartition(".")[2] in NO_DOMAINS


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a test. `because`: why it was not taken. `url`: why the public URL does not lead to us; None when it does."""

    address: str
    heard: tuple[Heard, ...] = ()
    because: Because | None = None
    provider_id: str = ""
    url: Because | None = field(default=None)


def check_settings() -> None:
    """Raises `BadField` naming the setting."""
    if settings.RUNBELL_SMTP_URL:
        read_relay(settings.RUNBELL_SMTP_URL)
    if not is_mailbox(sender(settings.RUNBELL_MAIL_FROM).address):
        raise BadField("RUNBELL_MAIL_FROM", "must hold an address, like Runbell <runbell@acme.example>")


def ways() -> Ways:
    name = settings.RUNBELL_MAIL_FROM
    nothing = Ways("", "", name, sender(name).domain)
    try:
        check_settings()
    except BadField as bad:
        return replace(nothing, trouble=bad)
    if not settings.RUNBELL_SMTP_URL:
        return nothing
    relay = read_relay(settings.RUNBELL_SMTP_URL)
    return replace(nothing, relay=f"{relay.scheme}://{relay.host}:{relay.port}", host=relay.host)


def send_test(actor: Actor, address: str, *, now: datetime) -> Checked:
    """Asked for by an admin, on a page. Raises `NotAllowed`, `BadField`, `TooMany`."""
    actor.require(Action.CHECK_MAIL)
    user, account = actor.member.user, actor.member.account
    facts = TestFacts(account=account.name, asked_by=user.name or user.email, asked_at=now, account_id=str(account.pk))
    clean = _clean(address)
    limits.take(f"mail-check:{account.pk}", TESTS_AN_HOUR, now=now, seconds=AN_HOUR)
    return _checked(clean, facts, Reader(user.language, user.zone))


def send_test_from_shell(address: str, *, now: datetime) -> Checked:
    """For the command line, whose user owns the whole server."""
    return _checked(_clean(address), TestFacts(account="Runbell", asked_by="runbell doctor", asked_at=now), Reader("en", "UTC"))


def _clean(address: str) -> str:
    check_settings()
    if not settings.RUNBELL_SMTP_URL:
        raise BadField("RUNBELL_SMTP_URL", "is empty: mail stays in the built-in mailbox")
    return str(channel(EMAIL).clean({"address": address})["address"])


def _checked(address: str, facts: TestFacts, reader: Reader) -> Checked:
    way = replace(transport(), timeout=PATIENCE)
    mail, key = channel(EMAIL), f"check-{secrets.token_hex(8)}"
    recipient = Recipient(
        address=address,
        because=Because("test_asked", {"by": facts.asked_by}),
        why_url="",
        settings_url="",
        unsubscribe_url="",
        thread="",
        sent_at=facts.asked_at,
        is_test=True,
    )
    payload = mail.address(mail.render(compose_test(facts, reader.language), reader, way), recipient, key)
    verdict, heard = send_told(way, address, payload, key)
    url = why_not_us(f"{settings.RUNBELL_PUBLIC_URL}/healthz")
    if isinstance(verdict, Sent):
        return Checked(address, heard, provider_id=verdict.provider_id, url=url)
    return Checked(address, heard, because=verdict.because, url=url)
