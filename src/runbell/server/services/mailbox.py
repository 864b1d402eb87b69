"""The built-in mailbox: where mail goes when no relay is set. Not a fake: what is kept is what would have gone over the wire."""

from collections.abc import Callable, Mapping
from datetime import datetime
from email.parser import BytesHeaderParser
from email.policy import default
from typing import Any

from django.db import DatabaseError, connection, transaction

from runbell.core.because import Because
from runbell.core.deliveries import Dead, Retry, Sent, Verdict
from runbell.server.db.models import Delivery, MailboxItem
from runbell.server.db.models.deliveries import Purpose


class MailboxConnection:
    """A lane's way into the mailbox. The thread that sends has a database connection of its own, until `close`."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    def send(self, settings: Mapping[str, Any], payload: bytes, key: str) -> Verdict:
        """Keeps one item for a delivery, whatever number of tries; sent again, the new mail takes the place of the old.

        Sign-in and reset mail is for its reader alone, not for an admin with a mailbox: without a relay it ends here.
        """
        try:
            return self._keep(int(key.partition(".")[0]), str(settings["address"]), payload)
        except DatabaseError:
            connection.close()
            return Retry(Because("mailbox_unavailable"), is_transport=True)

    def _keep(self, delivery_id: int, address: str, payload: bytes) -> Verdict:
        with transaction.atomic():
            row = Delivery.objects.filter(pk=delivery_id).values_list("account_id", "purpose").first()
            if row is None or row[1] == Purpose.ACCOUNT:
                return Dead(Because("no_mail_relay"))
            fields = {"recipient": address, "subject": _subject(payload), "content": payload, "at": self._clock()}
            MailboxItem.objects.update_or_create(delivery_id=delivery_id, defaults=fields, create_defaults={"account_id": row[0], **fields})
        return Sent()

    def close(self) -> None:
        connection.close()


def _subject(payload: bytes) -> str:
    subject = BytesHeaderParser(policy=default).parsebytes(payload)["Subject"]
    return str(subject or "")[:400]
