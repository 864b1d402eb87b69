"""Where messages go and who chose it."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from runbell.core.runs import Outcome
from runbell.server.db.fields import EncryptedTextField
from runbell.server.db.models.accounts import Account, Member
from runbell.server.db.models.jobs import Environment, Job, State
from runbell.server.db.models.slack import SlackLink

OUTCOMES = [(word.value, word.value) for word in Outcome]


class Destination(models.Model):
    """One place messages go. Kind email points to a member *or* holds an external address: never a copy of a member's address.

    Its id is the dbt API's notification id and is never reused. `revision` rises with every save of its rules.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="destinations")
    kind = models.CharField(max_length=16)
    member = models.ForeignKey(Member, on_delete=models.CASCADE, null=True, related_name="destinations")
    link = models.ForeignKey(SlackLink, on_delete=models.SET_NULL, null=True, related_name="destinations")  # through which it is sent
    address = models.CharField(max_length=320, blank=True)  # external: as typed; Slack: #name as last seen
    address_key = models.CharField(max_length=320, blank=True)  # how two spellings are known to be one; Slack: <team>:<channel id>
    settings = models.JSONField(default=dict)
    secret = EncryptedTextField(blank=True)
    language = models.CharField(max_length=8, blank=True)  # empty: the member's, else the account's
    zone = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(Member, on_delete=models.SET_NULL, null=True, related_name="+")
    public_id = models.CharField(max_length=22, unique=True)
    generation = models.PositiveIntegerField(default=1)  # raised to make every unsubscribe link in old mails void
    revision = models.PositiveIntegerField(default=1)
    state = models.SmallIntegerField(choices=State.choices, default=State.ACTIVE)
    disabled_because = models.JSONField(null=True)  # refused for good by the other side
    refusals = models.PositiveSmallIntegerField(default=0)  # in a row, for good; any success ends the row
    trouble_told_at = models.DateTimeField(null=True)  # when its owner was told of the present trouble: once
    confirmed_at = models.DateTimeField(null=True)  # external: its holder said yes, where RUNBELL_CONFIRM_EXTERNAL asks
    next_at = models.DateTimeField(null=True)  # nothing goes there before: its channel's pace, or what the provider asked for
    held_until = models.DateTimeField(null=True)  # one message is on its way there, and no other while its lease lasts
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "kind", "member"], condition=Q(state=1, member__isnull=False), name="destination_member"
            ),
            models.UniqueConstraint(
                fields=["account", "kind", "address_key"], condition=Q(state=1) & ~Q(address_key=""), name="destination_address"
            ),
            models.CheckConstraint(condition=Q(member__isnull=True) | Q(address_key=""), name="destination_member_or_address"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} destination {self.pk}"


class Rule(models.Model):
    """A destination chose an outcome, for one job or for every job of an environment, present and future."""

    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="rules")
    job = models.ForeignKey(Job, on_delete=models.CASCADE, null=True, related_name="rules")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, null=True, related_name="rules")
    outcome = models.CharField(max_length=16, choices=OUTCOMES)
    set_by = models.ForeignKey(Member, on_delete=models.SET_NULL, null=True, related_name="+")
    set_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(job__isnull=False, environment__isnull=True) | Q(job__isnull=True, environment__isnull=False), name="rule_scope"
            ),
            models.UniqueConstraint(fields=["destination", "job", "outcome"], condition=Q(job__isnull=False), name="rule_job"),
            models.UniqueConstraint(
                fields=["destination", "environment", "outcome"], condition=Q(environment__isnull=False), name="rule_environment"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} of {self.job_id or self.environment_id} to {self.destination_id}"


class Unsubscription(models.Model):
    """What an unsubscribe took away, kept so that it can be undone for 24 hours. `rules`: [[job, environment, outcome, set_by], …]."""

    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="unsubscriptions")
    at = models.DateTimeField()
    scope = models.CharField(max_length=16)
    rules = models.JSONField(default=list)
    undone_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"unsubscription {self.pk} of destination {self.destination_id}"


class SettingsCopy(models.Model):
    """What one copying of settings changed, kept so that it can be undone for 24 hours.

    `before`: destination id → {"revision": as the copy left it, "rules": [[job, environment, outcome, set_by], …] that it removed,
    "added": [[job, environment, outcome], …]}.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    member = models.ForeignKey(Member, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()
    before = models.JSONField(default=dict)
    undone_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"copy of settings {self.pk}"
