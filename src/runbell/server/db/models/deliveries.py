"""Messages, the outbox, every try, and the reasons."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from runbell.core.deliveries import PENDING, DeliveryState
from runbell.server.db.fields import EncryptedBinaryField
from runbell.server.db.models.accounts import Account
from runbell.server.db.models.routing import Destination, Rule
from runbell.server.db.models.runs import Run

LOST = "lost"
"""Verdict of an attempt that went out and had no answer: it may have arrived."""
ENDED = sorted(state.value for state in DeliveryState if state not in PENDING)
ENDED_SQL = f"state IN ({', '.join(map(repr, ENDED))})"
"""A literal, not parameters: only then does SQLite see that the partial index `delivery_ended` fits."""


class Purpose(models.TextChoices):
    RUN = "run"
    TEST = "test"
    NOTICE = "notice"
    DIGEST = "digest"
    ACCOUNT = "account"


class Message(models.Model):
    """What a run's message says in one language, without a formatted time; every channel and every try starts from it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, null=True, related_name="messages", db_index=False)
    language = models.CharField(max_length=8)
    body = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "language"], condition=Q(run__isnull=False), name="message_once"),
        ]

    def __str__(self) -> str:
        return f"message {self.pk}"


class Delivery(models.Model):
    """One message to one destination. `due_at` is schedule, backoff, rate slot and lease in one: a crash makes it due again.

    Only `services.deliveries` and the claim change `state`. `key` on the wire is ``<id>.<resends>``. `folded_into`: the digest that tells it.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    purpose = models.CharField(max_length=8, choices=Purpose.choices, default=Purpose.RUN)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, null=True, related_name="deliveries")
    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, null=True, related_name="deliveries", db_index=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, null=True)
    payload = EncryptedBinaryField(null=True)  # sign-in and reset mails alone; deleted once sent
    lane = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in DeliveryState], default=DeliveryState.QUEUED)
    because = models.JSONField(null=True)  # why this destination was told, for purpose run
    last_because = models.JSONField(null=True)  # what the last try ran into
    attempts = models.PositiveSmallIntegerField(default=0)
    resends = models.PositiveSmallIntegerField(default=0)
    folded_into = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="folded", db_index=False)
    due_at = models.DateTimeField()
    claim = models.CharField(max_length=32, blank=True)
    provider_id = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "destination"], condition=Q(purpose="run"), name="delivery_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["lane", "account", "due_at"], name="delivery_turn", condition=Q(state__in=[s.value for s in PENDING])),
            models.Index(fields=["account", "-created_at", "-id"], name="delivery_log"),
            models.Index(fields=["account", "state", "-created_at", "-id"], name="delivery_ended", condition=Q(state__in=ENDED)),
            models.Index(fields=["destination", "-id"], name="delivery_by_destination"),
            models.Index(fields=["folded_into"], name="delivery_folded", condition=Q(folded_into__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}: {self.state}"


class Attempt(models.Model):
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="tries")
    at = models.DateTimeField()
    took = models.FloatField()  # seconds
    verdict = models.CharField(max_length=8)  # sent | retry | lost | dead
    because = models.JSONField(null=True)
    provider_id = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"attempt {self.pk} of delivery {self.delivery_id}: {self.verdict}"


class Receipt(models.Model):
    """Why a destination with a matching rule was told of a run, or was not."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="receipts", db_index=False)
    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="receipts")
    rule = models.ForeignKey(Rule, on_delete=models.SET_NULL, null=True)
    is_told = models.BooleanField()
    because = models.JSONField()
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "destination"], name="receipt_once")]

    def __str__(self) -> str:
        return f"receipt of run {self.run_id} for {self.destination_id}"


class MailboxItem(models.Model):
    """A mail kept here because no relay is set. `content` is the whole message as it would have gone over the wire."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="mailbox_items")
    delivery = models.OneToOneField(Delivery, on_delete=models.CASCADE, related_name="mailbox_item")
    recipient = models.CharField(max_length=320)
    subject = models.CharField(max_length=400)
    content = models.BinaryField()
    at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["account", "-id"], name="mailbox_by_account")]

    def __str__(self) -> str:
        return f"mailbox item {self.pk}"
