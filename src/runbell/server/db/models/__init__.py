"""Every table; one Django app, one migration chain."""

from runbell.server.db.models.accounts import Account, AuditEntry, Invitation, Member, Token, User
from runbell.server.db.models.artifacts import Artifact, ArtifactPart
from runbell.server.db.models.dbt import DbtEvent, DbtPlatform, DbtRun
from runbell.server.db.models.deliveries import Attempt, Delivery, MailboxItem, Message, Receipt
from runbell.server.db.models.jobs import Environment, EnvironmentAlias, Job, JobAlias, Project, ProjectAlias, State
from runbell.server.db.models.routing import Destination, Rule, SettingsCopy, Unsubscription
from runbell.server.db.models.runs import Node, Run, RunKey, Step
from runbell.server.db.models.slack import SlackApp, SlackChannel, SlackLink, SlackWorkspace

__all__ = [
    "Account",
    "Artifact",
    "ArtifactPart",
    "Attempt",
    "AuditEntry",
    "DbtEvent",
    "DbtPlatform",
    "DbtRun",
    "Delivery",
    "Destination",
    "Environment",
    "EnvironmentAlias",
    "Invitation",
    "Job",
    "JobAlias",
    "MailboxItem",
    "Member",
    "Message",
    "Node",
    "Project",
    "ProjectAlias",
    "Receipt",
    "Rule",
    "Run",
    "RunKey",
    "SettingsCopy",
    "SlackApp",
    "SlackChannel",
    "SlackLink",
    "SlackWorkspace",
    "State",
    "Step",
    "Token",
    "Unsubscription",
    "User",
]
