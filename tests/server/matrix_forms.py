"""The two forms of a matrix as a browser sends them."""

import json
import re
from typing import Any

from django.test import Client

from runbell.core.permissions import Role
from runbell.server.db.models import Destination, Job, Rule
from tests.server.people import NOW, Acme

Cells = list[list[Any]]


def sign_in(shop: Acme, role: Role = Role.ACCOUNT_ADMIN) -> Client:
    client = Client()
    client.force_login(shop.members[role].user)
    return client


def base(shop: Acme) -> str:
    return f"/a/{shop.account.pk}/settings/notifications/email"


def url(shop: Acme, to: str = "", **query: Any) -> str:
    parts = {"to": to, "env": shop.job.environment_id, **query}
    return base(shop) + "?" + "&".join(f"{name}={value}" for name, value in parts.items() if value != "")


def make_jobs(shop: Acme, count: int) -> list[Job]:
    made = (Job(account=shop.account, environment=shop.job.environment, name=f"job {n:05}", created_at=NOW) for n in range(count))
    return Job.objects.bulk_create(made)


def save(client: Client, where: str, cells: Cells, revision: int = 0, **fields: Any) -> Any:
    """As the script sends it."""
    return client.post(where, {"revision": revision, "cells": json.dumps(cells), **fields})


def plain(client: Client, where: str, *, tick: tuple[str, ...] = (), clear: tuple[str, ...] = (), page: str = "") -> Any:
    """As a browser without script sends the page it was given, with a few boxes changed."""
    text = page or client.get(f"{where}&edit=1").content.decode()
    boxes = set(ticked(text)) | set(tick)
    fields = {name: hidden(text, name) for name in ("revision", "was")}
    return client.post(where, {**fields, "box": sorted(boxes - set(clear))})


def hidden(text: str, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', text)
    assert found, name
    return found[1].replace("&quot;", '"')


def ticked(text: str) -> list[str]:
    boxes = re.findall(r'<input class="box" type="checkbox" name="box" value="(\d+:\w+)"([^>]*)>', text)
    return [name for name, rest in boxes if " checked" in rest and " disabled" not in rest]


def facts(text: str) -> dict[str, Any]:
    found = re.search(r'<script id="facts" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found
    told: dict[str, Any] = json.loads(found[1])
    return told


def rules(destination: Destination | None = None) -> set[tuple[int | None, int | None, str]]:
    found = Rule.objects.filter(destination=destination) if destination else Rule.objects.all()
    return set(found.values_list("job", "environment", "outcome"))


def text(answer: Any) -> str:
    return str(answer.content.decode())


def external(shop: Acme, address: str = "pager@x.pagerduty.example") -> Destination:
    return Destination.objects.create(
        account=shop.account, kind="email", address=address, address_key=address, public_id=address[:22], created_at=NOW, updated_at=NOW
    )
