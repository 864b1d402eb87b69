"""Every request that writes rules, and whose rules each role may write with it: tested in test_rule_writers.py, told in permissions.md."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.http import HttpResponse
from django.test import Client

from runbell.core.permissions import Action, Permission, Role, may
from runbell.server.db.models import Destination, Environment, Job
from runbell.server.services.tokens import create_token
from tests.server.people import NOW, Acme
from tests.server.slack_shop import slack_url

LISTS = ("on_cancel", "on_failure", "on_success", "on_warning")


class Whose(StrEnum):
    OWN = "the own address"
    COLLEAGUE = "a colleague's address"
    EXTERNAL = "an external address"
    SLACK = "a Slack channel"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody in a role tries to write rules for an address: `destination`, or one that is yet to be made."""

    shop: Acme
    role: Role
    whose: Whose
    destination: Destination | None

    @property
    def boxes(self) -> dict[str, Any]:
        lists: dict[str, Any] = {name: [] for name in LISTS} | {"on_failure": [self.shop.job.pk]}
        if self.whose is Whose.SLACK:
            return lists | {"type": 2, "slack_channel_id": "C0000001"}
        if self.whose is Whose.EXTERNAL:
            return lists | {"type": 4, "external_email": self.destination.address if self.destination else "pager@partner.example"}
        return lists | {"type": 1, "user_id": self.member_of().user_id}

    def member_of(self) -> Any:
        return self.shop.members[self.role if self.whose is Whose.OWN else colleague_of(self.role)]

    def api(self, method: str, path: str, body: object = None) -> HttpResponse:
        token = create_token(member=self.shop.members[self.role], name="writer", permissions=list(Permission), now=NOW)
        text = "" if body is None else json.dumps(body)
        url = f"/api/v2/accounts/{self.shop.account.pk}/notifications/{path}"
        headers = {"Authorization": f"Token {token}"}
        return Client().generic(method, url, text, content_type="application/json", headers=headers)  # type: ignore[return-value]


def colleague_of(role: Role) -> Role:
    return Role.VIEWER if role is not Role.VIEWER else Role.DEVELOPER


@dataclass(frozen=True, slots=True)
class Writer:
    """`own`: the action that the own address asks for; everything else asks for SET_ANY_NOTIFICATIONS.

    To start a Slack channel asks for LINK_SLACK. `of`: whose rules it can be about.
    """

    label: str
    send: Callable[[Attempt], HttpResponse]
    own: Action = Action.SET_OWN_NOTIFICATIONS
    makes: bool = False  # the destination, which is not there before
    of: tuple[Whose, ...] = tuple(Whose)

    def may(self, role: Role, whose: Whose) -> bool:
        if self.makes and whose is Whose.SLACK:
            return may(role, Action.LINK_SLACK)
        return may(role, self.own if whose is Whose.OWN else Action.SET_ANY_NOTIFICATIONS)


def create(attempt: Attempt) -> HttpResponse:
    return attempt.api("POST", "", attempt.boxes)


def update(attempt: Attempt) -> HttpResponse:
    assert attempt.destination
    return attempt.api("POST", f"{attempt.destination.pk}/", attempt.boxes)


def delete(attempt: Attempt) -> HttpResponse:
    assert attempt.destination
    return attempt.api("DELETE", f"{attempt.destination.pk}/")


def delete_by_state(attempt: Attempt) -> HttpResponse:
    assert attempt.destination
    return attempt.api("POST", f"{attempt.destination.pk}/", attempt.boxes | {"state": 2})


def save_slack(attempt: Attempt) -> HttpResponse:
    """The form of the Slack notifications page."""
    shop, own = attempt.shop, attempt.destination
    client = Client()
    client.force_login(shop.members[attempt.role].user)
    cells = json.dumps([[shop.job.pk, "failed", "off", "on"]])
    form = {"revision": own.revision if own else 0, "owner": own.link_id if own else 0, "cells": cells}
    return client.post(slack_url(shop, "T0000001:C0000001"), form)  # type: ignore[return-value]


def copy(attempt: Attempt) -> HttpResponse:
    """To another environment with a job of that name; the preview has the button that copies."""
    shop, own = attempt.shop, attempt.destination
    assert own
    there = Environment.objects.create(account=shop.account, project=shop.job.environment.project, name="Staging", created_at=NOW)
    Job.objects.create(account=shop.account, environment=there, name=shop.job.name, created_at=NOW)
    places = {"what": "environment", "environment": shop.job.environment_id, "to_environment": there.pk}
    form = places | {"to": f"m{own.member_id}" if own.member_id else own.pk}
    url, client = f"/a/{shop.account.pk}/settings/notifications/copy", Client()
    client.force_login(shop.members[attempt.role].user)
    found = re.search(r'name="expect" value="(\w+)"', client.post(url, form).content.decode())
    return client.post(url, form | {"step": "copy", "expect": found[1] if found else ""})  # type: ignore[return-value]


WRITERS: tuple[Writer, ...] = (
    Writer("API: create (`POST …/notifications/`)", create, makes=True),
    Writer("API: update (`POST …/notifications/{id}/`)", update),
    Writer("API: delete (`DELETE …/notifications/{id}/`)", delete, own=Action.UNSUBSCRIBE_SELF),
    Writer("API: delete (`POST …` with `state: 2`)", delete_by_state, own=Action.UNSUBSCRIBE_SELF),
    Writer("Page: Slack notifications, the first save", save_slack, makes=True, of=(Whose.SLACK,)),
    Writer("Page: Slack notifications", save_slack, of=(Whose.SLACK,)),
    Writer("Page: copy settings", copy, own=Action.SET_ANY_NOTIFICATIONS, of=(Whose.OWN, Whose.COLLEAGUE, Whose.EXTERNAL)),
)
PAIRS = tuple((writer, whose) for writer in WRITERS for whose in writer.of)
