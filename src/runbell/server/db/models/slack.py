"""Slack: the app of an account, the workspaces it is installed in, who linked them, and the Slack channels known there."""

from typing import ClassVar

from django.db import models

from runbell.server.db.fields import EncryptedTextField
from runbell.server.db.models.accounts import Account, Member


class SlackApp(models.Model):
    """An account's own Slack app. Without a row, what the environment says holds."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="slack_app")
    client_id = models.CharField(max_length=200)
    client_secret = EncryptedTextField()
    signing_secret = EncryptedTextField(blank=True)
    updated_by = models.ForeignKey(Member, on_delete=models.SET_NULL, null=True, related_name="+")
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Slack app of {self.account_id}"


class SlackWorkspace(models.Model):
    """One installation of the app: one bot token, shared by everybody who linked the workspace (facts: tokens are per app × workspace).

    `token` is empty once the last link is gone or Slack took it back. A lane of deliveries is named after the id.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="slack_workspaces")
    team_id = models.CharField(max_length=32)
    enterprise_id = models.CharField(max_length=32, blank=True)
    name = models.CharField(max_length=200)
    url = models.CharField(max_length=300, blank=True)  # https://acme.slack.com/
    client_id = models.CharField(max_length=200)  # of the app that the token belongs to
    bot_user_id = models.CharField(max_length=32, blank=True)
    scopes = models.JSONField(default=list)
    token = EncryptedTextField(blank=True)
    refresh_token = EncryptedTextField(blank=True)
    token_expires_at = models.DateTimeField(null=True)  # only with token rotation
    broken_because = models.JSONField(null=True)  # seen from Slack's side: nothing can be sent through any link
    broken_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)  # when it last worked
    check_at = models.DateTimeField(null=True)  # when the worker looks again; also when the token is due to be renewed
    listing_wanted_at = models.DateTimeField(null=True)  # somebody asked for a fresh list of Slack channels
    listing_started_at = models.DateTimeField(null=True)
    listing_found = models.PositiveIntegerField(default=0)  # so far
    listing_trouble = models.JSONField(null=True)
    listed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "team_id"], name="slack_workspace_once")]

    def __str__(self) -> str:
        return f"Slack workspace {self.team_id} in {self.account_id}"


class SlackLink(models.Model):
    """One admin's link to a workspace. One row per pair for ever: who links again finds the Slack channels that nobody took over."""

    workspace = models.ForeignKey(SlackWorkspace, on_delete=models.CASCADE, related_name="links")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="slack_links")
    slack_user_id = models.CharField(max_length=32)
    rank = models.CharField(max_length=16)  # primary_owner | owner | admin | member, as last seen
    linked_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_because = models.JSONField(null=True)  # unlinked, no longer an owner, no longer an admin here, …
    told_at = models.DateTimeField(null=True)  # when its owner was told of the present trouble

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["workspace", "member"], name="slack_link_once")]

    def __str__(self) -> str:
        return f"Slack link of member {self.member_id} to {self.workspace_id}"


class SlackChannel(models.Model):
    """A public Slack channel as last listed, or as an event said since. Kept when it is archived or gone: rules may point there."""

    workspace = models.ForeignKey(SlackWorkspace, on_delete=models.CASCADE, related_name="channels")
    channel_id = models.CharField(max_length=32)
    name = models.CharField(max_length=100)
    members = models.PositiveIntegerField(null=True)
    is_archived = models.BooleanField(default=False)
    is_private = models.BooleanField(default=False)
    is_gone = models.BooleanField(default=False)
    seen_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["workspace", "channel_id"], name="slack_channel_once")]
        indexes: ClassVar = [models.Index(fields=["workspace", "name"], name="slack_channel_by_name")]

    def __str__(self) -> str:
        return f"Slack channel {self.channel_id}"
