"""Projects, environments and jobs of the dbt platform, mirrored by their ids there.

Found by id, else by name where a report made it already, else made. A name that changes there changes here, and the old one goes on
working for reports; one that was changed here stays until it changes there. What is gone there is kept with its runs and not listed.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from runbell.channels.dbt_api import DbtApi
from runbell.core.dbt_runs import Place
from runbell.core.fields import trim_name
from runbell.core.runs import MAX_NAME, JobRef
from runbell.server.db.models import DbtPlatform, Job, State
from runbell.server.services.dbt_platforms import integration_of
from runbell.server.services.job_places import FORMS, Kind
from runbell.server.services.jobs import hold_account

Owner = dict[str, Any]
DELETED = 2


@transaction.atomic
def job_ref(platform: DbtPlatform, project: Place, environment: Place, job: Place, *, now: datetime, is_newest: bool) -> JobRef:
    """Our names of the job. `is_newest`: the names are those of now, so what is called otherwise here is renamed."""
    hold_account(platform.account_id)
    in_account = {"account_id": platform.account_id}
    ours = _row(Kind.PROJECT, platform, project, in_account, now, is_newest)
    place = _row(Kind.ENVIRONMENT, platform, environment, {"project_id": ours.pk}, now, is_newest)
    found = _row(Kind.JOB, platform, job, {"environment_id": place.pk}, now, is_newest)
    return JobRef(ours.name, place.name, found.name)


def knows_job(platform: DbtPlatform, job_id: str) -> bool:
    return Job.objects.filter(account=platform.account_id, integration=integration_of(platform), external_id=job_id).exists()


def refresh(platform: DbtPlatform, api: DbtApi, *, now: datetime) -> None:
    """All of them, by three listings. Raises `DbtTrouble`, and then changes nothing."""
    projects, environments, jobs = (active(api.listing(what)) for what in ("projects", "environments", "jobs"))
    with transaction.atomic():
        mirror(platform, projects, environments, jobs, now=now)
        _mark_gone(platform, {Kind.PROJECT: projects, Kind.ENVIRONMENT: environments, Kind.JOB: jobs}, now)
        DbtPlatform.objects.filter(pk=platform.pk).update(mirrored_at=now)


Rows = Mapping[str, Mapping[str, Any]]


@transaction.atomic
def mirror(platform: DbtPlatform, projects: Rows, environments: Rows, jobs: Rows, *, now: datetime) -> None:
    """These are there; of others nothing is said."""
    hold_account(platform.account_id)
    account = {"account_id": platform.account_id}
    above = {key: _row(Kind.PROJECT, platform, _place(row), account, now, True) for key, row in projects.items()}
    places = {}
    for key, row in environments.items():
        if project := above.get(str(row.get("project_id"))):
            places[key] = _row(Kind.ENVIRONMENT, platform, _place(row), {"project_id": project.pk}, now, True)
    for row in jobs.values():
        if environment := places.get(str(row.get("environment_id"))):
            _row(Kind.JOB, platform, _place(row), {"environment_id": environment.pk}, now, True)


def active(rows: list[Mapping[str, Any]]) -> Rows:
    return {str(row["id"]): row for row in rows if type(row.get("id")) is int and row.get("state") != DELETED}


def _place(row: Mapping[str, Any]) -> Place:
    return Place(str(row["id"]), trim_name(str(row.get("name") or ""), MAX_NAME))


def _row(kind: Kind, platform: DbtPlatform, place: Place, owner: Owner, now: datetime, is_newest: bool) -> Any:
    form, name = FORMS[kind], place.name or f"{kind} {place.id or 'unknown'}"
    upstream = {"account_id": platform.account_id, "integration": integration_of(platform), "external_id": place.id}
    thing = form.model.objects.filter(**upstream, state=State.ACTIVE).first() if place.id else None
    thing = thing or form.model.objects.filter(**owner, name=name, state=State.ACTIVE, external_id="").first()
    if thing is None:
        form.model.objects.filter(**upstream).update(external_id="")  # deleted here: it is somebody else's from now on
        made = {**upstream, **owner, "name": _free(kind, owner, name, place.id), "external_name": name, "created_at": now}
        return form.model.objects.create(**made)
    before = (thing.name, thing.external_id, thing.external_name, thing.gone_at)
    thing.integration, thing.external_id = (upstream["integration"], place.id) if place.id else (thing.integration, thing.external_id)
    if place.name and is_newest:
        _follow(kind, thing, owner, place, now)
    if before != (thing.name, thing.external_id, thing.external_name, thing.gone_at):
        thing.save()
    return thing


def _follow(kind: Kind, thing: Any, owner: Owner, place: Place, now: datetime) -> None:
    if thing.gone_at:
        if kind is Kind.JOB and thing.hidden_at == thing.gone_at:
            thing.hidden_at = None
        thing.gone_at = None
    if thing.external_name and thing.external_name != place.name:
        old, thing.name = thing.name, _free(kind, owner, place.name, place.id, but=thing.pk)
        if old != thing.name:
            FORMS[kind].alias.objects.update_or_create(**owner, name=old, defaults={kind.value: thing, "created_at": now})
    thing.external_name = place.name


def _free(kind: Kind, owner: Owner, name: str, external_id: str, but: int = 0) -> str:
    """Names are not unique there; the second of a name gets its id."""
    taken = FORMS[kind].model.objects.filter(**owner, name=name, state=State.ACTIVE).exclude(pk=but).exists()
    return f"{name[: MAX_NAME - 24]} ({external_id})" if taken else name


def _mark_gone(platform: DbtPlatform, there: Mapping[Kind, Rows], now: datetime) -> None:
    for kind, rows in there.items():
        mine = {"account_id": platform.account_id, "integration": integration_of(platform), "gone_at": None}
        known = FORMS[kind].model.objects.filter(**mine).exclude(external_id="").values_list("pk", "external_id")
        gone = [pk for pk, external_id in known if external_id not in rows]
        FORMS[kind].model.objects.filter(pk__in=gone).update(gone_at=now)
        if kind is Kind.JOB:
            Job.objects.filter(pk__in=gone, hidden_at=None).update(hidden_at=now)
