"""The dbt Admin API's objects, filled from what Runbell knows."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from runbell.core.runs import Outcome
from runbell.server.services.access import Actor
from runbell.server.services.destinations import Setting
from runbell.server.services.listings import STATUS_OF, Environment, Job, Project, Run

MEMBER_EMAIL, SLACK_CHANNEL, EXTERNAL_EMAIL = 1, 2, 4
_TYPES = {"email": EXTERNAL_EMAIL, "slack": SLACK_CHANNEL}  # of those that are no member's
_STATUS_WORDS = {3: "Running", 10: "Success", 20: "Error", 30: "Cancelled"}


def notification(setting: Setting) -> dict[str, Any]:
    """`runbell_environments` is ours: rules that cover every job of an environment, which the dbt platform does not have."""
    row = setting.destination
    kind = MEMBER_EMAIL if row.member else _TYPES[row.kind]
    member = row.member or (row.link.member if row.link else row.created_by)
    return {
        "id": row.pk,
        "account_id": row.account_id,
        "user_id": setting.user_id,
        "type": kind,
        "external_email": row.address if kind == EXTERNAL_EMAIL else None,
        "slack_channel_id": row.settings.get("channel_id"),
        "slack_channel_name": row.address if kind == SLACK_CHANNEL else None,
        **setting.boxes.to_json(),
        "state": int(row.state),
        "created_at": _time(row.created_at),
        "updated_at": _time(row.updated_at),
        "user": _names(member.user.name) if member else None,
    }


def me(actor: Actor) -> dict[str, Any]:
    user = actor.member.user
    return {
        "user": {"id": user.pk, "email": user.email, **_names(user.name), "is_active": True},
        "account": account(actor),
        "runbell_role": actor.member.role,
    }


def account(actor: Actor) -> dict[str, Any]:
    row = actor.member.account
    return {"id": row.pk, "name": row.name, "state": 1, "created_at": _time(row.created_at)}


def project(row: Project) -> dict[str, Any]:
    return _named(row)


def environment(row: Environment) -> dict[str, Any]:
    return {**_named(row), "project_id": row.project_id, "type": "deployment"}


def job(row: Job) -> dict[str, Any]:
    return {**_named(row), "project_id": row.environment.project_id, "environment_id": row.environment_id}


def run(row: Run) -> dict[str, Any]:
    status = STATUS_OF[row.outcome]
    took = row.finished_at - row.started_at if row.finished_at else None
    return {
        "id": row.pk,
        "account_id": row.account_id,
        "project_id": row.job.environment.project_id,
        "environment_id": row.job.environment_id,
        "job_definition_id": row.job_id,
        "job_id": row.job_id,
        "status": status,
        "status_humanized": _STATUS_WORDS[status],
        "status_message": None,
        "runbell_outcome": row.outcome or None,
        "in_progress": not row.outcome,
        "is_complete": bool(row.outcome),
        "is_running": not row.outcome,
        "is_success": status == STATUS_OF[Outcome.SUCCEEDED],
        "is_error": status == STATUS_OF[Outcome.FAILED],
        "is_cancelled": status == STATUS_OF[Outcome.CANCELLED],
        "git_branch": row.git_branch or None,
        "git_sha": row.git_sha or None,
        "created_at": _time(row.received_at),
        "started_at": _time(row.started_at),
        "finished_at": _time(row.finished_at),
        "duration": _clock(took),
        "run_duration": _clock(took),
        "trigger": {"cause": row.trigger.get("cause"), "cause_category": row.trigger.get("category")},
        "href": f"{settings.RUNBELL_PUBLIC_URL}/a/{row.account_id}/runs/{row.pk}",
    }


def _named(row: Project | Environment | Job) -> dict[str, Any]:
    return {"id": row.pk, "account_id": row.account_id, "name": row.name, "state": int(row.state), "created_at": _time(row.created_at)}


def _names(name: str) -> dict[str, str]:
    first, _, last = name.partition(" ")
    return {"first_name": first, "last_name": last}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _clock(took: timedelta | None) -> str | None:
    """HH:MM:SS, past 24 hours too."""
    if took is None:
        return None
    minutes, seconds = divmod(int(took.total_seconds()), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
