"""Who changed what."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, get_args

from runbell.server.db.models import Account, AuditEntry
from runbell.server.services.access import Actor

Action = Literal[
    "member.add",
    "member.email",
    "member.profile",
    "member.password",
    "member.second_step_on",
    "member.second_step_off",
    "member.second_step_reset",
    "member.recovery_codes",
    "member.join",
    "member.role",
    "member.deactivate",
    "member.reactivate",
    "member.reset_link",
    "invitation.create",
    "invitation.send_again",
    "invitation.revoke",
    "invitation.restore",
    "notifications.create",
    "notifications.update",
    "notifications.delete",
    "notifications.restore",
    "notifications.adopt",
    "notifications.lift",
    "notifications.confirm",
    "notifications.copy",
    "notifications.copy_undo",
    "delivery.resend",
    "mailbox.empty",
    "email.unsubscribe",
    "email.unsubscribe_undo",
    "job.pause",
    "job.resume",
    "environment.pause",
    "environment.resume",
    "job.create",
    "job.define",
    "job.rename",
    "job.forget_alias",
    "job.merge",
    "job.delete",
    "job.restore",
    "job.hide",
    "job.show",
    "job.limit",
    "environment.rename",
    "environment.forget_alias",
    "environment.merge",
    "environment.delete",
    "environment.restore",
    "environment.owners",
    "project.rename",
    "project.forget_alias",
    "project.merge",
    "project.delete",
    "project.restore",
    "token.create",
    "token.revoke",
    "slack.app",
    "slack.app_forget",
    "slack.link",
    "slack.unlink",
    "slack.link_end",
    "slack.break",
    "slack.take_over",
    "dbt.connect",
    "dbt.change",
    "dbt.remove",
    "dbt.run",
    "dbt.cancel",
    "dbt.retry",
]
"""What is ever recorded. A new one gets its sentence in web/audit.py, and its kind by its first word in audit_log.py."""

ACTIONS: Mapping[str, Action] = {action: action for action in get_args(Action)}
"""For names that are put together, such as a kind of place and what was done to it."""


def record(
    *,
    account: Account,
    actor: Actor | None,
    action: Action,
    subject: str,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """`actor` None: the server's own command line, or the link that `after["through"]` names. Never put a secret into `before` or `after`."""
    entry(account=account, actor=actor, action=action, subject=subject, now=now, before=before, after=after).save()


def entry(
    *,
    account: Account,
    actor: Actor | None,
    action: Action,
    subject: str,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """What `record` stores, for who stores many at once."""
    return AuditEntry(
        account=account,
        at=now,
        member=actor.member if actor else None,
        token=actor.token if actor else None,
        action=action,
        subject=subject[:400],
        before=before or {},
        after=after or {},
    )
