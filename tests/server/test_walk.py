"""Every URL × everybody: admin, notification manager, developer, viewer, a member of another account, and a visitor."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import Client, override_settings
from pytest_django import DjangoDbBlocker
from tools.permissions import PAGE, text

from runbell.core.permissions import Action, Permission, Role
from runbell.server.services.tokens import create_token
from tests.server.people import HASHERS, NOW, Acme, acme
from tests.server.walk import PEOPLE, ROWS, STRANGER, VISITOR, Row, Stage, routes, set_stage

pytestmark = pytest.mark.django_db
FORMS = [row for row in ROWS if "POST" in row.methods and not row.is_exempt]
DEEP = [row for row in ROWS if isinstance(row.who, Action) and row.keys]


def named(row: Row) -> str:
    return f"{row.route or '/'}:{','.join(row.methods)}"


@pytest.fixture(scope="module")
def stage(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Stage]:
    """Set once: what a request changes is undone, and so is what a test changes."""
    with django_db_blocker.unblock(), transaction.atomic():
        with override_settings(RUNBELL_PRIVATE_HOSTS=True, PASSWORD_HASHERS=HASHERS):
            stage = set_stage(acme())
        yield stage
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def other(stage: Stage, django_db_blocker: DjangoDbBlocker) -> Acme:
    with django_db_blocker.unblock(), override_settings(PASSWORD_HASHERS=HASHERS):
        return acme("Other", "other.test")


def test_every_url_has_its_row() -> None:
    rows, there = {row.route for row in ROWS}, routes()
    missing, gone = there - rows, rows - there
    assert not missing, "say in tests/server/walk.py who may use these"
    assert not gone, "these are no more"


def test_the_table_in_the_docs_is_that_of_today() -> None:
    assert PAGE.read_text(encoding="utf-8") == text(), "write it anew: .venv/bin/python -m tools.permissions"


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_everybody_gets_what_the_table_says(row: Row, stage: Stage, other: Acme) -> None:
    for method in row.methods:
        got = {person: answer(row, method, stage, other, person) for person in PEOPLE}
        assert got == {person: row.status(person, method) for person in PEOPLE}, method


@pytest.mark.parametrize("row", DEEP, ids=named)
def test_things_of_another_account_are_not_found_in_the_own(row: Row, stage: Stage, other: Acme) -> None:
    url = row.url(stage.values(row.route) | {"account_id": other.account.pk})
    for method in row.methods:
        assert ask(url, method, row, stage, other, Role.ACCOUNT_ADMIN) == 404


@pytest.mark.parametrize("row", FORMS, ids=named)
def test_a_form_without_its_token_is_refused(row: Row, stage: Stage) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(stage.shop.admin.user)
    assert client.post(row.url(stage.values(row.route)), row.fields(stage)).status_code == 403


def answer(row: Row, method: str, stage: Stage, other: Acme, person: Role | str) -> int:
    """The status; what the request changed is undone."""
    return ask(row.url(stage.values(row.route)), method, row, stage, other if person == STRANGER else stage.shop, person)


def ask(url: str, method: str, row: Row, stage: Stage, shop: Acme, person: Role | str) -> int:
    role = None if person == VISITOR else person if isinstance(person, Role) else Role.ACCOUNT_ADMIN
    with transaction.atomic():
        response = _ask_api(url, method, row, stage, shop, role) if row.is_api else _ask_page(url, method, row, stage, shop, role)
        transaction.set_rollback(True)
    if role is None and response.status_code == 302 and row.status(VISITOR, method) == 302 and isinstance(row.who, Action):
        assert response["Location"].startswith("/account/login/?next=/a/")
    return int(response.status_code)


def _ask_page(url: str, method: str, row: Row, stage: Stage, shop: Acme, role: Role | None) -> Any:
    client = Client()
    if role:
        client.force_login(shop.members[role].user)
    return client.generic(method, url) if method != "POST" else client.post(url, row.fields(stage))


def _ask_api(url: str, method: str, row: Row, stage: Stage, shop: Acme, role: Role | None) -> Any:
    headers = {}
    if role:
        token = create_token(member=shop.members[role], name="walk", permissions=list(Permission), now=NOW)
        headers = {"Authorization": f"Token {token}"}
    body = json.dumps(row.fields(stage)) if method == "POST" else ""
    return Client().generic(method, url, body, content_type="application/json", headers=headers)
