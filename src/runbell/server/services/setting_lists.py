"""Notification settings as the dbt Admin API lists them: filtered, ordered, in windows."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q

from runbell.server.db.models import Destination
from runbell.server.services.access import Actor
from runbell.server.services.destinations import EMAIL, visible_to
from runbell.server.services.listings import Page, Reads, Window, take
from runbell.server.services.rules import boxes_of
from runbell.server.services.setting_changes import OF_ACCOUNT, Setting
from runbell.server.services.slack_targets import SLACK

ORDERS = {"id": "pk", "created_at": "created_at", "updated_at": "updated_at"}
FILTERS = {
    "pk": (Reads.NUMBER, "pk"),
    "state": (Reads.STATE, "state__in"),
    "type": (Reads.NUMBER, "type"),
    "user_id": (Reads.NUMBER, "user_id"),
    "external_email": (Reads.TEXT, "external_email"),
    "slack_channel_id": (Reads.TEXT, "slack_channel_id"),
}


def list_settings(actor: Actor, filters: Mapping[str, Any], window: Window) -> tuple[Page[Destination], list[Setting]]:
    """`filters`: a name of `FILTERS` → its value, read."""
    rows = visible_to(actor)
    for name, value in filters.items():
        rows = rows.filter(_condition(name, value))
    page = take(rows, window, ORDERS)
    boxes = boxes_of(row.pk for row in page.rows)
    return page, [Setting(row, boxes[row.pk]) for row in page.rows]


def _condition(name: str, value: Any) -> Q:
    if name == "type":
        of_account = f"settings__{OF_ACCOUNT}"
        kinds = {
            1: Q(member__isnull=False),
            2: Q(kind=SLACK) & Q(**{f"{of_account}__isnull": True}),
            4: Q(kind=EMAIL, member__isnull=True),
            5: Q(kind=SLACK) & Q(**{of_account: True}),
        }
        return kinds.get(value, Q(pk__in=()))
    if name == "user_id":
        by = Q(link__member__user=value) | Q(link__isnull=True, created_by__user=value)
        return Q(member__user=value) | (Q(member__isnull=True) & by)
    if name == "external_email":
        return Q(kind=EMAIL) & (Q(address__iexact=value) | Q(address_key=value.lower()))
    if name == "slack_channel_id":
        return Q(kind=SLACK, settings__channel_id=value)
    return Q(**{FILTERS[name][1]: value})
