"""What a request may bring and how often one may guess; and that who is right is served beside one who guesses."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from runbell.server.services.failures import BAD_LINKS, BAD_TOKENS, WINDOW, Failures
from runbell.server.services.limits import TooMany
from runbell.server.services.unsubscribe import unsubscribe_url
from tests.server.people import NOW, Acme

pytestmark = pytest.mark.django_db


@pytest.fixture
def two_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    for failures in (BAD_TOKENS, BAD_LINKS):
        monkeypatch.setattr(failures, "_limit", 2)


def until_refused(client: Client, path: str, **headers: str) -> Any:
    """The 429, which may take some more when a minute ends meanwhile."""
    for _ in range(6):
        response = client.get(path, headers=headers)
        if response.status_code == 429:
            return response
    raise AssertionError(f"never refused: {response.status_code}")


@pytest.mark.parametrize("path", ["/api/v2/accounts/", "/api/v3/accounts/", "/api/runbell/v1/check"])
def test_who_guesses_tokens_must_wait_and_who_has_one_need_not(shop: Acme, client: Client, two_tries: None, path: str) -> None:
    refused = until_refused(client, path, Authorization="Token rb_12345678_wrong")
    assert 1 <= int(refused["Retry-After"]) <= WINDOW
    assert "Too many wrong tokens" in refused.content.decode()
    assert client.get(path, headers={"Authorization": f"Token {shop.token}"}).status_code == 200
    assert Client(REMOTE_ADDR="192.0.2.7").get(path, headers={"Authorization": "Token rb_no"}).status_code == 401


def test_no_token_is_no_guess(client: Client, two_tries: None) -> None:
    assert {client.get("/api/v2/accounts/").status_code for _ in range(5)} == {401}


def test_who_guesses_links_must_wait_and_who_has_one_need_not(shop: Acme, client: Client, two_tries: None) -> None:
    destination = shop.destination()
    good = unsubscribe_url(destination, shop.job.pk).partition("/u/")[2]
    refused = until_refused(client, f"/u/{destination.public_id}/{shop.job.pk}/{'x' * 22}")
    assert 1 <= int(refused["Retry-After"]) <= WINDOW
    assert client.get(f"/u/{good}").status_code == 200


def test_behind_proxies_who_comes_past_them_is_counted_by_the_own_address(client: Client, settings: Settings) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 2
    headers = {"Authorization": "Token rb_no", "X-Forwarded-For": "192.0.2.1"}
    assert client.get("/api/v2/accounts/", headers=headers).status_code == 401


class TestFailures:
    def test_a_minute_later_it_begins_anew(self) -> None:
        failures = Failures(1)
        failures.count("192.0.2.1", now=NOW)
        with pytest.raises(TooMany) as refused:
            failures.count("192.0.2.1", now=NOW + timedelta(seconds=20))
        assert refused.value.retry_after == 40
        failures.count("192.0.2.1", now=NOW + timedelta(seconds=60))

    def test_addresses_are_told_apart_but_not_those_of_one_customer(self) -> None:
        failures = Failures(1)
        for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "no address"):
            failures.count(address, now=NOW)
        with pytest.raises(TooMany):
            failures.count("2001:db8::ffff", now=NOW)

    def test_memory_does_not_grow(self) -> None:
        failures = Failures(1, most_addresses=10)
        for n in range(1000):
            failures.count(f"10.0.{n // 256}.{n % 256}", now=NOW)
        assert len(failures) == 10


@pytest.mark.parametrize("path", ["/account/login/", "/language/setlang/", "/u/x/1/y", "/a/1/settings/tokens"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_that_is_too_large_is_refused_by_its_head(client: Client, path: str, kind: str) -> None:
    """Nothing of the body is there to be read: whoever reads it fails."""
    response = client.generic("POST", path, b"", content_type=kind, CONTENT_LENGTH=str(10 * 1024 * 1024))
    assert (response.status_code, response["Content-Type"]) == (413, "text/plain")


@pytest.mark.parametrize("path", ["/sources/dbt/1", "/integrations/slack/events", "/api/runbell/v1/runs", "/api/v2/accounts/{}/jobs/"])
def test_programs_are_refused_by_the_head_too(shop: Acme, client: Client, path: str) -> None:
    headers = {"Authorization": f"Token {shop.token}"}
    url = path.format(shop.account.pk)
    response = client.generic("POST", url, b"", content_type="application/json", headers=headers, CONTENT_LENGTH=str(10 * 1024 * 1024))
    assert response.status_code == 413
