"""Who may do what: one pure table, roles × actions, with a sentence for each action."""

from enum import StrEnum


class Role(StrEnum):
    """Words of the API and the command line, most rights first."""

    ACCOUNT_ADMIN = "account_admin"
    NOTIFICATION_MANAGER = "notification_manager"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class Permission(StrEnum):
    """What a token may be used for; the member it acts as limits it further."""

    REPORT = "report"
    READ = "read"
    NOTIFICATIONS = "notifications"
    ADMIN = "admin"


class Action(StrEnum):
    SEE_JOBS = "see_jobs"
    SEE_DELIVERIES = "see_deliveries"
    READ_MAILBOX = "read_mailbox"
    REPORT_RUNS = "report_runs"
    UNSUBSCRIBE_SELF = "unsubscribe_self"
    SET_OWN_NOTIFICATIONS = "set_own_notifications"
    SET_ANY_NOTIFICATIONS = "set_any_notifications"
    RESEND_DELIVERIES = "resend_deliveries"
    PAUSE = "pause"
    MANAGE_MEMBERS = "manage_members"
    MANAGE_TOKENS = "manage_tokens"
    MANAGE_JOBS = "manage_jobs"
    LINK_SLACK = "link_slack"
    CONNECT_DBT = "connect_dbt"
    RUN_JOBS = "run_jobs"
    SEE_AUDIT = "see_audit"
    CHECK_MAIL = "check_mail"


SENTENCES = {
    Action.SEE_JOBS: "See projects, environments, jobs, runs and who was told.",
    Action.SEE_DELIVERIES: "See the delivery log.",
    Action.READ_MAILBOX: "Read and empty the built-in mailbox.",
    Action.REPORT_RUNS: "Report runs.",
    Action.UNSUBSCRIBE_SELF: "Unsubscribe the own address from all email notifications.",
    Action.SET_OWN_NOTIFICATIONS: "Set notifications for the own e-mail address.",
    Action.SET_ANY_NOTIFICATIONS: "Set notifications for any member, external address and configured Slack channel.",
    Action.RESEND_DELIVERIES: "Send a delivery again.",
    Action.PAUSE: "Pause the messages about a job or an environment until a time.",
    Action.MANAGE_MEMBERS: "Invite members, change roles, deactivate members.",
    Action.MANAGE_TOKENS: "Create and revoke tokens.",
    Action.MANAGE_JOBS: "Rename, merge, hide and delete projects, environments and jobs.",
    Action.LINK_SLACK: "Link and unlink Slack, and take a Slack channel over.",
    Action.CONNECT_DBT: "Connect accounts of the dbt platform, change and remove them.",
    Action.RUN_JOBS: "Start, cancel and retry runs on the dbt platform, through the API.",
    Action.SEE_AUDIT: "Read the audit log.",
    Action.CHECK_MAIL: "See how mail leaves the server, and send a test through it.",
}

_VIEWER = frozenset({Action.SEE_JOBS, Action.SEE_DELIVERIES, Action.UNSUBSCRIBE_SELF})
_DEVELOPER = _VIEWER | {Action.SET_OWN_NOTIFICATIONS, Action.REPORT_RUNS}
_MANAGER = _DEVELOPER | {Action.SET_ANY_NOTIFICATIONS, Action.RESEND_DELIVERIES, Action.PAUSE}

ALLOWED: dict[Role, frozenset[Action]] = {
    Role.VIEWER: _VIEWER,
    Role.DEVELOPER: _DEVELOPER,
    Role.NOTIFICATION_MANAGER: _MANAGER,
    Role.ACCOUNT_ADMIN: frozenset(Action),
}

_NEEDS: dict[Action, Permission] = {
    Action.REPORT_RUNS: Permission.REPORT,
    Action.SEE_JOBS: Permission.READ,
    Action.SEE_DELIVERIES: Permission.READ,
    Action.UNSUBSCRIBE_SELF: Permission.NOTIFICATIONS,
    Action.SET_OWN_NOTIFICATIONS: Permission.NOTIFICATIONS,
    Action.SET_ANY_NOTIFICATIONS: Permission.NOTIFICATIONS,
    Action.RESEND_DELIVERIES: Permission.NOTIFICATIONS,
    Action.PAUSE: Permission.NOTIFICATIONS,
}


def needs(action: Action) -> Permission:
    """What a token must be good for to do it."""
    return _NEEDS.get(action, Permission.ADMIN)


def may(role: Role, action: Action, token: frozenset[Permission] | None = None) -> bool:
    """Whether a member in `role` may act, in person (`token` None) or through a token with these permissions."""
    if action not in ALLOWED[role]:
        return False
    return token is None or needs(action) in token


def useful_permissions(role: Role) -> frozenset[Permission]:
    """The permissions through which a token of a member in `role` can do anything at all."""
    return frozenset(needs(action) for action in ALLOWED[role])
