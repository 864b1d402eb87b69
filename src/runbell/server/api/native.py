"""Runbell's own API: reports in, and the artifacts of what was reported."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from ninja import NinjaAPI, Router

from runbell.core.fields import BadField, Fields
from runbell.core.permissions import Action
from runbell.core.runs import JobRef, RunReport, parse_report
from runbell.server.api.described import ALWAYS, REPORT, WRITE, Checked, Kept, Problem, Reported, Results, taking
from runbell.server.api.edge import NOT_THERE, TokenAuth, actor_of, install, problem, read_body, read_json
from runbell.server.services import artifacts
from runbell.server.services.access import NotThere
from runbell.server.services.hearing import who_hears
from runbell.server.services.runs import Recorded, record_run, record_runs

MAX_BATCH = 500

router = Router(tags=["Runs"])


@router.post(
    "/runs",
    response={200: Reported, 201: Reported, WRITE | ALWAYS | {422}: Problem},
    summary="Report a run",
    openapi_extra=taking(REPORT),
)
def report_run(request: HttpRequest) -> JsonResponse:
    """Takes a report (docs/reference/report.md). 201 for a run not known before, 200 for a known one, with the fields that came
    too late in `ignored`. 400 body, 413 size, 422 a field, 401, 403: nothing was stored."""
    now = timezone.now()
    recorded = record_run(parse_report(read_json(request), now=now), actor=actor_of(request), now=now)
    return JsonResponse(answer(recorded), status=201 if recorded.is_new else 200)


@router.post(
    "/runs:batch",
    response={200: Results, WRITE | ALWAYS | {422}: Problem},
    summary="Report up to 500 runs",
    openapi_extra=taking({"type": "object", "properties": {"reports": {"type": "array", "maxItems": MAX_BATCH, "items": REPORT}}}),
)
def report_runs(request: HttpRequest) -> JsonResponse:
    """`{"reports": […]}` → `{"results": […]}` in the same order, each `{"status": 201, …}` or `{"status": 422, "error": {…}}`.

    Each report stands alone: a bad one, or one of a project out of the token's reach (404), never keeps the others out.
    """
    now = timezone.now()
    read = Fields(read_json(request)).items("reports", lambda raw, _: _report_or_bad(raw, now), limit=MAX_BATCH)
    good = iter(record_runs([report for report in read if isinstance(report, RunReport)], actor=actor_of(request), now=now))
    return JsonResponse({"results": [_result(report if isinstance(report, BadField) else next(good)) for report in read]})


def _report_or_bad(raw: object, now: datetime) -> RunReport | BadField:
    try:
        return parse_report(raw, now=now)
    except BadField as bad:
        return bad


def _result(result: Recorded | BadField | NotThere) -> dict[str, Any]:
    match result:
        case BadField():
            return {"status": 422, "error": {"field": result.field, "message": result.message}}
        case NotThere():
            return {"status": 404, "error": {"field": None, "message": NOT_THERE}}
    return {"status": 201 if result.is_new else 200, **answer(result)}


def answer(recorded: Recorded) -> dict[str, Any]:
    run = recorded.run
    return {
        "id": run.pk,
        "url": f"{settings.RUNBELL_PUBLIC_URL}/a/{run.account_id}/runs/{run.pk}",
        "state": run.state,
        "outcome": run.outcome or None,
        "created": recorded.is_new,
        "ignored": list(recorded.ignored),
    }


@router.put(
    "/runs/{path:key}/artifacts/{int:step}/{str:name}",
    response={200: Kept, 201: Kept, WRITE | ALWAYS | {422}: Problem},
    summary="Leave an artifact with a run",
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
)
def keep_artifact(request: HttpRequest, key: str, step: int, name: str) -> HttpResponse:
    """The file is the body, gzip or plain, and is stored whole or not at all. 201; 200 when the run has one, which stays.
    413 size, 422 a field, 404 no run of this key, 401, 403."""
    place = artifacts.place_for(actor_of(request), key, step, name)
    if not settings.RUNBELL_MAX_ARTIFACT:
        return problem(403, "This server keeps no artifacts.")
    is_new = artifacts.keep(place, read_body(request, settings.RUNBELL_MAX_ARTIFACT), now=timezone.now())
    return JsonResponse({"run": place.run_id, "step": step, "name": name, "created": is_new}, status=201 if is_new else 200)


@router.get("/check", response={200: Checked, ALWAYS | {401}: Problem}, summary="What a token may do, and who would hear of a job")
def check(request: HttpRequest, project: str = "", environment: str = "", job: str = "") -> JsonResponse:
    actor = actor_of(request)
    hears = who_hears(JobRef(project, environment, job), account_id=actor.account_id) if job and actor.may(Action.REPORT_RUNS) else None
    token = actor.token
    told = {
        "version": settings.RUNBELL_VERSION,
        "account": {"id": actor.account_id, "name": actor.member.account.name},
        "token": {"name": token.name, "permissions": token.permissions, "member": actor.member.user.email} if token else None,
        "job": hears,
    }
    return JsonResponse(told)


api = NinjaAPI(title="Runbell", version="1", urls_namespace="runbell-api", auth=TokenAuth(), docs_url=None)
api.add_router("/runbell/v1", router)
install(api)
