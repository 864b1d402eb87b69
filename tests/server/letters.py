"""The mails about signing in that are queued: read as the relay would get them."""

import re
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.policy import default

from runbell.core.because import Because
from runbell.server.db.models import Delivery
from runbell.server.db.outbox import Claimed
from runbell.server.services.parcels import Parcel, load_parcels


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


def parcel_of(delivery: Delivery, *, now: datetime) -> Parcel:
    """What the worker would make of it, had it claimed it."""
    found = {name: getattr(delivery, name) for name in Claimed._fields if hasattr(delivery, name)}
    because = Because.from_json(delivery.because) if delivery.because else None
    (parcel,) = load_parcels([Claimed(**{**found, "job_id": None, "finished_at": None, "last_because": None, "because": because})], now=now)
    return parcel


def _read(payload: bytes) -> Letter:
    mail = message_from_bytes(payload, policy=default)
    return Letter(str(mail["To"]), str(mail["Subject"]), mail.get_content())
