"""Sign-in, reset and confirmation mail goes the way of every delivery: outbox, retries, one relay."""

from collections.abc import Sequence
from copy import copy
from datetime import datetime
from email.utils import parseaddr

import structlog
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.utils import timezone

from runbell.server.db import bell
from runbell.server.db.models import Delivery, Member
from runbell.server.db.models.deliveries import Purpose

log = structlog.get_logger()


class OutboxBackend(BaseEmailBackend):
    """Django's way of sending, for allauth. Returns how many messages were queued."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        now = timezone.now()  # noqa: TID251  # Django hands nothing but the messages
        with transaction.atomic():
            deliveries = [
                delivery for message in email_messages for to in message.recipients() if (delivery := _delivery(message, to, now))
            ]
            Delivery.objects.bulk_create(deliveries)
            if deliveries:
                transaction.on_commit(bell.ring)
        return len(deliveries)


def queue(message: EmailMessage, *, account_id: int, now: datetime) -> None:
    """For an address that nobody here has yet: `account_id` is the account of the person who asked for the letter."""
    with transaction.atomic():
        Delivery.objects.bulk_create([_of_account(message, to, account_id, now) for to in message.recipients()])
        transaction.on_commit(bell.ring)


def _delivery(message: EmailMessage, to: str, now: datetime) -> Delivery | None:
    """Encrypted, since it holds a link that signs in; deleted once sent. Nobody's address gets nothing: no account would own it."""
    member = Member.objects.filter(user__email=parseaddr(to)[1].lower(), is_active=True).order_by("id").first()
    if member is None:
        log.info("account_mail.unknown_address")
        return None
    return _of_account(message, to, member.account_id, now)


def _of_account(message: EmailMessage, to: str, account_id: int, now: datetime) -> Delivery:
    return Delivery(
        account_id=account_id,
        purpose=Purpose.ACCOUNT,
        lane="email",
        payload=b"".join(line + b"\r\n" for line in _to_one(message, to).message().as_bytes().splitlines()),
        due_at=now,
        created_at=now,
    )


def _to_one(message: EmailMessage, to: str) -> EmailMessage:
    single = copy(message)
    single.to, single.cc, single.bcc = [to], [], []
    return single
