"""Messages to the owners of models, of the dbt Admin API v3: kept as told. It is not in dbt's public schema; Terraform's provider uses it."""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from ninja import Router

from runbell.core.fields import BadField, Fields
from runbell.core.permissions import Action
from runbell.server.api import described
from runbell.server.api.edge import account_actor, read_json
from runbell.server.api.envelope import answer, route
from runbell.server.api.shapes import moment
from runbell.server.services import access
from runbell.server.services.model_notifications import FLAGS, Environment, model_notifications_of, set_model_notifications

PATH = "/accounts/{int:account_id}/environments/{int:key}/model-notifications"
SAID = "Kept, and nothing is sent by it: Runbell tells the addresses that its notification settings name, and not the owners of models."
BODY = {"type": "object", "properties": {name: {"type": ["boolean", "null"]} for name in FLAGS}}

router = Router(tags=["dbt Admin API"])


@route(router, "GET", PATH, summary="Read what is set about messages to owners of models")
def read_model_notifications(request: HttpRequest, account_id: int, key: int) -> JsonResponse:
    return answer(_shape(access.environment_for(account_actor(request, account_id), key, Action.SEE_JOBS)))


@route(
    router,
    "POST",
    PATH,
    summary="Keep what is set about messages to owners of models",
    refuses=described.WRITE,
    takes=described.taking(BODY),
)
def write_model_notifications(request: HttpRequest, account_id: int, key: int) -> JsonResponse:
    """What the body leaves out stays."""
    actor, fields = account_actor(request, account_id), Fields(read_json(request))
    for name, here in (("account_id", account_id), ("environment_id", key)):
        if fields.integer(name, low=0) not in (None, here):
            raise BadField(name, f"is not the one in the address, {here}")
    flags = {name: value for name in FLAGS if (value := fields.flag(name)) is not None}
    return answer(_shape(set_model_notifications(actor, key, flags, now=timezone.now())), said=SAID)


def _shape(environment: Environment) -> dict[str, Any]:
    return {
        "id": environment.pk,
        "account_id": environment.account_id,
        "environment_id": environment.pk,
        "created_at": moment(environment.created_at),
        **model_notifications_of(environment),
    }
