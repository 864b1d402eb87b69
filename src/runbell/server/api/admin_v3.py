"""The part of the dbt Admin API v3 that finds accounts, projects, environments and users: docs/reference/admin-api.md.

Its objects, envelope and errors are those of v2; environments are found below their project and, as clients ask too, below the account.
"""

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI, Router

from runbell.core.permissions import Action
from runbell.server.api import described, models_v3, shapes
from runbell.server.api.browse import browse
from runbell.server.api.edge import TokenAuth, account_actor, actor_of
from runbell.server.api.envelope import Query, answer, install, listed, route
from runbell.server.services import access, listings
from runbell.server.services.access import NotThere
from runbell.server.services.listings import Window

ACCOUNT = "/accounts/{int:account_id}"
ENVIRONMENTS = f"{ACCOUNT}/projects/{{int:project_id}}/environments"

router = Router(tags=["dbt Admin API"])


@route(router, "GET", "/accounts", summary="The account of this token", says=described.Listed, refuses={401})
def accounts(request: HttpRequest) -> JsonResponse:
    return listed([shapes.account(actor_of(request))], 1, Window())


@route(router, "GET", ACCOUNT, summary="The account of this token, by its id", refuses={401, 404})
def account(request: HttpRequest, account_id: int) -> JsonResponse:
    return answer(shapes.account(account_actor(request, account_id)))


browse(router, f"{ACCOUNT}/projects", listings.PROJECTS, access.project_for, lambda rows, _: [shapes.project(row) for row in rows])
browse(
    router,
    f"{ACCOUNT}/environments",
    listings.ENVIRONMENTS,
    access.environment_for,
    lambda rows, _: [shapes.environment(row) for row in rows],
)
browse(router, f"{ACCOUNT}/users", listings.MEMBERS, access.user_for, lambda rows, _: [shapes.user(row) for row in rows])


@route(
    router,
    "GET",
    ENVIRONMENTS,
    summary="List the environments of a project",
    says=described.Listed,
    refuses=described.READ | {400},
    takes=described.listing(listings.ENVIRONMENTS.filters, listings.ENVIRONMENTS.orders),
)
def list_environments_of(request: HttpRequest, account_id: int, project_id: int) -> JsonResponse:
    actor, query = account_actor(request, account_id), Query(request)
    access.project_for(actor, project_id, Action.SEE_JOBS)
    filters, window = query.filters(listings.ENVIRONMENTS.filters) | {"project_id": project_id}, query.window()
    page = listings.ENVIRONMENTS.page(actor, filters, window)
    return listed([shapes.environment(row) for row in page.rows], page.total, window, filters)


@route(router, "GET", f"{ENVIRONMENTS}/{{int:key}}", summary="Read one environment of a project")
def read_environment_of(request: HttpRequest, account_id: int, project_id: int, key: int) -> JsonResponse:
    environment = access.environment_for(account_actor(request, account_id), key, Action.SEE_JOBS)
    if environment.project_id != project_id:
        raise NotThere
    return answer(shapes.environment(environment))


@route(router, "GET", f"{ACCOUNT}/projects/{{int:project_id}}/environment-variables/job", summary="None: Runbell keeps no variables")
def no_variables(request: HttpRequest, account_id: int, project_id: int) -> JsonResponse:
    """dbt-jobs-as-code asks before it compares a job with its file."""
    access.project_for(account_actor(request, account_id), project_id, Action.SEE_JOBS)
    return answer({})


@router.api_operation(["GET", "POST", "PUT", "PATCH", "DELETE"], "/{path:rest}", include_in_schema=False)
def nothing(request: HttpRequest, rest: str) -> HttpResponse:
    """A 404 that clients of this API can read."""
    raise NotThere


api = NinjaAPI(title="Runbell, as the dbt Admin API v3", version="3", urls_namespace="runbell-admin-v3", auth=TokenAuth(), docs_url=None)
api.add_router("", models_v3.router)
api.add_router("", router)
install(api)
