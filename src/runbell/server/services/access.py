"""The doors: one function per thing, `<thing>_for(actor, key, action)`. Strangers get `NotThere`, members without the right `NotAllowed`."""

from dataclasses import dataclass

from runbell.core.permissions import SENTENCES, Action, Permission, Role, may
from runbell.server.db.models import Account, Environment, Job, Member, Project, Run, State, Token


class NotThere(LookupError):
    """No such thing, or not for these eyes: a stranger cannot tell which."""


class NotAllowed(PermissionError):
    """A member who lacks the right; the text says which."""

    def __init__(self, action: Action) -> None:
        super().__init__(f"Not allowed: {SENTENCES[action]}")
        self.action = action


@dataclass(frozen=True, slots=True)
class Actor:
    """A member, in person or through a token."""

    member: Member
    token: Token | None = None

    @property
    def account_id(self) -> int:
        return self.member.account_id

    def may(self, action: Action) -> bool:
        permissions = frozenset(map(Permission, self.token.permissions)) if self.token else None
        return may(Role(self.member.role), action, permissions)

    def require(self, action: Action) -> None:
        if not self.may(action):
            raise NotAllowed(action)


def account_for(actor: Actor, account_id: int, action: Action) -> Account:
    if actor.account_id != account_id:
        raise NotThere
    actor.require(action)
    return actor.member.account


def job_for(actor: Actor, job_id: int, action: Action) -> Job:
    job = Job.objects.select_related("environment__project").filter(account=actor.account_id, pk=job_id, state=State.ACTIVE).first()
    if job is None or not in_project(actor, job.environment.project_id):
        raise NotThere
    actor.require(action)
    return job


def run_for(actor: Actor, run_id: int, action: Action) -> Run:
    """A run that was merged away answers as the run it went into."""
    run = (
        Run.objects.select_related("job__environment__project", "token", "merged_into").filter(account=actor.account_id, pk=run_id).first()
    )
    if run is None or not in_project(actor, run.job.environment.project_id):
        raise NotThere
    actor.require(action)
    return run_for(actor, run.merged_into_id, action) if run.merged_into_id else run


def environment_for(actor: Actor, environment_id: int, action: Action) -> Environment:
    environment = (
        Environment.objects.select_related("project").filter(account=actor.account_id, pk=environment_id, state=State.ACTIVE).first()
    )
    if environment is None or not in_project(actor, environment.project_id):
        raise NotThere
    actor.require(action)
    return environment


def project_for(actor: Actor, project_id: int, action: Action) -> Project:
    project = Project.objects.filter(account=actor.account_id, pk=project_id, state=State.ACTIVE).first()
    if project is None or not in_project(actor, project.pk):
        raise NotThere
    actor.require(action)
    return project


def user_for(actor: Actor, user_id: int, action: Action) -> Member:
    """The member whom the dbt Admin API names by the id of the user."""
    member = Member.objects.select_related("user").filter(account=actor.account_id, user=user_id).first()
    if member is None:
        raise NotThere
    actor.require(action)
    return member


def in_project(actor: Actor, project_id: int) -> bool:
    """A token may be held to one project."""
    return actor.token is None or actor.token.project_id in (None, project_id)


def actor_of_token(token: Token | None) -> Actor:
    """Raises `NotThere` for a token that is unknown, revoked, or acts as somebody who left."""
    if token is None or token.revoked_at is not None:
        raise NotThere
    if not (token.member.is_active and token.member.user.is_active):
        raise NotThere
    return Actor(token.member, token)
