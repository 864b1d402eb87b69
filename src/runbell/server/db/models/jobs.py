"""Projects, their environments, the jobs in them. Names are unique among the active; DELETE is `state` 2 and runs stay."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from runbell.server.db.models.accounts import Account, Member


class State(models.IntegerChoices):
    """The dbt Admin API's words for soft deletion."""

    ACTIVE = 1
    DELETED = 2


class Named(models.Model):
    """What these three share; upstream ids are text, since they are another system's."""

    name = models.CharField(max_length=200)
    state = models.SmallIntegerField(choices=State.choices, default=State.ACTIVE)
    external_id = models.CharField(max_length=200, blank=True)
    integration = models.CharField(max_length=64, blank=True)
    external_name = models.CharField(max_length=200, blank=True)  # as last seen there: a name changed here stays until it changes there
    gone_at = models.DateTimeField(null=True)  # when it was last looked for there, and missed
    created_at = models.DateTimeField()
    # While it can still be brought back; things deleted in one act share the moment. Null for what was merged away.
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class Pausable(models.Model):
    """Nobody is told of its runs until `paused_until`; receipts say who paused."""

    paused_until = models.DateTimeField(null=True)
    paused_by = models.ForeignKey(Member, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        abstract = True


class Alias(models.Model):
    """A name that reports may still use for something renamed or merged away."""

    name = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


def _active_name(owner: str, name: str) -> models.UniqueConstraint:
    return models.UniqueConstraint(fields=[owner, "name"], condition=Q(state=State.ACTIVE), name=name)


def _upstream(owner: str, name: str) -> models.UniqueConstraint:
    return models.UniqueConstraint(fields=[owner, "integration", "external_id"], condition=~Q(external_id=""), name=name)


class Project(Named):
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="projects")

    class Meta:
        constraints: ClassVar = [_active_name("account", "project_name"), _upstream("account", "project_upstream")]


class Environment(Named, Pausable):
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="environments")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="environments")
    model_notifications = models.JSONField(null=True)  # what API clients set about owners of models; nothing here acts on it

    class Meta:
        constraints: ClassVar = [_active_name("project", "environment_name"), _upstream("account", "environment_upstream")]


class Job(Named, Pausable):
    """`lost_after`: how long a started run may stay without an end; null means the server's setting. Hidden: kept, but not listed."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="jobs")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="jobs")
    lost_after = models.DurationField(null=True)
    hidden_at = models.DateTimeField(null=True)
    definition = models.JSONField(default=dict)  # what API clients say of it: schedule, commands and the like; nothing here acts on it

    class Meta:
        constraints: ClassVar = [_active_name("environment", "job_name"), _upstream("account", "job_upstream")]


class ProjectAlias(Alias):
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "name"], name="project_alias")]


class EnvironmentAlias(Alias):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name"], name="environment_alias")]


class JobAlias(Alias):
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="+")
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["environment", "name"], name="job_alias")]
