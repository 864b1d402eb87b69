"""The part of the dbt Admin API v2 that sets notifications and finds ids: docs/reference/admin-api.md.

An API object of its own, since its errors have the dbt platform's shape and not ours.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from ninja import NinjaAPI, Router

from runbell.core.permissions import Action
from runbell.server.api import shapes
from runbell.server.api.edge import TokenAuth, actor_of, read_json
from runbell.server.api.envelope import Query, answer, install, listed, route
from runbell.server.api.notification_body import DELETED, NotificationBody, expected_revision
from runbell.server.services import access, destinations, listings, setting_lists
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.destinations import Setting
from runbell.server.services.listings import Listing, Window

Row = TypeVar("Row", bound=Model)
ACCOUNT = "/accounts/{int:account_id}"
NOTIFICATION = f"{ACCOUNT}/notifications/{{int:key}}"

_ADD = {shapes.EXTERNAL_EMAIL: destinations.add_external_email, shapes.SLACK_CHANNEL: destinations.add_slack_channel}

router = Router(tags=["dbt Admin API"])


@route(router, "GET", "/accounts", summary="The account of this token")
def accounts(request: HttpRequest) -> JsonResponse:
    return listed([shapes.account(actor_of(request))], 1, Window())


@route(router, "GET", "/whoami", summary="The member this token acts as")
def whoami(request: HttpRequest) -> JsonResponse:
    return answer(shapes.me(actor_of(request)))


@route(router, "GET", f"{ACCOUNT}/notifications", summary="List notification settings")
def list_notifications(request: HttpRequest, account_id: int) -> JsonResponse:
    actor, query = _actor(request, account_id), Query(request)
    filters, window = query.filters(setting_lists.FILTERS), query.window()
    page, settings = setting_lists.list_settings(actor, filters, window)
    return listed([shapes.notification(setting) for setting in settings], page.total, window, filters)


@route(router, "POST", f"{ACCOUNT}/notifications", summary="Create a notification setting")
def create_notification(request: HttpRequest, account_id: int) -> JsonResponse:
    actor, now = _actor(request, account_id), timezone.now()
    body = NotificationBody(read_json(request), account_id)
    change = body.new()
    if body.type == shapes.MEMBER_EMAIL:
        return _one(destinations.add_member_email(body.recipient(), change, actor=actor, now=now), 201)
    return _one(_ADD[body.type](change, actor=actor, now=now), 201)


@route(router, "GET", NOTIFICATION, summary="Read a notification setting")
def read_notification(request: HttpRequest, account_id: int, key: int) -> JsonResponse:
    return _one(destinations.setting_for(_actor(request, account_id), key))


@route(router, "POST", NOTIFICATION, summary="Update a notification setting, or delete it with state 2")
def update_notification(request: HttpRequest, account_id: int, key: int) -> JsonResponse:
    """Replaces all job rules; environment rules stay unless `runbell_environments` names them."""
    actor, now, revision = _actor(request, account_id), timezone.now(), expected_revision(request)
    body = NotificationBody(read_json(request), account_id)
    if body.state == DELETED:
        return _one(destinations.delete_setting(key, actor=actor, now=now, revision=revision))
    change = body.update_of(shapes.notification(destinations.setting_for(actor, key)))
    return _one(destinations.save_setting(key, change, actor=actor, now=now, revision=revision))


@route(router, "DELETE", NOTIFICATION, summary="Delete a notification setting")
def delete_notification(request: HttpRequest, account_id: int, key: int) -> HttpResponse:
    actor = _actor(request, account_id)
    destinations.delete_setting(key, actor=actor, now=timezone.now(), revision=expected_revision(request))
    return HttpResponse(status=204)


def _one(setting: Setting, code: int = 200) -> JsonResponse:
    response = answer(shapes.notification(setting), code)
    response["ETag"] = f'"{setting.destination.revision}"'
    return response


def _actor(request: HttpRequest, account_id: int) -> Actor:
    """Another account's address is no address at all for this token."""
    actor = actor_of(request)
    if actor.account_id != account_id:
        raise NotThere
    return actor


def _browse(name: str, listing: Listing[Row], find: Callable[[Actor, int, Action], Row], shape: Callable[[Row], dict[str, Any]]) -> None:
    """The list and the single object of one kind of thing."""

    def many(request: HttpRequest, account_id: int) -> JsonResponse:
        actor, query = _actor(request, account_id), Query(request)
        filters, window = query.filters(listing.filters), query.window()
        page = listing.page(actor, filters, window)
        return listed([shape(row) for row in page.rows], page.total, window, filters)

    def one(request: HttpRequest, account_id: int, key: int) -> JsonResponse:
        return answer(shape(find(_actor(request, account_id), key, Action.SEE_JOBS)))

    many.__name__, one.__name__ = f"list_{name}", f"read_{name}"
    route(router, "GET", f"{ACCOUNT}/{name}", summary=f"List {name}")(many)
    route(router, "GET", f"{ACCOUNT}/{name}/{{int:key}}", summary=f"Read one of the {name}")(one)


_browse("projects", listings.PROJECTS, access.project_for, shapes.project)
_browse("environments", listings.ENVIRONMENTS, access.environment_for, shapes.environment)
_browse("jobs", listings.JOBS, access.job_for, shapes.job)
_browse("runs", listings.RUNS, access.run_for, shapes.run)


@router.api_operation(["GET", "POST", "PUT", "PATCH", "DELETE"], "/{path:rest}", include_in_schema=False)
def nothing(request: HttpRequest, rest: str) -> HttpResponse:
    """A 404 that clients of this API can read."""
    raise NotThere


api = NinjaAPI(title="Runbell, as the dbt Admin API", version="2", urls_namespace="runbell-admin-v2", auth=TokenAuth(), docs_url=None)
api.add_router("", router)
install(api)
