"""Jobs made and described by clients of the dbt Admin API. A described job and a reported one are the same job, found by its names.

Runbell keeps schedule, commands and the rest as told, and acts on none of it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from runbell.core.fields import Fields
from runbell.server.db.models import Job, JobAlias, State
from runbell.server.services import audit
from runbell.server.services.access import Actor
from runbell.server.services.job_places import Kind, held_place_for, label
from runbell.server.services.job_settings import MAX_NAME, NameTaken, OldNameTaken, rename

__all__ = ["Job", "create_job", "update_job"]


@transaction.atomic
def create_job(actor: Actor, environment_id: int, name: str, definition: Mapping[str, Any], *, now: datetime) -> Job:
    """Raises `NotThere`, `NotAllowed`, `BadField`, `NameTaken`, `OldNameTaken`; then nothing is stored."""
    environment = held_place_for(actor, Kind.ENVIRONMENT, environment_id)
    name = Fields({"name": name}).name("name", limit=MAX_NAME)
    if (other := Job.objects.filter(environment=environment, name=name, state=State.ACTIVE).first()) is not None:
        raise NameTaken(other)
    alias = JobAlias.objects.select_related("job__environment__project").filter(environment=environment, name=name).first()
    if alias and alias.job.state == State.ACTIVE:
        raise OldNameTaken(name, alias.job)
    job = Job.objects.create(account_id=actor.account_id, environment=environment, name=name, definition=dict(definition), created_at=now)
    _record(actor, job, "create", now, after={"name": name, **definition})
    return job


@transaction.atomic
def update_job(actor: Actor, job_id: int, name: str, definition: Mapping[str, Any], *, now: datetime) -> Job:
    """What `definition` does not name stays; an empty name too. Raises what `rename` does."""
    if name:
        rename(actor, Kind.JOB, job_id, name, now=now)
    job: Job = held_place_for(actor, Kind.JOB, job_id)
    changed = {key: value for key, value in definition.items() if job.definition.get(key) != value}
    if changed:
        before = {key: job.definition.get(key) for key in changed}
        job.definition = {**job.definition, **changed}
        job.save(update_fields=["definition"])
        _record(actor, job, "define", now, before=before, after=changed)
    return job


def _record(actor: Actor, job: Job, verb: str, now: datetime, **facts: dict[str, Any]) -> None:
    action = audit.ACTIONS[f"job.{verb}"]
    audit.record(account=actor.member.account, actor=actor, action=action, subject=label(job), now=now, **facts)
