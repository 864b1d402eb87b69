"""The database is gone, full or locked: no 500, no word of what it said, and all goes on afterwards."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test import Client

from runbell.core.permissions import Role
from runbell.server.db.models import Run
from tests.server.people import Acme
from tests.server.test_reports import FAILED

FULL = "database or disk is full: /var/lib/secret-place"
REPORTS = "/api/runbell/v1/runs"


@contextmanager
def trouble(error: Exception, *, of: str = "") -> Iterator[None]:
    """Every statement that contains `of` fails."""

    def fail(execute: Any, sql: str, *rest: Any) -> Any:
        if of in sql:
            raise error
        return execute(sql, *rest)

    with connection.execute_wrapper(fail):
        yield


def browser(shop: Acme) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(shop.members[Role.ACCOUNT_ADMIN].user)
    return client


def post(shop: Acme) -> Any:
    headers = {"Authorization": f"Token {shop.token}"}
    client = Client(raise_request_exception=False)
    return client.post(REPORTS, json.dumps(FAILED), content_type="application/json", headers=headers)


@pytest.mark.parametrize("error", [OperationalError(FULL), InterfaceError(FULL)])
@pytest.mark.parametrize("of", ["", "INSERT INTO"])
def test_a_program_is_asked_to_come_again(shop: Acme, error: Exception, of: str) -> None:
    with trouble(error, of=of):
        answer = post(shop)
    assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    assert answer.json() == {"error": {"field": None, "message": "The database cannot be used right now. Send this again in a moment."}}
    assert not Run.objects.exists()
    assert post(shop).status_code == 201


@pytest.mark.parametrize("path", ["/api/v2/accounts/{}/jobs/", "/api/v3/accounts/{}/projects/"])
def test_the_admin_api_says_it_in_its_own_shape(shop: Acme, path: str) -> None:
    client = Client(headers={"Authorization": f"Token {shop.token}"}, raise_request_exception=False)
    with trouble(OperationalError(FULL)):
        answer = client.get(path.format(shop.account.pk))
    assert (answer.status_code, answer["Retry-After"], answer.json()["status"]["code"]) == (503, "10", 503)
    assert "cannot be used right now" in answer.json()["status"]["user_message"]


@pytest.mark.parametrize("of", ["", "runbell_job"])
def test_people_see_a_page_that_needs_no_database(shop: Acme, of: str) -> None:
    client = browser(shop)
    with trouble(OperationalError(FULL), of=of):
        answer = client.get(f"/a/{shop.account.pk}/", follow=True)
    assert (answer.status_code, answer["Retry-After"], answer["Cache-Control"]) == (503, "10", "no-store")
    assert "Out of order for a moment" in answer.content.decode()
    assert "secret-place" not in answer.content.decode()
    assert client.get(f"/a/{shop.account.pk}/", follow=True).status_code == 200


def test_bad_sql_and_bugs_stay_bugs(shop: Acme) -> None:
    bad = OperationalError("no such column: nothing")
    bad.__cause__ = sqlite3.OperationalError("no such column: nothing")
    bad.__cause__.sqlite_errorcode = sqlite3.SQLITE_ERROR
    client = browser(shop)
    for error in (bad, ZeroDivisionError()):
        with trouble(error, of="runbell_job"):
            assert client.get(f"/a/{shop.account.pk}/", follow=True).status_code == 500
        with trouble(error):
            assert post(shop).status_code == 500


def test_the_log_says_what_the_database_said(shop: Acme, capsys: pytest.CaptureFixture[str]) -> None:
    with trouble(OperationalError(FULL)):
        post(shop)
    assert FULL in "".join(capsys.readouterr())
