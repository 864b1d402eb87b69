"""Single sign-on, against a provider that is a process of its own and speaks HTTP."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.test import Client
from pytest_django import Settings

from runbell.core.permissions import Role
from runbell.server.checks import single_sign_on
from runbell.server.db.models import AuditEntry, Member, User
from tests.server.people import PASSWORD, Acme

pytestmark = pytest.mark.django_db
START, FINISH = "/account/sso/", "/account/sso/finish/"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "oidc_provider_mock", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_for(url, process)
            yield url
        finally:
            process.terminate()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None
        try:
            requests.get(url, timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the provider did not start")


@pytest.fixture(autouse=True)
def configured(provider: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    settings.RUNBELL_OIDC = True
    settings.RUNBELL_OIDC_URL = provider
    settings.RUNBELL_OIDC_CLIENT_ID = "runbell"
    settings.RUNBELL_OIDC_CLIENT_SECRET = "s3cret"
    settings.RUNBELL_OIDC_NAME = "Acme single sign-on"
    settings.RUNBELL_PUBLIC_URL = "http://testserver"


def answer_of(client: Client, provider: str, sub: str, *, path: str = START, action: str = "", **claims: Any) -> Any:
    """Through the provider's own page as person `sub`, and back to us."""
    requests.put(f"{provider}/users/{sub}", json=claims, timeout=30).raise_for_status()
    asked = client.get(path)
    assert asked.status_code == 302
    said = requests.post(asked["Location"], data={"sub": sub, "action": action}, allow_redirects=False, timeout=30)
    back = urlsplit(said.headers["Location"])
    assert back.path == FINISH
    return client.get(f"{back.path}?{back.query}")


def home(shop: Acme, client: Client) -> int:
    return client.get(f"/a/{shop.account.pk}/").status_code


def test_the_sign_in_page_has_a_button(shop: Acme, client: Client) -> None:
    page = client.get("/account/login/?next=/a/1/deliveries").content.decode()
    assert "Continue with Acme single sign-on" in page
    assert 'href="/account/sso/?next=%2Fa%2F1%2Fdeliveries"' in page


def test_a_verified_address_signs_in_and_leads_back(shop: Acme, client: Client, provider: str) -> None:
    page = f"/a/{shop.account.pk}/deliveries"
    answer = answer_of(client, provider, "ada", path=f"{START}?next={page}", email="Ada@Acme.test", email_verified=True)
    assert answer["Location"] == page
    assert client.get(page).status_code == 200


def test_what_is_asked_of_the_provider_has_state_nonce_and_pkce(shop: Acme, client: Client) -> None:
    asked = parse_qs(urlsplit(client.get(START)["Location"]).query)
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"http://testserver{FINISH}"]


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"email": "nobody@acme.test", "email_verified": True}, "Nobody here has the address"),
        ({"email": "ada@acme.test", "email_verified": False}, "does not say that your address is verified"),
        ({"email": "ada@acme.test"}, "does not say that your address is verified"),
        ({"email": "ada@acme.test", "email_verified": "false"}, "does not say that your address is verified"),
        ({"email_verified": True}, "does not say that your address is verified"),
        ({"email": "ada@acme.test", "email_verified": True, "nonce": "another"}, "cannot be trusted"),
        ({"email": "ada@acme.test", "email_verified": True, "aud": "another"}, "cannot be trusted"),
        ({"email": "ada@acme.test", "email_verified": True, "aud": "another", "azp": "runbell"}, "cannot be trusted"),
        ({"email": "ada@acme.test", "email_verified": True, "iss": "https://evil.example"}, "cannot be trusted"),
        ({"email": "ada@acme.test", "email_verified": True, "exp": 1}, "cannot be trusted"),
    ],
    ids=["unknown", "unverified", "silent", "false", "no address", "nonce", "audience", "audience azp", "issuer", "expired"],
)
def test_what_is_refused_and_how(shop: Acme, client: Client, provider: str, claims: dict[str, Any], says: str) -> None:
    answer = answer_of(client, provider, "mallory", **claims)
    assert answer.status_code == 403
    assert says in answer.content.decode()
    assert home(shop, client) == 302


def test_turning_back_at_the_provider(shop: Acme, client: Client, provider: str) -> None:
    answer = answer_of(client, provider, "ada", action="deny", email="ada@acme.test", email_verified=True)
    assert "You turned back at Acme single sign-on" in answer.content.decode()
    assert home(shop, client) == 302


def test_an_answer_works_in_the_browser_that_asked_and_once(shop: Acme, client: Client, provider: str) -> None:
    requests.put(f"{provider}/users/ada", json={"email": "ada@acme.test", "email_verified": True}, timeout=30)
    said = requests.post(client.get(START)["Location"], data={"sub": "ada"}, allow_redirects=False, timeout=30)
    path = re.sub(r"^http://testserver", "", said.headers["Location"])
    other = Client()
    assert "cannot be trusted" in other.get(path).content.decode()
    assert client.get(path)["Location"] == "/"
    client.post("/account/logout/")
    assert "cannot be trusted" in client.get(path).content.decode()


def test_a_provider_that_is_down(shop: Acme, client: Client, settings: Settings) -> None:
    settings.RUNBELL_OIDC_URL = "http://127.0.0.1:9"
    answer = client.get(START)
    assert answer.status_code == 503
    assert "does not answer" in answer.content.decode()


def test_a_provider_that_calls_itself_otherwise(shop: Acme, client: Client, provider: str, settings: Settings) -> None:
    settings.RUNBELL_OIDC_URL = provider.replace("://", "://other@")  # the same process, but not the issuer that is set
    answer = answer_of(client, provider, "ada", email="ada@acme.test", email_verified=True)
    assert "cannot be trusted" in answer.content.decode()


def test_next_never_leads_elsewhere(shop: Acme, client: Client, provider: str) -> None:
    answer = answer_of(client, provider, "ada", path=f"{START}?next=https://evil.example/", email="ada@acme.test", email_verified=True)
    assert answer["Location"] == "/"


def test_inactive_people_stay_out(shop: Acme, client: Client, provider: str) -> None:
    User.objects.filter(email="ada@acme.test").update(is_active=False)
    assert "no longer active" in answer_of(client, provider, "ada", email="ada@acme.test", email_verified=True).content.decode()


class TestCreating:
    def test_an_unknown_verified_person_becomes_a_member(self, shop: Acme, client: Client, provider: str, settings: Settings) -> None:
        settings.RUNBELL_OIDC_CREATE = f"{shop.account.pk}:viewer"
        answer_of(client, provider, "grace", email="grace@acme.test", email_verified=True, name="Grace\r\nHopper")
        member = Member.objects.get(user__email="grace@acme.test")
        assert (member.role, member.account, member.user.name) == (Role.VIEWER, shop.account, "Grace Hopper")
        assert not member.user.has_usable_password()
        assert home(shop, client) == 200
        assert "single sign-on" in client.get(f"/a/{shop.account.pk}/settings/sign-in").content.decode()
        assert AuditEntry.objects.filter(action="member.add", subject="grace@acme.test").count() == 1

    def test_not_an_unverified_one_and_nobody_comes_back(self, shop: Acme, client: Client, provider: str, settings: Settings) -> None:
        settings.RUNBELL_OIDC_CREATE = f"{shop.account.pk}:viewer"
        answer_of(client, provider, "grace", email="grace@acme.test", email_verified=False)
        assert not User.objects.filter(email="grace@acme.test").exists()
        Member.objects.filter(user__email="dana@acme.test").update(is_active=False)
        answer_of(client, provider, "dana", email="dana@acme.test", email_verified=True)
        assert home(shop, client) == 404


class TestWithoutPasswords:
    def test_only_single_sign_on_is_left(self, shop: Acme, client: Client, provider: str, settings: Settings) -> None:
        settings.RUNBELL_PASSWORD_SIGN_IN = False
        page = client.get("/account/login/").content.decode()
        assert 'type="password"' not in page
        assert client.post("/account/login/", {"login": "ada@acme.test", "password": PASSWORD}).status_code == 404
        assert client.get("/account/password/reset/").status_code == 404
        answer_of(client, provider, "ada", email="ada@acme.test", email_verified=True)
        assert home(shop, client) == 200
        assert client.get("/account/password/change/").status_code == 404
        assert "Change the password" not in client.get(f"/a/{shop.account.pk}/settings/sign-in").content.decode()

    def test_nothing_is_there_while_it_is_not_set(self, shop: Acme, client: Client, settings: Settings) -> None:
        settings.RUNBELL_OIDC = False
        assert client.get(START).status_code == client.get(FINISH).status_code == 404
        assert "single sign-on" not in client.get("/account/login/").content.decode()


class TestDoctor:
    def ids(self) -> set[str | None]:
        return {found.id for found in single_sign_on()}

    def test_is_content_when_all_is_set(self) -> None:
        assert self.ids() == set()

    @pytest.mark.parametrize(
        ("name", "value", "finding"),
        [
            ("RUNBELL_OIDC_CLIENT_SECRET", "", "runbell.E002"),
            ("RUNBELL_OIDC_CREATE", "viewer", "runbell.E003"),
            ("RUNBELL_OIDC_CREATE", "1:king", "runbell.E003"),
            ("RUNBELL_OIDC_URL", "http://id.acme.example", "runbell.E004"),
        ],
    )
    def test_names_what_is_wrong(self, settings: Settings, name: str, value: str, finding: str) -> None:
        setattr(settings, name, value)
        assert self.ids() == {finding}
        assert name in " ".join(found.msg for found in single_sign_on())


class TestLabel:
    @pytest.mark.parametrize(
        ("name", "language", "says"),
        [
            ("Acme single sign-on", "en", "Continue with Acme single sign-on"),
            ("", "en", "Continue with single sign-on"),
            ("", "ru", "Продолжить через единый вход"),
        ],
    )
    def test_the_button_reads_like_a_sentence(self, shop: Acme, settings: Settings, name: str, language: str, says: str) -> None:
        settings.RUNBELL_OIDC_NAME = name
        assert f"{says}</a>" in Client(headers={"Accept-Language": language}).get("/account/login/").content.decode()
