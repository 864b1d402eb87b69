"""Projects, environments and jobs as one kind of thing with three forms: what settings and merges have to know of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from django.db.models import Q

from runbell.core.permissions import Action
from runbell.server.db.models import Environment, EnvironmentAlias, Job, JobAlias, Project, ProjectAlias, State
from runbell.server.services.access import Actor, NotThere, in_project
from runbell.server.services.jobs import hold_account

Thing = Project | Environment | Job
CHUNK = 1000


class Kind(StrEnum):
    PROJECT = "project"
    ENVIRONMENT = "environment"
    JOB = "job"


@dataclass(frozen=True, slots=True)
class Form:
    """`owner`: within what a name is unique. `jobs`: from a thing to the jobs in it."""

    model: Any
    alias: Any
    owner: str
    related: str
    jobs: str


FORMS = {
    Kind.PROJECT: Form(Project, ProjectAlias, "account", "account", "environment__project"),
    Kind.ENVIRONMENT: Form(Environment, EnvironmentAlias, "project", "project", "environment"),
    Kind.JOB: Form(Job, JobAlias, "environment", "environment__project", "pk"),
}


def place_for(actor: Actor, kind: Kind, key: int, *, states: Sequence[State] = (State.ACTIVE,)) -> Any:
    """A project, environment or job that the actor may manage. Raises `NotThere`, `NotAllowed`."""
    form = FORMS[kind]
    thing = form.model.objects.select_related(form.related).filter(account=actor.account_id, pk=key, state__in=states).first()
    if thing is None or not in_project(actor, project_of(thing).pk):
        raise NotThere
    actor.require(Action.MANAGE_JOBS)
    return thing


def held_place_for(actor: Actor, kind: Kind, key: int, *, states: Sequence[State] = (State.ACTIVE,)) -> Any:
    """The same, with the account held: nobody else changes names, places or states until the transaction ends."""
    hold_account(actor.account_id)
    return place_for(actor, kind, key, states=states)


def kind_of(thing: Thing) -> Kind:
    return {Project: Kind.PROJECT, Environment: Kind.ENVIRONMENT, Job: Kind.JOB}[type(thing)]


def project_of(thing: Thing) -> Project:
    if isinstance(thing, Job):
        return thing.environment.project
    return thing.project if isinstance(thing, Environment) else thing


def label(thing: Thing) -> str:
    """“nightly · Production · shop”."""
    names = {Kind.JOB: ("name", "environment.name", "environment.project.name"), Kind.ENVIRONMENT: ("name", "project.name")}
    return " · ".join(_reach(thing, path) for path in names.get(kind_of(thing), ("name",)))


def _reach(thing: Any, path: str) -> str:
    for name in path.split("."):
        thing = getattr(thing, name)
    return str(thing)


def jobs_in(thing: Thing) -> Q:
    """Of the jobs of a project or an environment, or the job itself."""
    return Q(**{FORMS[kind_of(thing)].jobs: thing.pk})


def rules_in(thing: Thing) -> Q:
    """Of the rules for a job, or for anything in a project or an environment."""
    if isinstance(thing, Job):
        return Q(job=thing)
    inner = "project" if isinstance(thing, Project) else "pk"
    return Q(**{f"job__{FORMS[kind_of(thing)].jobs}": thing.pk}) | Q(**{f"environment__{inner}": thing.pk})


def siblings(thing: Thing) -> Any:
    """The active ones beside it, among which names are unique."""
    form = FORMS[kind_of(thing)]
    return form.model.objects.filter(state=State.ACTIVE, **owned(thing)).exclude(pk=thing.pk)


def owned(thing: Thing) -> dict[str, int]:
    owner = f"{FORMS[kind_of(thing)].owner}_id"
    return {owner: getattr(thing, owner)}


def chunks(ids: Sequence[int]) -> Iterator[list[int]]:
    """Few enough at a time for every database's limit of parameters."""
    rest = iter(ids)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
