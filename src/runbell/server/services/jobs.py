"""Projects, environments and jobs: found by their names, also by old ones, and made on the first report.

report ─ active job of these names? ─yes─> it (one query)
          └─no─> project, environment and job one by one, each by name or alias ─> it, or a new one in the place found

A name in use comes before an alias. Whoever records a run holds its job's row, and whoever renames, merges or deletes holds the account's
row and those of the jobs: so a run is never put into a job that is being merged away.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from runbell.core.runs import JobRef
from runbell.server.db.models import Account, Environment, EnvironmentAlias, Job, JobAlias, Project, ProjectAlias, State
from runbell.server.db.prepared import Given, Prepared
from runbell.server.services.access import Actor, NotThere

Row = TypeVar("Row", bound=Model)


def find_job(ref: JobRef, *, account_id: int, lock: bool = False) -> Job | None:
    """The active job that reports with these names go to. `lock` holds its row until the end of the transaction."""
    find = _hold_exactly if lock else _find_exactly
    found = find.first(account=account_id, project=ref.project, environment=ref.environment, job=ref.name)
    return found or _find_by_old_names(ref, account_id, lock)


def find_environment(ref: JobRef, *, account_id: int) -> Environment | None:
    """The active environment of a report's job, whether or not there is such a job."""
    project = _project(ref.project, account_id)
    return _environment(ref.environment, project) if project else None


def find_or_create_job(ref: JobRef, *, actor: Actor, now: datetime) -> Job:
    """The job, its row held. Raises `NotThere` when the token is held to another project, or to one that was deleted."""
    job = find_job(ref, account_id=actor.account_id, lock=True) or _create_job(ref, actor, now)
    if not _is_within(actor, job.environment.project):
        raise NotThere
    return job


def hold_account(account_id: int) -> None:
    """Only one at a time may make, rename, merge or delete what an account has."""
    Account.objects.select_for_update(no_key=True).get(pk=account_id)


def _jobs(lock: bool) -> QuerySet[Job]:
    jobs = Job.objects.select_related("environment__project")
    return jobs.select_for_update(of=("self",), no_key=True) if lock else jobs


def _exactly(lock: bool) -> QuerySet[Job]:
    return _jobs(lock).filter(
        account=Given("account"),
        name=Given("job"),
        state=State.ACTIVE,
        environment__name=Given("environment"),
        environment__state=State.ACTIVE,
        environment__project__name=Given("project"),
        environment__project__state=State.ACTIVE,
    )


_find_exactly, _hold_exactly = Prepared(lambda: _exactly(lock=False)), Prepared(lambda: _exactly(lock=True))


def _find_by_old_names(ref: JobRef, account_id: int, lock: bool) -> Job | None:
    project = _project(ref.project, account_id)
    environment = _environment(ref.environment, project) if project else None
    return _job(ref.name, environment, lock) if environment else None


def _project(name: str, account_id: int) -> Project | None:
    aliases = ProjectAlias.objects.filter(account=account_id, name=name).values("project")
    found = Project.objects.filter(Q(account=account_id, name=name) | Q(pk__in=aliases), state=State.ACTIVE)
    return _named_first(found, lambda project: project.name == name)


def _environment(name: str, project: Project) -> Environment | None:
    aliases = EnvironmentAlias.objects.filter(project=project, name=name).values("environment")
    found = Environment.objects.filter(Q(project=project, name=name) | Q(pk__in=aliases), state=State.ACTIVE, project__state=State.ACTIVE)
    return _named_first(found, lambda environment: environment.name == name and environment.project_id == project.pk)


def _job(name: str, environment: Environment, lock: bool) -> Job | None:
    aliases = JobAlias.objects.filter(environment=environment, name=name).values("job")
    found = _jobs(lock).filter(Q(environment=environment, name=name) | Q(pk__in=aliases), state=State.ACTIVE)
    return _named_first(found, lambda job: job.name == name and job.environment_id == environment.pk)


def _named_first(rows: QuerySet[Row], is_named: Callable[[Row], bool]) -> Row | None:
    """An alias may stand beside a name in use, when what it led to was deleted and came back."""
    found = list(rows)
    return next(filter(is_named, found), found[0] if found else None)


def _create_job(ref: JobRef, actor: Actor, now: datetime) -> Job:
    """Holding the account first: two first reports at once, or one beside a merge, then see what the other made of the names."""
    account = actor.account_id
    hold_account(account)
    project = _project(ref.project, account)
    if not _is_within(actor, project):
        raise NotThere
    if project is None:
        project = Project.objects.create(account_id=account, name=ref.project, created_at=now)
    environment = _environment(ref.environment, project)
    if environment is None:
        environment = Environment.objects.create(account_id=account, project=project, name=ref.environment, created_at=now)
    found = _job(ref.name, environment, lock=True)
    return found or Job.objects.create(account_id=account, environment=environment, name=ref.name, created_at=now)


def _is_within(actor: Actor, project: Project | None) -> bool:
    """A token held to a project makes no other, and stops when its own is deleted."""
    held_to = actor.token.project_id if actor.token else None
    return held_to is None or (project is not None and project.pk == held_to)
