"""The dbt platform: accounts there that tell us of runs, the events they sent, and the runs of which more is to be read."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from runbell.server.db.fields import EncryptedTextField
from runbell.server.db.models.accounts import Account, Member
from runbell.server.db.models.runs import Run


class DbtPlatform(models.Model):
    """One account there. Its row stays when it is removed, without secrets: jobs are known by it, and it may come back."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="dbt_platforms")
    url = models.CharField(max_length=300)  # https://cloud.getdbt.com
    external_id = models.CharField(max_length=32)
    token = EncryptedTextField(blank=True)
    webhook_secret = EncryptedTextField(blank=True)
    updated_by = models.ForeignKey(Member, on_delete=models.SET_NULL, null=True, related_name="+")
    updated_at = models.DateTimeField()
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True)  # when a signed event last came
    heard_because = models.JSONField(null=True)  # why the last one was of no use
    checked_at = models.DateTimeField(null=True)
    checked = models.JSONField(default=list)  # what Check saw: [{what, because}]
    broken_because = models.JSONField(null=True)  # the token is no good
    broken_at = models.DateTimeField(null=True)
    failures = models.PositiveSmallIntegerField(default=0)  # in a row
    held_until = models.DateTimeField(null=True)  # it is not asked before
    poll_at = models.DateTimeField(null=True)
    polled_to = models.DateTimeField(null=True)  # runs that ended before, by the clock there, are known
    mirrored_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "url", "external_id"], name="dbt_platform_once")]

    def __str__(self) -> str:
        return f"dbt platform account {self.external_id} in {self.account_id}"


class DbtEvent(models.Model):
    """An event that was taken, by its id: it is taken once."""

    platform = models.ForeignKey(DbtPlatform, on_delete=models.CASCADE)
    event_id = models.CharField(max_length=100)
    received_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["platform", "event_id"], name="dbt_event_once")]

    def __str__(self) -> str:
        return self.event_id


class DbtRun(models.Model):
    """A run there. `due_at`: when the worker reads it; also a claim. `settle_at`: an end is told then with whatever is known."""

    platform = models.ForeignKey(DbtPlatform, on_delete=models.CASCADE)
    external_id = models.CharField(max_length=32)
    told = models.JSONField(default=dict)  # the `data` of the event that knew most
    seen_at = models.DateTimeField()
    settle_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)
    run = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, related_name="+")
    told_at = models.DateTimeField(null=True)  # when its end was recorded
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["platform", "external_id"], name="dbt_run_once")]
        indexes: ClassVar = [models.Index(fields=["due_at"], name="dbt_run_due", condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return f"dbt run {self.external_id}"
