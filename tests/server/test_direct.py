"""What programs ask goes past what is done around pages, and keeps what that promises."""

import pytest
from django.test import Client

from tests.server.people import Acme

CHECK = "/api/runbell/v1/check"


def test_a_program_gets_no_cookie_and_nothing_that_depends_on_a_browser(shop: Acme) -> None:
    answer = Client(headers={"Authorization": f"Token {shop.token}", "Accept-Language": "ru"}).get(CHECK)
    assert answer.status_code == 200
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not answer.cookies
    assert "Vary" not in answer.headers


@pytest.mark.parametrize("language", ["ru", "en"])
def test_an_answer_is_in_english_whatever_page_came_before(shop: Acme, language: str) -> None:
    people, program = Client(headers={"Accept-Language": language}), Client(headers={"Authorization": f"Token {shop.token}"})
    people.get("/accounts/login/")
    answer = program.post("/api/runbell/v1/runs", {"state": "no such"}, content_type="application/json")
    assert answer.json()["error"] == {"field": "state", "message": "must be one of started, finished"}


@pytest.mark.parametrize("path", [CHECK, "/api/v2/accounts/", "/api/v3/nothing"])
def test_a_host_that_is_not_ours_is_refused(shop: Acme, path: str) -> None:
    answer = Client(headers={"Authorization": f"Token {shop.token}"}).get(path, headers={"Host": "evil.example"})
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/api/nothing", "/api/runbell/v1/nothing", "/api/v2/nothing"])
def test_what_no_route_leads_to_is_told_as_json(shop: Acme, path: str) -> None:
    answer = Client(headers={"Authorization": f"Token {shop.token}"}).get(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")
