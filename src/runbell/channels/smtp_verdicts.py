"""What a mail server's answer means for a message: the table of SMTP codes (RFC 5321 §4.2, RFC 3463), one comment per oddity."""

import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from runbell.core.because import Because
from runbell.core.deliveries import Dead, Retry, Verdict
from runbell.core.fields import storable
from runbell.core.redact import HIDDEN, redact

CODES = (
    *("smtp_unreachable", "smtp_tls", "smtp_no_starttls", "smtp_auth", "smtp_not_ready", "smtp_sender_refused", "smtp_disconnected"),
    *("smtp_no_answer", "smtp_no_answer_after_data"),
    *("smtp_address_unknown", "smtp_recipient_refused", "smtp_mailbox_full", "smtp_later", "smtp_message_refused"),
)
MAX_ANSWER = 200
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_QUEUED = re.compile(r"queued as ([^\s\])>]+)|\bid=([^\s\])>]+)|^ok ([\w.-]{16,})$", re.I)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: ``550 5.1.1 no such user`` is (550, "5.1.1", "no such user"). The words are masked, on one line, and cut."""

    code: int
    enhanced: str = ""
    text: str = ""

    @property
    def is_refusal(self) -> bool:
        return self.code >= 500

    def because(self, code: str) -> Because:
        params: dict[str, Any] = {"code": self.code, "enhanced": self.enhanced, "text": self.text}
        return Because(code, {name: value for name, value in params.items() if value})


@lru_cache(maxsize=64)
def read_reply(code: int, words: bytes, secrets: tuple[str, ...] = ()) -> Reply:
    """The enhanced code stands before every line of an answer; it is told once. A relay says the same few words to every message."""
    lines = words.decode("utf-8", "replace").splitlines()
    found = _ENHANCED.match(lines[0]) if lines else None
    said = " ".join(_ENHANCED.sub("", line.strip(), count=1) if _ENHANCED.match(line) else line for line in lines)
    return Reply(code, found[1] if found else "", masked(said, secrets))


def masked(words: str, secrets: Iterable[str] = ()) -> str:
    """What may be shown of somebody's words: some servers repeat what was said to them, credentials too."""
    for secret in filter(None, secrets):
        words = words.replace(secret, HIDDEN)
    return " ".join(redact(storable(words)).split())[:MAX_ANSWER]


def queued_as(reply: Reply) -> str:
    """What the relay calls the message: Postfix and most say “queued as”, Exim “id=”, Amazon SES “Ok” and the id."""
    found = _QUEUED.search(reply.text)
    return next(filter(None, found.groups()), "")[:MAX_ANSWER] if found else ""


def of_transport(because: Because) -> Retry:
    """The way itself is down: no message is at fault."""
    return Retry(because, is_transport=True)


def of_error(error: Exception) -> Retry:
    """An exception while connecting. Its own words only: the address of the relay holds a password."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return of_transport(Because("smtp_tls", {"text": masked(error.verify_message)}))
    if isinstance(error, ssl.SSLError):
        return of_transport(Because("smtp_tls", {"text": masked((error.reason or "").replace("_", " ").lower())}))
    if isinstance(error, TimeoutError):
        return of_transport(Because("smtp_no_answer"))
    text = error.strerror if isinstance(error, OSError) and error.strerror else ""
    return of_transport(Because("smtp_unreachable", {"text": masked(text)} if text else {}))


def is_sign_in(reply: Reply) -> bool:
    """530 sign-in required, 534 and 535 not accepted, 538 encryption required: at any command, our settings are wrong."""
    return reply.code in (530, 534, 535, 538)


def of_sender(reply: Reply) -> Verdict:
    """After MAIL. No recipient was named yet, so whatever is wrong would be wrong for every message."""
    return of_transport(
        reply.because("smtp_auth" if is_sign_in(reply) else "smtp_sender_refused" if reply.is_refusal else "smtp_not_ready")
    )


def of_recipient(reply: Reply) -> Verdict:
    """After RCPT. x.7.x is policy: a relay that may not be used refuses everybody, and nobody's address is wrong."""
    return _of_common(reply) or Dead(reply.because("smtp_recipient_refused"), is_refusal=not reply.enhanced.startswith("5.7"))


def of_message(reply: Reply) -> Verdict:
    """After DATA or the final dot. 554 5.7.x is policy: it is about these words, not the address; 552 5.3.4 about their size."""
    return _of_common(reply) or Dead(reply.because("smtp_message_refused"))


def _of_common(reply: Reply) -> Verdict | None:
    """Codes that mean the same at each of the commands that name a recipient; some servers check it only after the final dot."""
    if is_sign_in(reply):
        return of_transport(reply.because("smtp_auth"))
    # 552 was “storage exceeded” long before it had enhanced codes, and is permanent only by its first digit. Mailboxes get emptied.
    if reply.enhanced[1:] == ".2.2" or (reply.code in (452, 552) and not reply.enhanced):
        return Retry(reply.because("smtp_mailbox_full"))
    if not reply.is_refusal:
        return Retry(reply.because("smtp_later"))  # 450 and 451 greylisting, 421 going down, and what else begins with 4
    # A bare 550 is said of policy as well as of unknown users, so only these speak of the address itself: no such mailbox,
    # a null MX that takes no mail at all, moved away (551), no valid name (553).
    if reply.enhanced in ("5.1.1", "5.1.10") or (reply.code in (551, 553) and not reply.enhanced.startswith("5.7")):
        return Dead(reply.because("smtp_address_unknown"), is_refusal=True)
    return None
