"""Notification settings as the dbt Admin API lists them: filtered, ordered, in windows."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q

from runbell.server.db.models import Destination
from runbell.server.services.access import Actor
from runbell.server.services.destinations import Setting, visible_to
from runbell.server.services.listings import Page, Reads, Window, take
from runbell.server.services.rules import boxes_of

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
        return {1: Q(member__isnull=False), 4: Q(member__isnull=True)}.get(value, Q(pk__in=()))
    if name == "user_id":
        return Q(member__user=value) | Q(member__isnull=True, created_by__user=value)
    if name == "external_email":
        return Q(address__iexact=value) | Q(address_key=value.lower())
    if name == "slack_channel_id":
        return Q(pk__in=())  # nothing here is a Slack channel
    return Q(**{FILTERS[name][1]: value})
