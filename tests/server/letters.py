"""The mails about signing in that are queued: read as the relay would get them."""

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default

from runbell.server.db.models import Delivery


@dataclass(frozen=True, slots=True)
class Letter:
    to: str
    subject: str
    text: str

    @property
    def link(self) -> str:
        """The path of its first link."""
        found = re.search(r"https?://[^/\s]+(/\S+)", self.text)
        assert found
        return found[1]


def letters() -> list[Letter]:
    return [_read(bytes(delivery.payload)) for delivery in Delivery.objects.filter(purpose="account").order_by("pk") if delivery.payload]


def _read(payload: bytes) -> Letter:
    mail = message_from_bytes(payload, policy=default)
    return Letter(str(mail["To"]), str(mail["Subject"]), mail.get_content())
