"""Projects, environments and jobs: found by name, made on the first report."""

from datetime import datetime

from runbell.core.runs import JobRef
from runbell.server.db.models import Environment, Job, Project, State
from runbell.server.services.access import Actor, NotThere


def find_job(ref: JobRef, *, account_id: int) -> Job | None:
    """The active job of this name, in one query."""
    return (
        Job.objects.select_related("environment__project")
        .filter(
            account=account_id,
            name=ref.name,
            state=State.ACTIVE,
            environment__name=ref.environment,
            environment__state=State.ACTIVE,
            environment__project__name=ref.project,
            environment__project__state=State.ACTIVE,
        )
        .first()
    )


def find_or_create_job(ref: JobRef, *, actor: Actor, now: datetime) -> Job:
    """Raises `NotThere` when the token is held to another project. Two first reports at once: the loser's transaction is repeated."""
    job = find_job(ref, account_id=actor.account_id)
    held_to = actor.token.project_id if actor.token else None
    if job is None:
        if held_to and not Project.objects.filter(pk=held_to, name=ref.project).exists():
            raise NotThere
        return _create_job(ref, actor.account_id, now)
    if held_to not in (None, job.environment.project_id):
        raise NotThere
    return job


def _create_job(ref: JobRef, account: int, now: datetime) -> Job:
    made = {"created_at": now}
    project, _ = Project.objects.get_or_create(account_id=account, name=ref.project, state=State.ACTIVE, defaults=made)
    environment, _ = Environment.objects.get_or_create(
        project=project, name=ref.environment, state=State.ACTIVE, defaults={**made, "account_id": account}
    )
    job, _ = Job.objects.get_or_create(environment=environment, name=ref.name, state=State.ACTIVE, defaults={**made, "account_id": account})
    return job
