"""Every table; one Django app, one migration chain."""

from runbell.server.db.models.accounts import Account, AuditEntry, Member, Token, User
from runbell.server.db.models.deliveries import Attempt, Delivery, MailboxItem, Message, Receipt
from runbell.server.db.models.jobs import Environment, Job, Project, State
from runbell.server.db.models.routing import Destination, Rule, Unsubscription
from runbell.server.db.models.runs import Node, Run, RunKey, Step

__all__ = [
    "Account",
    "Attempt",
    "AuditEntry",
    "Delivery",
    "Destination",
    "Environment",
    "Job",
    "MailboxItem",
    "Member",
    "Message",
    "Node",
    "Project",
    "Receipt",
    "Rule",
    "Run",
    "RunKey",
    "State",
    "Step",
    "Token",
    "Unsubscription",
    "User",
]
