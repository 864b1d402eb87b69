"""Changes of projects, environments and jobs: renamed, hidden, limited, deleted, brought back. Each one is one transaction, audited.

active ──delete──> state 2, deleted_at ──restore, within 24 hours──> active, with its rules
  └──merge──> state 2 for good (job_merges.py)
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from runbell.core.fields import Fields
from runbell.server.db.models import Environment, Job, State
from runbell.server.services import audit
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.job_merges import merge_into
from runbell.server.services.job_places import FORMS, Kind, Thing, held_place_for, jobs_in, kind_of, label, owned, rules_in, siblings
from runbell.server.services.rules import live_rules

MAX_NAME = 200
RESTORE_FOR = timedelta(hours=24)


class NameTaken(ValueError):
    """An active one has that name: the two can be merged."""

    def __init__(self, other: Thing) -> None:
        super().__init__(other.name)
        self.other_id, self.name = other.pk, other.name


class OldNameTaken(ValueError):
    """Reports that still use that name go to another one, `label`; renaming would take them away from there."""

    def __init__(self, name: str, other: Thing) -> None:
        super().__init__(name)
        self.name, self.label = name, label(other)


@transaction.atomic
def rename(actor: Actor, kind: Kind, key: int, name: str, *, now: datetime, take_old_name: bool = False) -> str:
    """The name as it is kept; the one before becomes an alias. Raises `NotThere`, `BadField`, `NameTaken`, `OldNameTaken`."""
    thing = held_place_for(actor, kind, key)
    name, before = Fields({"name": name}).name("name", limit=MAX_NAME), thing.name
    if name == before:
        return name
    if (other := siblings(thing).filter(name=name).first()) is not None:
        raise NameTaken(other)
    _free_alias(thing, name, take_old_name)
    FORMS[kind].alias.objects.update_or_create(**owned(thing), name=before, defaults={kind.value: thing, "created_at": now})
    thing.name = name
    thing.save(update_fields=["name"])
    _record(actor, thing, "rename", now, before={"name": before}, after={"name": name})
    return name


@transaction.atomic
def forget_alias(actor: Actor, kind: Kind, key: int, alias_id: int, *, now: datetime) -> str:
    """From now on a report with that old name makes something new. Returns the name. Raises `NotThere`."""
    thing = held_place_for(actor, kind, key)
    alias = FORMS[kind].alias.objects.filter(**{kind.value: thing}, pk=alias_id).first()
    if alias is None:
        raise NotThere
    alias.delete()
    _record(actor, thing, "forget_alias", now, before={"alias": alias.name})
    return str(alias.name)


@transaction.atomic
def set_hidden(actor: Actor, key: int, *, hidden: bool, now: datetime) -> None:
    """A hidden job is not listed; its runs are recorded, and whoever hears of it goes on hearing."""
    job: Job = held_place_for(actor, Kind.JOB, key)
    if hidden == (job.hidden_at is not None):
        return
    job.hidden_at = now if hidden else None
    job.save(update_fields=["hidden_at"])
    _record(actor, job, "hide" if hidden else "show", now)


@transaction.atomic
def set_lost_after(actor: Actor, key: int, lost_after: timedelta | None, *, now: datetime) -> None:
    """Holds for runs that start from now on; None: the server's setting."""
    job: Job = held_place_for(actor, Kind.JOB, key)
    before, job.lost_after = job.lost_after, lost_after
    if before != lost_after:
        job.save(update_fields=["lost_after"])
        seconds = [span and span.total_seconds() for span in (before, lost_after)]
        _record(actor, job, "limit", now, before={"lost_after": seconds[0]}, after={"lost_after": seconds[1]})


@transaction.atomic
def delete(actor: Actor, kind: Kind, key: int, *, now: datetime) -> str:
    """With all that is in it; runs and rules are kept. Returns the name. Raises `NotThere`."""
    thing = held_place_for(actor, kind, key)
    counts = {"jobs": Job.objects.filter(jobs_in(thing), state=State.ACTIVE).count(), "rules": live_rules().filter(rules_in(thing)).count()}
    for things in _with_contents(thing):
        things.filter(state=State.ACTIVE).update(state=State.DELETED, deleted_at=now)
    _record(actor, thing, "delete", now, before={"name": thing.name, **counts})
    return str(thing.name)


@transaction.atomic
def restore(actor: Actor, kind: Kind, key: int, *, now: datetime) -> str:
    """With what was deleted together with it, and all rules. What reports have made under its name meanwhile goes into it.

    Returns the name. Raises `NotThere` for what cannot be brought back, or not before what it is in; `NameTaken` when something older
    was given its name.
    """
    thing = held_place_for(actor, kind, key, states=(State.DELETED,))
    owner = getattr(thing, FORMS[kind].owner)
    if thing.deleted_at is None or thing.deleted_at <= now - RESTORE_FOR or getattr(owner, "state", State.ACTIVE) != State.ACTIVE:
        raise NotThere
    newcomer = siblings(thing).filter(name=thing.name).first()
    if newcomer is not None:
        if newcomer.created_at < thing.deleted_at:
            raise NameTaken(newcomer)
        type(newcomer).objects.filter(pk=newcomer.pk).update(state=State.DELETED)  # two active ones of one name are refused
    together = thing.deleted_at
    for things in _with_contents(thing):
        things.filter(state=State.DELETED, deleted_at=together).update(state=State.ACTIVE, deleted_at=None)
    if newcomer is not None:
        merge_into(newcomer, thing, now=now)
    _record(actor, thing, "restore", now, after={"name": thing.name})
    return str(thing.name)


def _with_contents(thing: Thing) -> Iterable[Any]:
    """The thing, and below it environments and jobs, as querysets."""
    kind = kind_of(thing)
    yield FORMS[kind].model.objects.filter(pk=thing.pk)
    if kind is Kind.PROJECT:
        yield Environment.objects.filter(project=thing.pk)
    if kind is not Kind.JOB:
        yield Job.objects.filter(jobs_in(thing))


def _free_alias(thing: Thing, name: str, take: bool) -> None:
    kind = kind_of(thing)
    alias = FORMS[kind].alias.objects.select_related(kind.value).filter(**owned(thing), name=name).first()
    if alias is None:
        return
    other = getattr(alias, kind.value)
    if other.pk != thing.pk and other.state == State.ACTIVE and not take:
        raise OldNameTaken(name, other)
    alias.delete()


def _record(actor: Actor, thing: Thing, verb: str, now: datetime, **facts: dict[str, Any]) -> None:
    action = audit.ACTIONS[f"{kind_of(thing)}.{verb}"]
    audit.record(account=actor.member.account, actor=actor, action=action, subject=label(thing), now=now, **facts)
