"""Pausing a job or an environment: runs go on being recorded, and nobody is told of those that end before the pause does."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import transaction

from runbell.core.because import Because
from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.core.rules import Scope
from runbell.server.db.models import Environment, Job, Member
from runbell.server.services import audit
from runbell.server.services.access import Actor, environment_for, job_for

LONGEST = timedelta(days=366)
Pausable = TypeVar("Pausable", Job, Environment)


@dataclass(frozen=True, slots=True)
class Pause:
    """What holds messages back now. `by` is empty when that member is gone."""

    scope: Scope
    until: datetime
    by: str


def pause_job(actor: Actor, job_id: int, *, until: datetime, now: datetime) -> Job:
    """Raises `NotThere`, `NotAllowed`, and `BadField` for a time that is past or more than a year away."""
    return _set(job_for(actor, job_id, Action.PAUSE), _checked(until, now), actor, now)


def resume_job(actor: Actor, job_id: int, *, now: datetime) -> Job:
    """Messages about runs that end from now on go out; those of the pause are not sent later."""
    return _set(job_for(actor, job_id, Action.PAUSE), None, actor, now)


def pause_environment(actor: Actor, environment_id: int, *, until: datetime, now: datetime) -> Environment:
    """Every job of the environment, also new ones."""
    return _set(environment_for(actor, environment_id, Action.PAUSE), _checked(until, now), actor, now)


def resume_environment(actor: Actor, environment_id: int, *, now: datetime) -> Environment:
    return _set(environment_for(actor, environment_id, Action.PAUSE), None, actor, now)


def pauses_of(job: Job, now: datetime) -> list[Pause]:
    """The job's own and its environment's, the one that lasts longest first; no query beyond the names of who paused."""
    both = ((Scope.JOB, job), (Scope.ENVIRONMENT, job.environment))
    found = [pause for scope, thing in both if (pause := pause_of(thing, scope, now))]
    return sorted(found, key=lambda pause: pause.until, reverse=True)


def pause_of(thing: Job | Environment, scope: Scope, now: datetime) -> Pause | None:
    if thing.paused_until is None or thing.paused_until <= now:
        return None
    return Pause(scope, thing.paused_until, _name(thing.paused_by))


def paused_because(job: Job, now: datetime) -> Because | None:
    """Why nobody is told of a run that is decided now, if so."""
    pause = next(iter(pauses_of(job, now)), None)
    return Because("paused", {"scope": pause.scope.value, "until": pause.until.isoformat(), "by": pause.by}) if pause else None


def _name(member: Member | None) -> str:
    return (member.user.name or member.user.email) if member else ""


def _checked(until: datetime, now: datetime) -> datetime:
    if until <= now:
        raise BadField("until", "must be in the future")
    if until > now + LONGEST:
        raise BadField("until", "must be within a year; what should stay silent for longer has its rules removed")
    return until


@transaction.atomic
def _set(found: Pausable, until: datetime | None, actor: Actor, now: datetime) -> Pausable:
    """The row is read again under a lock: what the audit log says was before, was."""
    thing = type(found)._default_manager.select_for_update().get(pk=found.pk)
    before, thing.paused_until = thing.paused_until, until
    thing.paused_by = actor.member if until else None
    thing.save(update_fields=["paused_until", "paused_by"])
    if before != until:
        audit.record(
            account=actor.member.account,
            actor=actor,
            action=_action(found, is_pause=until is not None),
            subject=_path(found),
            now=now,
            before=_fact(before),
            after=_fact(until),
        )
    return thing


def _action(found: Job | Environment, *, is_pause: bool) -> audit.Action:
    if isinstance(found, Job):
        return "job.pause" if is_pause else "job.resume"
    return "environment.pause" if is_pause else "environment.resume"


def _fact(until: datetime | None) -> dict[str, str]:
    return {"paused_until": until.isoformat()} if until else {}


def _path(found: Job | Environment) -> str:
    """“shop · Production · nightly”."""
    environment = found.environment if isinstance(found, Job) else found
    names = [environment.project.name, environment.name, *([found.name] if isinstance(found, Job) else [])]
    return " · ".join(names)
