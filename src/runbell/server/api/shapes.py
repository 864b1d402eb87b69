"""The dbt Admin API's objects, filled from what Runbell knows."""

from datetime import datetime
from typing import Any

from runbell.server.services.access import Actor
from runbell.server.services.listings import Environment, Job, Member, Project
from runbell.server.services.setting_changes import Setting

MEMBER_EMAIL, SLACK_CHANNEL, EXTERNAL_EMAIL, SLACK_OF_ACCOUNT = 1, 2, 4, 5
SLACK_TYPES = (SLACK_CHANNEL, SLACK_OF_ACCOUNT)  # two names for one thing here: each is told what it was made as


def notification(setting: Setting) -> dict[str, Any]:
    """`runbell_environments` is ours: rules that cover every job of an environment, which the dbt platform does not have."""
    row = setting.destination
    kind = _type(setting)
    member = row.member or (row.link.member if row.link else row.created_by)
    return {
        "id": row.pk,
        "account_id": row.account_id,
        "user_id": setting.user_id,
        "type": kind,
        "external_email": row.address if kind == EXTERNAL_EMAIL else None,
        "slack_channel_id": row.settings.get("channel_id"),
        "slack_channel_name": row.address if kind in SLACK_TYPES else None,
        **setting.boxes.to_json(),
        "state": int(row.state),
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "user": _names(member.user.name) if member else None,
    }


def _type(setting: Setting) -> int:
    if setting.destination.member:
        return MEMBER_EMAIL
    if setting.destination.kind == "email":
        return EXTERNAL_EMAIL
    return SLACK_OF_ACCOUNT if setting.is_of_account else SLACK_CHANNEL


def me(actor: Actor) -> dict[str, Any]:
    user = actor.member.user
    return {
        "user": {"id": user.pk, "email": user.email, **_names(user.name), "is_active": True},
        "account": account(actor),
        "runbell_role": actor.member.role,
    }


def user(row: Member) -> dict[str, Any]:
    """A member; `runbell_role` is ours."""
    return {
        "id": row.user_id,
        "email": row.user.email,
        **_names(row.user.name),
        "is_active": row.is_active and row.user.is_active,
        "created_at": moment(row.created_at),
        "runbell_role": row.role,
    }


def account(actor: Actor) -> dict[str, Any]:
    row = actor.member.account
    return {"id": row.pk, "name": row.name, "state": 1, "created_at": moment(row.created_at)}


def project(row: Project) -> dict[str, Any]:
    return _named(row)


def environment(row: Environment) -> dict[str, Any]:
    return {**_named(row), "project_id": row.project_id, "type": "deployment"}


def job(row: Job) -> dict[str, Any]:
    return {**_named(row), "project_id": row.environment.project_id, "environment_id": row.environment_id}


def _named(row: Project | Environment | Job) -> dict[str, Any]:
    return {"id": row.pk, "account_id": row.account_id, "name": row.name, "state": int(row.state), "created_at": moment(row.created_at)}


def _names(name: str) -> dict[str, str]:
    first, _, last = name.partition(" ")
    return {"first_name": first, "last_name": last}


def moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
