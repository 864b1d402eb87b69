"""What the roles are called, and what each may do, in words."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from runbell.core.permissions import ALLOWED, Action, Role

ROLES = {
    Role.ACCOUNT_ADMIN: gettext_lazy("Account admin"),
    Role.NOTIFICATION_MANAGER: gettext_lazy("Notification manager"),
    Role.DEVELOPER: gettext_lazy("Developer"),
    Role.VIEWER: gettext_lazy("Viewer"),
}
ACTIONS: dict[Action, Promise] = {
    Action.SEE_JOBS: gettext_lazy("See projects, environments, jobs, runs and who was told."),
    Action.SEE_DELIVERIES: gettext_lazy("See the delivery log."),
    Action.READ_MAILBOX: gettext_lazy("Read and empty the built-in mailbox."),
    Action.REPORT_RUNS: gettext_lazy("Report runs."),
    Action.UNSUBSCRIBE_SELF: gettext_lazy("Unsubscribe the own address from all email notifications."),
    Action.SET_OWN_NOTIFICATIONS: gettext_lazy("Set notifications for the own e-mail address."),
    Action.SET_ANY_NOTIFICATIONS: gettext_lazy("Set notifications for any member, external address and configured Slack channel."),
    Action.RESEND_DELIVERIES: gettext_lazy("Send a delivery again."),
    Action.PAUSE: gettext_lazy("Pause the messages about a job or an environment until a time."),
    Action.MANAGE_MEMBERS: gettext_lazy("Invite members, change roles, deactivate members."),
    Action.MANAGE_TOKENS: gettext_lazy("Create and revoke tokens."),
    Action.MANAGE_JOBS: gettext_lazy("Rename, merge, hide and delete projects, environments and jobs."),
    Action.LINK_SLACK: gettext_lazy("Link and unlink Slack, and take a Slack channel over."),
    Action.CONNECT_DBT: gettext_lazy("Connect accounts of the dbt platform, change and remove them."),
    Action.RUN_JOBS: gettext_lazy("Start, cancel and retry runs on the dbt platform, through the API."),
    Action.CHECK_MAIL: gettext_lazy("See how mail leaves the server, and send a test through it."),
    Action.SEE_AUDIT: gettext_lazy("Read the audit log."),
}
"""The sentences of core/permissions.py, where a translation can find them."""


@dataclass(frozen=True, slots=True)
class RoleFact:
    """`beside`: the role whose rights this one has too."""

    label: Promise
    beside: Promise | str
    sentences: tuple[Promise, ...]


def role_facts() -> list[RoleFact]:
    """Most rights first; each role says only what the next one lacks."""
    order = list(Role)
    return [_fact(role, below) for role, below in zip(order, [*order[1:], None], strict=True)]


def _fact(role: Role, below: Role | None) -> RoleFact:
    more = ALLOWED[role] - (ALLOWED[below] if below else frozenset())
    return RoleFact(ROLES[role], ROLES[below] if below else "", tuple(ACTIONS[action] for action in Action if action in more))
