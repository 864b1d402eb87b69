"""Projects, their environments, the jobs in them. Names are unique among the active; DELETE is `state` 2 and runs stay."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from runbell.server.db.models.accounts import Account


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


class Environment(Named):
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="environments")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="environments")

    class Meta:
        constraints: ClassVar = [_active_name("project", "environment_name"), _upstream("account", "environment_upstream")]


class Job(Named):
    """`lost_after`: how long a started run may stay without an end; null means the server's setting."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="jobs")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="jobs")
    lost_after = models.DurationField(null=True)

    class Meta:
        constraints: ClassVar = [_active_name("environment", "job_name"), _upstream("account", "job_upstream")]
