"""The way out by SMTP: one connection, opened at the first send, reused, and reopened when it went away.

MAIL, RCPT and DATA are said on smtplib's primitives, because `sendmail` keeps neither the code nor the relay's name
for the message.
"""

import smtplib
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from runbell.channels.base import Transport
from runbell.channels.mime import is_mailbox, sender, wire_address
from runbell.channels.smtp_verdicts import Reply, masked, of_error, of_message, of_recipient, of_sender, of_transport, queued_as, read_reply
from runbell.core.because import Because
from runbell.core.deliveries import Dead, Retry, Sent, Verdict
from runbell.core.fields import BadField

PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
IDLE = 30.0  # seconds; relays and firewalls drop a silent connection after a minute or more, some without telling
GOING_DOWN = 421


@dataclass(frozen=True, slots=True)
class Relay:
    """Where mail is handed over. `cafile`: certificates to trust instead of the system's."""

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    cafile: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password, and how AUTH PLAIN and AUTH LOGIN send it."""
        if not self.password:
            return ()
        plain = b64encode(f"\0{self.user}\0{self.password}".encode()).decode()
        return (self.password, plain, b64encode(self.password.encode()).decode())


def read_relay(url: str) -> Relay:
    """``smtp[+starttls|s]://[user:password@]host[:port][?cafile=…]``, user and password percent-encoded. Its errors repeat nothing."""
    name = "RUNBELL_SMTP_URL"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadField(name, "is not a URL; a password with special characters must be percent-encoded") from None
    if parts.scheme not in PORTS:
        raise BadField(name, "must begin with smtp://, smtp+starttls:// or smtps://")
    if not parts.hostname or parts.path.strip("/"):
        raise BadField(name, "must look like smtp+starttls://user:password@host:587, with special characters percent-encoded")
    return Relay(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        cafile=parse_qs(parts.query).get("cafile", [""])[0],
    )


class Unsent(Exception):
    """The conversation ended before the relay can have had the message."""

    def __init__(self, verdict: Retry) -> None:
        super().__init__(verdict.because.code)
        self.verdict = verdict


class SmtpConnection:
    """Used by one lane at a time. `clock` counts seconds and never goes back."""

    def __init__(self, transport: Transport, clock: Callable[[], float]) -> None:
        self._relay = read_relay(transport.url)
        self._secrets = self._relay.secrets
        self._from = sender(transport.sender).address
        self._greeting = _our_name(transport.public_url)
        self._timeout = transport.timeout
        self._clock = clock
        self._smtp: smtplib.SMTP | None = None
        self._used_at = 0.0

    def send(self, settings: Mapping[str, Any], payload: bytes, key: str) -> Verdict:
        """One try. A kept connection that turns out to be gone is reopened once: nothing was sent on it yet."""
        recipient = wire_address(settings["address"])
        if not is_mailbox(recipient):
            return Dead(Because("smtp_address_unknown"), is_refusal=True)
        if self._smtp and self._clock() - self._used_at > IDLE:
            self.close()
        is_kept = self._smtp is not None
        try:
            return self._converse(recipient, payload)
        except Unsent as unsent:
            self._drop()
            if not is_kept:
                return unsent.verdict
        try:
            return self._converse(recipient, payload)
        except Unsent as unsent:
            self._drop()
            return unsent.verdict

    def close(self) -> None:
        """Says goodbye and does not wait for the answer."""
        if self._smtp:
            with suppress(OSError, smtplib.SMTPException):
                self._smtp.putcmd("quit")
        self._drop()

    def _drop(self) -> None:
        if self._smtp:
            with suppress(OSError):
                self._smtp.close()
        self._smtp = None

    def _converse(self, recipient: str, payload: bytes) -> Verdict:
        smtp = self._smtp = self._smtp or self._open()
        replies = self._ask(smtp, f"MAIL FROM:<{self._from}>", f"RCPT TO:<{recipient}>", "DATA")
        for good, judge in ((250,), of_sender), ((250, 251, 252), of_recipient), ((354,), of_message):
            reply = next(replies)
            if reply.code not in good:
                return self._give_up(smtp, reply, judge(reply), replies)
        verdict = self._hand_over(smtp, payload)
        self._used_at = self._clock()
        return verdict

    def _hand_over(self, smtp: smtplib.SMTP, payload: bytes) -> Verdict:
        """From the first byte on, silence says nothing: the relay may have taken the message and lost the word."""
        try:
            smtp.send(_dotted(payload))
            reply = read_reply(*smtp.getreply(), self._secrets)
        except smtplib.SMTPException:
            self._drop()
            return Retry(Because("smtp_no_answer_after_data"))
        if reply.code // 100 == 2:
            return Sent(queued_as(reply))
        if reply.code == GOING_DOWN:
            self._drop()
        return of_message(reply)

    def _ask(self, smtp: smtplib.SMTP, *commands: str) -> Iterator[Reply]:
        """The reply to each. A relay that offers pipelining (RFC 2920) gets all commands at once: one way there and back, not three."""
        is_together = smtp.has_extn("pipelining")
        try:
            if is_together:
                smtp.send("".join(f"{command}\r\n" for command in commands))
            for command in commands:
                if not is_together:
                    smtp.putcmd(command)
                yield self._reply(smtp, command)
        except smtplib.SMTPException as error:
            raise Unsent(_gone(error)) from None

    def _reply(self, smtp: smtplib.SMTP, command: str) -> Reply:
        reply = read_reply(*smtp.getreply(), self._secrets)
        if reply.code == GOING_DOWN and command.startswith("MAIL"):  # a server that goes down says so to whatever comes next
            raise Unsent(of_transport(reply.because("smtp_not_ready")))
        return reply

    def _give_up(self, smtp: smtplib.SMTP, reply: Reply, verdict: Verdict, replies: Iterator[Reply]) -> Verdict:
        """Leaves the connection ready for the next message."""
        self._used_at = self._clock()
        if reply.code == GOING_DOWN:
            self._drop()
            return verdict
        try:
            if smtp.has_extn("pipelining") and any(rest.code == 354 for rest in replies):
                smtp.docmd(".")  # it waits for a message to nobody (RFC 2920 §3.1)
            smtp.docmd("RSET")
        except (smtplib.SMTPException, Unsent):
            self._drop()
        return verdict

    def _open(self) -> smtplib.SMTP:
        """Connected, encrypted when the scheme says so, signed in when there is a user."""
        relay = self._relay
        smtp: smtplib.SMTP | None = None
        try:
            if relay.scheme == "smtps":
                smtp = smtplib.SMTP_SSL(relay.host, relay.port, self._greeting, timeout=self._timeout, context=_trust(relay))
            else:
                smtp = smtplib.SMTP(relay.host, relay.port, self._greeting, timeout=self._timeout)
            if relay.scheme == "smtp+starttls":
                self._encrypt(smtp)
            smtp.ehlo_or_helo_if_needed()
            if relay.user:
                smtp.login(relay.user, relay.password)
            return smtp
        except (OSError, UnicodeError, Unsent) as error:  # smtplib's exceptions are OSErrors; a host name may not be encodable
            if smtp:
                smtp.close()
            raise error if isinstance(error, Unsent) else Unsent(self._why_not_open(error)) from None

    def _encrypt(self, smtp: smtplib.SMTP) -> None:
        smtp.ehlo_or_helo_if_needed()
        if not smtp.has_extn("starttls"):
            raise Unsent(of_transport(Because("smtp_no_starttls")))
        try:
            smtp.starttls(context=_trust(self._relay))
        except smtplib.SMTPResponseException as refused:
            raise Unsent(of_transport(read_reply(refused.smtp_code, _bytes(refused.smtp_error)).because("smtp_tls"))) from None

    def _why_not_open(self, error: Exception) -> Retry:
        secrets = self._secrets
        match error:
            case smtplib.SMTPAuthenticationError():
                return of_transport(read_reply(error.smtp_code, _bytes(error.smtp_error), secrets).because("smtp_auth"))
            case smtplib.SMTPResponseException():
                return of_transport(read_reply(error.smtp_code, _bytes(error.smtp_error), secrets).because("smtp_not_ready"))
            case smtplib.SMTPServerDisconnected():
                return _gone(error)
            case smtplib.SMTPException():  # no AUTH, or none that smtplib speaks
                return of_transport(Because("smtp_auth", {"text": masked(str(error), secrets)}))
            case _:
                return of_error(error)


def _gone(error: Exception) -> Retry:
    """smtplib hides a time-out behind “disconnected”."""
    return of_transport(Because("smtp_no_answer" if isinstance(error.__context__, TimeoutError) else "smtp_disconnected"))


def _trust(relay: Relay) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=relay.cafile or None)


def _bytes(words: bytes | str) -> bytes:
    return words if isinstance(words, bytes) else words.encode()


def _dotted(payload: bytes) -> bytes:
    """A line that begins with a dot gets another one (RFC 5321 §4.5.2); a lone dot ends the message."""
    return payload.replace(b"\r\n.", b"\r\n..") + (b".\r\n" if payload.endswith(b"\r\n") else b"\r\n.\r\n")


def _our_name(public_url: str) -> str:
    """What we call ourselves in EHLO. smtplib would ask DNS, which can take as long as its time-out."""
    host = urlsplit(public_url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host if "." in host else "localhost"
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
