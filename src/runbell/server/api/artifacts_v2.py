"""Artifacts of runs, of the dbt Admin API v2: their names, and the files as they were left. docs/reference/admin-api.md."""

import zlib

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router

from runbell.server.api.described import READ, Names, filtered
from runbell.server.api.edge import account_actor
from runbell.server.api.envelope import Query, answer, route
from runbell.server.services import artifacts
from runbell.server.services.artifacts import Kept
from runbell.server.services.listings import Reads

ACCOUNT = "/accounts/{int:account_id}"
RUN = f"{ACCOUNT}/runs/{{int:key}}/artifacts"
OF_JOB = f"{ACCOUNT}/jobs/{{int:key}}/artifacts/{{path:name}}"
_FILTERS = {"step": (Reads.NUMBER, "step")}
STEP = filtered(_FILTERS)

router = Router(tags=["dbt Admin API"])


@route(router, "GET", RUN, summary="List the artifacts of a run", says=Names, refuses=READ | {400}, takes=STEP)
def list_artifacts(request: HttpRequest, account_id: int, key: int) -> JsonResponse:
    found = artifacts.list_artifacts(account_actor(request, account_id), key, _step(request))
    return answer(list(dict.fromkeys(artifact.name for artifact in found)))


@route(router, "GET", f"{RUN}/{{path:name}}", summary="Download an artifact of a run", says=None, refuses=READ | {400}, takes=STEP)
def read_artifact(request: HttpRequest, account_id: int, key: int, name: str) -> HttpResponse:
    """Of the step that `step` names; without, of the last one that left it."""
    return _file(request, artifacts.artifact_of(account_actor(request, account_id), key, name, _step(request)))


@route(router, "GET", OF_JOB, summary="Download an artifact of the newest run that succeeded", says=None)
def read_artifact_of_job(request: HttpRequest, account_id: int, key: int, name: str) -> HttpResponse:
    return _file(request, artifacts.artifact_of_job(account_actor(request, account_id), key, name))


def _step(request: HttpRequest) -> int | None:
    return Query(request).filters(_FILTERS).get("step")


def _file(request: HttpRequest, kept: Kept) -> HttpResponse:
    """As it is stored for those who take gzip, which is nearly everybody."""
    takes_gzip = "gzip" in request.headers.get("Accept-Encoding", "")
    body = kept.packed if takes_gzip else zlib.decompress(kept.packed, wbits=31)
    kind = "application/json" if kept.name.endswith(".json") else "text/plain; charset=utf-8"
    headers = {"Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if takes_gzip else {})
    return HttpResponse(body, content_type=kind, headers=headers)
