"""Looking at the ways out: a mail server asked step by step, and whether a URL of ours leads back to us."""

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPException, HTTPResponse
from time import monotonic
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from runbell.channels.base import Transport
from runbell.channels.smtp import SmtpConnection
from runbell.channels.smtp_verdicts import Reply, masked
from runbell.core.because import Because
from runbell.core.deliveries import Verdict

PATIENCE = 10.0  # seconds for each answer; somebody watches
MAX_BODY = 64


class Stage(StrEnum):
    """What a mail goes through at its server, in this order."""

    CONNECTED = "connected"
    GREETED = "greeted"
    SECURE = "secure"
    SIGNED_IN = "signed in"
    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"
    MESSAGE = "message"


_COMMANDS = {"MAIL": Stage.SENDER, "RCPT": Stage.RECIPIENT, "DATA": Stage.CONTENT}


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer. `words` are the server's own, masked; never a secret of ours."""

    stage: Stage
    words: str


class ToldConnection(SmtpConnection):
    """The connection that sends every mail, which tells of each answer as it comes."""

    def __init__(self, transport: Transport, hear: Callable[[Heard], None]) -> None:
        super().__init__(transport, clock=monotonic)
        self._hear = hear

    def _open(self) -> smtplib.SMTP:
        smtp = super()._open()
        relay, sock = self._relay, smtp.sock
        self._hear(Heard(Stage.CONNECTED, f"{relay.host}:{relay.port}"))
        self._hear(Heard(Stage.GREETED, masked((smtp.ehlo_resp or smtp.helo_resp or b"").decode("utf-8", "replace"), relay.secrets)))
        if isinstance(sock, ssl.SSLSocket):
            self._hear(Heard(Stage.SECURE, sock.version() or "TLS"))
        if relay.user:
            self._hear(Heard(Stage.SIGNED_IN, relay.user))
        return smtp

    def _reply(self, smtp: smtplib.SMTP, command: str) -> Reply:
        reply = super()._reply(smtp, command)
        stage = _COMMANDS.get(command[:4])
        if reply.code < 400 and stage:
            self._hear(Heard(stage, _spelled(reply)))
        return reply


def _spelled(reply: Reply) -> str:
    return " ".join(filter(None, (str(reply.code), reply.enhanced, reply.text)))


def send_told(transport: Transport, address: str, payload: bytes, key: str) -> tuple[Verdict, tuple[Heard, ...]]:
    """One try, and what was heard on the way. Raises `BadField` for a relay that cannot be read."""
    heard: list[Heard] = []
    connection = ToldConnection(transport, heard.append)
    try:
        verdict = connection.send({"address": address}, payload, key)
    finally:
        connection.close()
    return verdict, tuple(heard)


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """What it leads to may be somebody else's."""


def why_not_us(url: str, *, timeout: float = 5.0) -> Because | None:
    """None when `url` answers as our health check does. No redirect is followed."""
    try:
        with build_opener(_NoRedirect).open(Request(url, headers={"User-Agent": "runbell"}), timeout=timeout) as answer:  # noqa: S310
            return None if _is_ours(answer) else Because("url_not_ours")
    except HTTPError as refused:
        refused.close()
        return Because("url_answers", {"code": refused.code})
    except URLError as error:
        return _of_error(error.reason)
    except (OSError, HTTPException, ValueError) as error:
        return _of_error(error)


def _is_ours(answer: HTTPResponse) -> bool:
    return answer.read(MAX_BODY).strip() == b"ok"


def _of_error(error: object) -> Because:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Because("url_certificate", {"text": masked(error.verify_message)})
    if isinstance(error, TimeoutError):
        return Because("url_silent")
    text = error.strerror if isinstance(error, OSError) and error.strerror else ""
    return Because("url_unreachable", {"text": masked(text)} if text else {})
