"""As many rows of as much text as Runbell stores of a report, but for its messages and receipts."""

from typing import Any, ClassVar

from django.db import models


class Row(models.Model):
    objects: ClassVar[Any] = models.Manager()  # mypy's plugin knows the models of Runbell alone

    class Meta:
        abstract = True


class Sender(Row):
    token = models.CharField(max_length=100, unique=True)


class Run(Row):
    key = models.CharField(max_length=200, unique=True)
    sender = models.ForeignKey(Sender, on_delete=models.CASCADE)
    job = models.CharField(max_length=200)
    state = models.CharField(max_length=16)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    log_end = models.TextField()


class Step(Row):
    run = models.ForeignKey(Run, on_delete=models.CASCADE)
    index = models.IntegerField()
    command = models.CharField(max_length=2000)
    exit_code = models.IntegerField(null=True)
    counts = models.JSONField()


class Node(Row):
    step = models.ForeignKey(Step, on_delete=models.CASCADE)
    unique_id = models.CharField(max_length=2000)
    status = models.CharField(max_length=8)
    message = models.TextField()


class Recipient(Row):
    address = models.CharField(max_length=320)


class Delivery(Row):
    run = models.ForeignKey(Run, on_delete=models.CASCADE)
    recipient = models.ForeignKey(Recipient, on_delete=models.CASCADE)
    state = models.CharField(max_length=12, default="queued", db_index=True)
