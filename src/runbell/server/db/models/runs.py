"""Runs as told by their reporters."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from runbell.core.runs import NodeStatus, Outcome, RunState
from runbell.server.db.models.accounts import Account, Token
from runbell.server.db.models.jobs import Job

RARE = (Outcome.CANCELLED.value, Outcome.WARNED.value)
RARE_SQL = f"outcome IN ({', '.join(map(repr, RARE))})"
"""A literal, not parameters: only then does SQLite see that the partial index `run_rare` fits."""


def _words(enum: type[Outcome] | type[RunState] | type[NodeStatus]) -> list[tuple[str, str]]:
    return [(word.value, word.value) for word in enum]


class Run(models.Model):
    """`outcome` stands once `decided_at` is set. `not_told`: destinations in scope that chose other outcomes, as of then.

    Here, and in what is stored with it, a reference has no index of its own where another begins with it: each costs every report.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="runs", db_index=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="runs", db_index=False)
    state = models.CharField(max_length=16, choices=_words(RunState))
    outcome = models.CharField(max_length=16, choices=_words(Outcome), blank=True)
    because = models.JSONField(default=dict)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    trigger = models.JSONField(default=dict)
    git_branch = models.CharField(max_length=200, blank=True)
    git_sha = models.CharField(max_length=64, blank=True)
    host_tool = models.CharField(max_length=200, blank=True)
    log_end = models.TextField(blank=True)
    token = models.ForeignKey(Token, on_delete=models.SET_NULL, null=True, db_index=False)  # none is ever deleted
    received_at = models.DateTimeField()
    settle_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(null=True)
    lost_at = models.DateTimeField(null=True)  # when a started run without an end is given up; null once it has ended
    late_end = models.JSONField(null=True)  # an end that differs from what was decided, shown and never sent
    not_told = models.JSONField(default=dict)
    merged_into = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="merged", db_index=False)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["job", "-started_at"], name="run_by_job"),
            models.Index(fields=["account", "-id"], name="run_by_account"),
            models.Index(fields=["account", "outcome", "-id"], name="run_rare", condition=Q(outcome__in=RARE)),
            models.Index(fields=["merged_into"], name="run_merged", condition=Q(merged_into__isnull=False)),
            models.Index(fields=["lost_at"], name="run_lost", condition=Q(lost_at__isnull=False)),
            models.Index(fields=["settle_at"], name="run_settle", condition=Q(decided_at__isnull=True, settle_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} of job {self.job_id}: {self.outcome or self.state}"


class RunKey(models.Model):
    """A name that reporters have for a run; one run may have several, one key never two runs."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_index=False)
    key = models.CharField(max_length=200)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="keys")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "key"], name="run_key")]

    def __str__(self) -> str:
        return self.key


class Step(models.Model):
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps", db_index=False)
    index = models.PositiveSmallIntegerField()
    command = models.CharField(max_length=2000, blank=True)
    outcome = models.CharField(max_length=16, choices=_words(Outcome), blank=True)
    exit_code = models.BigIntegerField(null=True)
    signal = models.SmallIntegerField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    invocation_id = models.CharField(max_length=64, blank=True)
    dbt_version = models.CharField(max_length=64, blank=True)
    counts = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "index"], name="step_index")]

    def __str__(self) -> str:
        return f"step {self.index} of run {self.run_id}"


class Node(models.Model):
    """A node that did not pass, in the order its reporter told it. `facts` hold the rest of `NodeReport`, such as freshness."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="nodes")
    unique_id = models.CharField(max_length=2000)
    name = models.CharField(max_length=2000, blank=True)
    status = models.CharField(max_length=8, choices=_words(NodeStatus))
    resource_type = models.CharField(max_length=200, blank=True)
    path = models.CharField(max_length=2000, blank=True)
    message = models.TextField(blank=True)
    failures = models.BigIntegerField(null=True)
    facts = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.unique_id
