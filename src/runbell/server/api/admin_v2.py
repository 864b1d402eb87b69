"""The part of the dbt Admin API v2 that sets notifications and finds ids: docs/reference/admin-api.md.

An API object of its own, since its errors have the dbt platform's shape and not ours.
"""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from ninja import NinjaAPI, Router

from runbell.server.api import artifacts_v2, jobs_v2, notification_body, shapes
from runbell.server.api.browse import browse
from runbell.server.api.described import READ, WRITE, Listed, listing, taking
from runbell.server.api.edge import TokenAuth, account_actor, actor_of, read_json
from runbell.server.api.envelope import Query, answer, install, listed, route
from runbell.server.api.notification_body import DELETED, MATCHING, NEW_NOTIFICATION, NotificationBody, expected_revision
from runbell.server.services import access, destinations, listings, setting_lists
from runbell.server.services.access import NotThere
from runbell.server.services.listings import Window
from runbell.server.services.setting_changes import Setting
from runbell.server.services.unsubscribe import unsubscribe_self

ACCOUNT = "/accounts/{int:account_id}"
NOTIFICATION = f"{ACCOUNT}/notifications/{{int:key}}"

_ADD = {shapes.EXTERNAL_EMAIL: destinations.add_external_email, **dict.fromkeys(shapes.SLACK_TYPES, destinations.add_slack_channel)}

router = Router(tags=["dbt Admin API"])


@route(router, "GET", "/accounts", summary="The account of this token", says=Listed, refuses={401})
def accounts(request: HttpRequest) -> JsonResponse:
    return listed([shapes.account(actor_of(request))], 1, Window())


@route(router, "GET", ACCOUNT, summary="The account of this token, by its id", refuses={401, 404})
def account(request: HttpRequest, account_id: int) -> JsonResponse:
    return answer(shapes.account(account_actor(request, account_id)))


@route(router, "GET", "/whoami", summary="The member this token acts as", refuses={401})
def whoami(request: HttpRequest) -> JsonResponse:
    return answer(shapes.me(actor_of(request)))


@route(
    router,
    "GET",
    f"{ACCOUNT}/notifications",
    summary="List notification settings",
    says=Listed,
    refuses=READ | {400},
    takes=listing(setting_lists.FILTERS, setting_lists.ORDERS),
)
def list_notifications(request: HttpRequest, account_id: int) -> JsonResponse:
    actor, query = account_actor(request, account_id), Query(request)
    filters, window = query.filters(setting_lists.FILTERS), query.window()
    page, settings = setting_lists.list_settings(actor, filters, window)
    return listed([shapes.notification(setting) for setting in settings], page.total, window, filters)


@route(
    router,
    "POST",
    f"{ACCOUNT}/notifications",
    summary="Create a notification setting",
    code=201,
    refuses=WRITE,
    takes=taking(NEW_NOTIFICATION),
)
def create_notification(request: HttpRequest, account_id: int) -> JsonResponse:
    actor, now = account_actor(request, account_id), timezone.now()
    body = NotificationBody(read_json(request), account_id)
    change = body.new()
    if body.type == shapes.MEMBER_EMAIL:
        return _one(destinations.add_member_email(body.recipient(), change, actor=actor, now=now), 201)
    return _one(_ADD[body.type](change, actor=actor, now=now), 201)


@route(router, "GET", NOTIFICATION, summary="Read a notification setting")
def read_notification(request: HttpRequest, account_id: int, key: int) -> JsonResponse:
    return _one(destinations.setting_for(account_actor(request, account_id), key))


@route(
    router,
    "POST",
    NOTIFICATION,
    summary="Update a notification setting, or delete it with state 2",
    refuses=WRITE | {412},
    takes=taking(notification_body.NOTIFICATION) | MATCHING,
)
def update_notification(request: HttpRequest, account_id: int, key: int) -> JsonResponse:
    """Replaces all job rules; environment rules stay unless `runbell_environments` names them."""
    actor, now, revision = account_actor(request, account_id), timezone.now(), expected_revision(request)
    body = NotificationBody(read_json(request), account_id)
    if body.state == DELETED:
        return _one(destinations.delete_setting(key, actor=actor, now=now, revision=revision))
    change = body.update_of(shapes.notification(destinations.setting_for(actor, key)))
    return _one(destinations.save_setting(key, change, actor=actor, now=now, revision=revision))


@route(router, "DELETE", NOTIFICATION, summary="Delete a notification setting", code=204, says=None, refuses=READ | {412}, takes=MATCHING)
def delete_notification(request: HttpRequest, account_id: int, key: int) -> HttpResponse:
    actor = account_actor(request, account_id)
    destinations.delete_setting(key, actor=actor, now=timezone.now(), revision=expected_revision(request))
    return HttpResponse(status=204)


def _one(setting: Setting, code: int = 200) -> JsonResponse:
    response = answer(shapes.notification(setting), code)
    response["ETag"] = f'"{setting.destination.revision}"'
    return response


@route(
    router,
    "POST",
    "/notifications/unsubscribe",
    summary="Take away every e-mail setting of the member this token acts as",
    says=None,
    refuses={401, 403},
)
def unsubscribe_me(request: HttpRequest) -> HttpResponse:
    unsubscribe_self(actor_of(request), now=timezone.now())
    return HttpResponse()


browse(router, f"{ACCOUNT}/projects", listings.PROJECTS, access.project_for, lambda rows, _: [shapes.project(row) for row in rows])
browse(
    router,
    f"{ACCOUNT}/environments",
    listings.ENVIRONMENTS,
    access.environment_for,
    lambda rows, _: [shapes.environment(row) for row in rows],
)


@router.api_operation(["GET", "POST", "PUT", "PATCH", "DELETE"], "/{path:rest}", include_in_schema=False)
def nothing(request: HttpRequest, rest: str) -> HttpResponse:
    """A 404 that clients of this API can read."""
    raise NotThere


api = NinjaAPI(title="Runbell, as the dbt Admin API", version="2", urls_namespace="runbell-admin-v2", auth=TokenAuth(), docs_url=None)
api.add_router("", jobs_v2.router)
api.add_router("", artifacts_v2.router)
api.add_router("", router)
install(api)
