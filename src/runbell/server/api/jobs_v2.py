"""Jobs and runs of the dbt Admin API v2: read, and for jobs also made, described and deleted. docs/reference/admin-api.md."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from ninja import Router

from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.server.api import job_shapes, run_shapes
from runbell.server.api.browse import browse
from runbell.server.api.described import WRITE, taking
from runbell.server.api.edge import account_actor, read_json
from runbell.server.api.envelope import answer, problem, route
from runbell.server.api.job_body import ACTIVE, DELETED, JOB_SCHEMA, NEW_JOB, JobBody
from runbell.server.services import access, dbt_passing, job_definitions, job_settings, listings
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.dbt_passing import NotFromDbt, Verb
from runbell.server.services.job_places import Kind
from runbell.server.services.listings import Environment, Job

ACCOUNT = "/accounts/{int:account_id}"
JOB = f"{ACCOUNT}/jobs/{{int:key}}"
NO_EXECUTION = "Runbell reports runs, it does not execute them."
PASSED_ON: dict[str, Any] = {
    "summary": "Passed on to the dbt platform for a job that came from there; else refused",
    "refuses": WRITE | {409, 422, 429},
}

router = Router(tags=["dbt Admin API"])
browse(router, f"{ACCOUNT}/jobs", listings.JOBS, access.job_for, job_shapes.jobs, job_shapes.INCLUDES)
browse(router, f"{ACCOUNT}/runs", listings.RUNS, access.run_for, run_shapes.runs, run_shapes.INCLUDES)


@route(router, "POST", f"{ACCOUNT}/jobs", summary="Create a job", code=201, refuses=WRITE, takes=taking(NEW_JOB))
def create_job(request: HttpRequest, account_id: int) -> JsonResponse:
    """The first report with its names finds it."""
    actor, body = account_actor(request, account_id), JobBody(read_json(request), account_id)
    actor.require(Action.MANAGE_JOBS)
    environment, name = _environment(actor, body.environment_id()), body.new_name()
    body.require_same(state=ACTIVE, project_id=environment.project_id)
    job = job_definitions.create_job(actor, environment.pk, name, body.definition(), now=timezone.now())
    return answer(job_shapes.job(job), 201)


@route(router, "POST", JOB, summary="Update a job, or delete it with state 2", refuses=WRITE, takes=taking(JOB_SCHEMA))
def update_job(request: HttpRequest, account_id: int, key: int) -> JsonResponse:
    """What the body leaves out stays as it is; a new name makes the one before an alias for reports."""
    actor, now = account_actor(request, account_id), timezone.now()
    body, job = JobBody(read_json(request), account_id), access.job_for(actor, key, Action.MANAGE_JOBS)
    if body.state == DELETED:
        return answer(job_shapes.job(_deleted(actor, key, now)))
    body.require_same(id=key, environment_id=job.environment_id, project_id=job.environment.project_id)
    return answer(job_shapes.job(job_definitions.update_job(actor, key, body.name, body.definition(), now=now)))


@route(router, "DELETE", JOB, summary="Delete a job; its runs are kept")
def delete_job(request: HttpRequest, account_id: int, key: int) -> JsonResponse:
    return answer(job_shapes.job(_deleted(account_actor(request, account_id), key, timezone.now())))


@route(router, "POST", f"{ACCOUNT}/jobs/{{int:key}}/run", operation_id="run_job", takes=taking({"type": "object"}), **PASSED_ON)
def run_job(request: HttpRequest, account_id: int, key: int) -> HttpResponse:
    return _start(request, account_id, key, Verb.RUN)


@route(router, "POST", f"{ACCOUNT}/jobs/{{int:key}}/rerun", operation_id="rerun_job", takes=taking({"type": "object"}), **PASSED_ON)
def rerun_job(request: HttpRequest, account_id: int, key: int) -> HttpResponse:
    return _start(request, account_id, key, Verb.RERUN)


@route(router, "POST", f"{ACCOUNT}/runs/{{int:key}}/cancel", operation_id="cancel_run", **PASSED_ON)
def cancel_run(request: HttpRequest, account_id: int, key: int) -> HttpResponse:
    return _change(request, account_id, key, Verb.CANCEL)


@route(router, "POST", f"{ACCOUNT}/runs/{{int:key}}/retry", operation_id="retry_run", **PASSED_ON)
def retry_run(request: HttpRequest, account_id: int, key: int) -> HttpResponse:
    return _change(request, account_id, key, Verb.RETRY)


def _start(request: HttpRequest, account_id: int, key: int, verb: Verb) -> HttpResponse:
    actor = account_actor(request, account_id)
    try:
        dbt_passing.require_from_dbt(actor, key)
        run = dbt_passing.start(actor, key, verb, _body(request), now=timezone.now())
    except NotFromDbt:
        return problem(409, f"{NO_EXECUTION} Start it where it is scheduled; what it reports comes here.")
    return answer(run_shapes.runs([run])[0])


def _change(request: HttpRequest, account_id: int, key: int, verb: Verb) -> HttpResponse:
    try:
        run = dbt_passing.change(account_actor(request, account_id), key, verb, now=timezone.now())
    except NotFromDbt:
        return problem(409, f"{NO_EXECUTION} Cancel or retry it where it runs; how it ends is reported here.")
    return answer(run_shapes.runs([run])[0])


def _body(request: HttpRequest) -> dict[str, Any]:
    """Sent on as it is: what may be in it is the dbt platform's to say."""
    body = read_json(request) if request.headers.get("Content-Length", "0") != "0" else {}
    if not isinstance(body, dict):
        raise BadField("body", "must be an object")
    return body


def _environment(actor: Actor, environment_id: int) -> Environment:
    try:
        return access.environment_for(actor, environment_id, Action.MANAGE_JOBS)
    except NotThere:
        raise BadField("environment_id", f"there is no environment {environment_id} in this account") from None


def _deleted(actor: Actor, key: int, now: datetime) -> Job:
    job = access.job_for(actor, key, Action.MANAGE_JOBS)
    job_settings.delete(actor, Kind.JOB, key, now=now)
    job.state = DELETED
    return job
