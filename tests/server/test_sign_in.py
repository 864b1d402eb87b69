"""Signing in: limits, no way to find out who is here, no way out to other sites, sessions, the password and its reset."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from runbell.core.permissions import Role
from runbell.server.db.models import AuditEntry, Delivery, User
from runbell.server.web.devices import device
from tests.server.letters import letters
from tests.server.people import PASSWORD, Acme, acme

pytestmark = pytest.mark.django_db
LOGIN, RESET = "/account/login/", "/account/password/reset/"
ADA, NOBODY = "ada@acme.test", "nobody@acme.test"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

ALLAUTH = {  # what of allauth is reachable; the test below fails for any other page of it
    "account_login",
    "account_logout",
    "account_inactive",
    "account_reauthenticate",
    "account_change_password",
    "account_set_password",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "mfa_authenticate",
    "mfa_reauthenticate",
    "mfa_activate_totp",
    "mfa_deactivate_totp",
    "mfa_view_recovery_codes",
    "mfa_generate_recovery_codes",
}
CLOSED = (
    "/account/signup/",
    "/account/email/",
    "/account/confirm-email/",
    "/account/confirm-email/key/",
    "/account/login/code/",
    "/account/login/code/confirm/",
    "/account/2fa/",
    "/account/2fa/webauthn/",
    "/account/recovery-codes/download/",
    "/account/sessions/",
    "/account/social/",
    "/account/3rdparty/",
    "/account/oidc/sso/login/",
)


def sign_in(who: str = ADA, password: str = PASSWORD, **more: str) -> Client:
    client = Client(headers={"User-Agent": FIREFOX})
    answer = client.post(LOGIN, {"login": who, "password": password, **more})
    assert answer.status_code == 302, answer.content.decode()
    return client


def tell(text: bytes, *secrets: str) -> str:
    """A page without what must differ: its CSRF tokens, and the address that was typed."""
    page = re.sub(r'(csrfmiddlewaretoken" value=")\w+', r"\1", text.decode())
    for secret in secrets:
        page = page.replace(secret, "…")
    return page


class TestPages:
    def test_no_other_page_of_allauth_has_an_url(self) -> None:
        def names(patterns: list[URLPattern | URLResolver]) -> Iterator[str | None]:
            for pattern in patterns:
                if isinstance(pattern, URLResolver):
                    yield from names(pattern.url_patterns)
                elif pattern.callback.__module__.startswith("allauth"):  # a wrapped view keeps its module
                    yield pattern.name

        assert set(names(get_resolver().url_patterns)) == ALLAUTH

    @pytest.mark.parametrize("path", CLOSED)
    def test_closed(self, shop: Acme, path: str) -> None:
        client = sign_in()
        assert client.get(path).status_code == client.post(path).status_code == 404
        assert Client().get(path).status_code == 404

    def test_every_template_that_is_shown_is_ours_and_has_nothing_inline(self, shop: Acme) -> None:
        client, visitor = sign_in(), Client()
        client.post("/account/reauthenticate/", {"password": PASSWORD})
        pages = [
            (visitor, LOGIN),
            (visitor, RESET),
            (visitor, f"{RESET}done/"),
            (visitor, f"{RESET}key/1-none/"),
            (visitor, f"{RESET}key/done/"),
        ]
        pages += [(visitor, "/account/inactive/"), (client, "/account/logout/"), (client, "/account/reauthenticate/")]
        pages += [(client, "/account/password/change/"), (client, "/account/app/add/"), (client, "/account/recovery-codes/new/")]
        for who, path in pages:
            answer = who.get(path)
            assert answer.status_code == 200, path
            for template in answer.templates:
                origin = str(template.origin.name)
                assert "runbell/server/web/templates" in origin or "django/forms" in origin, f"{path}: {origin}"
            assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=", answer.content.decode()), path


def test_an_office_behind_one_address_is_not_locked_out_by_one_of_it(shop: Acme, client: Client) -> None:
    for n in range(40):
        client.post(LOGIN, {"login": f"guess{n}@acme.test", "password": "wrong"})
    assert client.post(LOGIN, {"login": ADA, "password": PASSWORD}).status_code == 302


class TestLimits:
    @pytest.fixture(autouse=True)
    def few_tries(self, settings: Settings) -> None:
        settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"login_failed": "10/m/ip,5/300s/key"}

    def test_an_address_is_locked_for_a_while_after_five_wrong_passwords(self, shop: Acme, client: Client) -> None:
        for _ in range(5):
            assert "not correct" in client.post(LOGIN, {"login": ADA, "password": "wrong"}).content.decode()
        locked = client.post(LOGIN, {"login": ADA, "password": PASSWORD})
        assert "Too many failed login attempts" in locked.content.decode()
        assert client.post(LOGIN, {"login": "dana@acme.test", "password": PASSWORD}).status_code == 302

    def test_unknown_addresses_are_locked_alike(self, shop: Acme, client: Client) -> None:
        for _ in range(5):
            client.post(LOGIN, {"login": NOBODY, "password": "wrong"})
        assert "Too many failed login attempts" in client.post(LOGIN, {"login": NOBODY, "password": "wrong"}).content.decode()

    def test_one_computer_cannot_try_many_addresses(self, shop: Acme, client: Client) -> None:
        for n in range(10):
            client.post(LOGIN, {"login": f"guess{n}@acme.test", "password": "wrong"})
        assert "Too many failed login attempts" in client.post(LOGIN, {"login": ADA, "password": PASSWORD}).content.decode()
        elsewhere = Client(REMOTE_ADDR="192.0.2.7")
        assert elsewhere.post(LOGIN, {"login": ADA, "password": PASSWORD}).status_code == 302

    def test_a_forged_header_is_no_other_computer(self, shop: Acme, client: Client) -> None:
        for n in range(11):
            said = client.post(LOGIN, {"login": f"g{n}@acme.test", "password": "no"}, headers={"X-Forwarded-For": f"192.0.2.{n}"})
        assert "Too many failed login attempts" in said.content.decode()

    def test_behind_a_proxy_its_visitors_are_told_apart(self, shop: Acme, client: Client, settings: Settings) -> None:
        settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
        for n in range(11):
            # The last address is what our proxy saw; the ones before it are anybody's words.
            via = {"X-Forwarded-For": f"10.9.8.{n}, 192.0.2.1"}
            said = client.post(LOGIN, {"login": f"g{n}@acme.test", "password": "no"}, headers=via)
        assert "Too many failed login attempts" in said.content.decode()
        other = client.post(LOGIN, {"login": ADA, "password": PASSWORD}, headers={"X-Forwarded-For": "192.0.2.2"})
        assert other.status_code == 302

    def test_asking_for_links_is_limited(self, shop: Acme, client: Client) -> None:
        statuses = [client.post(RESET, {"email": ADA}).status_code for _ in range(6)]
        assert statuses == [302] * 5 + [429]
        assert "Too many tries" in client.post(RESET, {"email": ADA}).content.decode()
        assert len(letters()) == 5

    def test_the_limits_of_many_addresses_are_kept(self, settings: Settings) -> None:
        assert settings.CACHES["default"]["OPTIONS"]["MAX_ENTRIES"] >= 10_000


class CountingHasher(MD5PasswordHasher):
    worked = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.worked += 1
        return super().encode(password, salt)


class TestNobodyLearnsWhoIsHere:
    def test_at_sign_in(self, shop: Acme, settings: Settings) -> None:
        settings.PASSWORD_HASHERS = ["tests.server.test_sign_in.CountingHasher"]
        User.objects.get(email=ADA).set_password(PASSWORD)
        told, worked = [], []
        for who in (ADA, NOBODY):
            CountingHasher.worked = 0
            answer = Client().post(LOGIN, {"login": who, "password": "wrong"})
            told.append((answer.status_code, tell(answer.content, who)))
            worked.append(CountingHasher.worked)
        assert told[0] == told[1]
        assert worked[0] == worked[1] > 0

    def test_at_the_reset(self, shop: Acme) -> None:
        told = []
        for who in (ADA, NOBODY):
            answer = Client().post(RESET, {"email": who}, follow=True)
            told.append((answer.redirect_chain, tell(answer.content, who)))
        assert told[0] == told[1]
        assert [letter.to for letter in letters()] == [ADA]

    def test_an_inactive_person_learns_it_with_the_right_password_alone(self, shop: Acme) -> None:
        User.objects.filter(email=ADA).update(is_active=False)
        wrong = Client().post(LOGIN, {"login": ADA, "password": "wrong"})
        assert tell(wrong.content, ADA) == tell(Client().post(LOGIN, {"login": NOBODY, "password": "wrong"}).content, NOBODY)
        assert Client().post(LOGIN, {"login": ADA, "password": PASSWORD})["Location"] == "/account/inactive/"


class TestNext:
    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example/",
            "//evil.example/",
            "///evil.example",
            "/\\evil.example",
            "http:evil.example",
            "javascript:alert(1)",
            "http://testserver.evil.example/",
            "http://testserver@evil.example/",
            "http://localhost/",  # an allowed host, but not this one
            "http://127.0.0.1:9/",
            "\thttps://evil.example",
        ],
    )
    def test_never_leads_to_another_site(self, shop: Acme, client: Client, url: str) -> None:
        assert client.post(LOGIN, {"login": ADA, "password": PASSWORD, "next": url})["Location"] == "/"

    def test_leads_back_to_where_one_was(self, shop: Acme, client: Client) -> None:
        page = f"/a/{shop.account.pk}/deliveries?state=dead&to=x"
        asked = client.get(page)["Location"]
        form = client.get(asked).content.decode()
        assert 'name="next"' in form
        assert client.post(asked, {"login": ADA, "password": PASSWORD})["Location"] == page

    def test_a_form_sent_too_late_leads_back_to_its_page(self, shop: Acme, client: Client) -> None:
        page = f"/a/{shop.account.pk}/settings/notifications/email"
        late = client.post(f"{page}/unsubscribe", headers={"Referer": f"http://testserver{page}?x=1"})
        assert late["Location"] == f"{LOGIN}?next={page}%3Fx%3D1"
        assert (
            client.post(f"{page}/unsubscribe", headers={"Referer": "https://evil.example/"})["Location"]
            == f"{LOGIN}?next={page}/unsubscribe"
        )


class TestReset:
    def link(self) -> str:
        Client().post(RESET, {"email": "ADA@acme.test"})
        return letters()[-1].link

    def set(self, link: str, password: str = "a new long password") -> int:
        client = Client()
        form = client.get(link)
        if form.status_code != 302:
            return form.status_code
        return client.post(form["Location"], {"password1": password, "password2": password}).status_code

    def test_sets_a_new_password_once_and_ends_all_sessions(self, shop: Acme) -> None:
        before, link = sign_in(), self.link()
        assert self.set(link) == 302
        assert before.get(f"/a/{shop.account.pk}/").status_code == 302
        sign_in(password="a new long password")
        assert "no longer works" in Client().get(link).content.decode()
        assert self.set(link, "yet another password") == 200
        sign_in(password="a new long password")
        assert letters()[-1].subject == "Your password was set anew"
        assert AuditEntry.objects.filter(action="member.password", member=shop.admin).count() == 1

    def test_a_scanner_that_opens_the_link_uses_nothing_up(self, shop: Acme) -> None:
        link = self.link()
        for scanner in (Client(), Client()):
            scanner.get(link, follow=True)
            scanner.head(link)
        assert self.set(link) == 302

    def test_expires(self, shop: Acme, settings: Settings) -> None:
        link = self.link()
        settings.PASSWORD_RESET_TIMEOUT = -1
        assert self.set(link) == 200
        sign_in()

    def test_a_new_password_makes_open_links_void(self, shop: Acme) -> None:
        first, second = self.link(), self.link()
        assert self.set(first) == 302
        assert self.set(second, "yet another password") == 200

    def test_a_weak_password_is_refused_in_words(self, shop: Acme) -> None:
        client = Client()
        form = client.get(self.link())["Location"]
        assert "at least 10 characters" in client.post(form, {"password1": "short", "password2": "short"}).content.decode()
        assert "too similar" in client.post(form, {"password1": "ada@acme.test", "password2": "ada@acme.test"}).content.decode()
        sign_in()

    def test_ends_the_lock_of_wrong_passwords(self, shop: Acme) -> None:
        for _ in range(6):
            Client().post(LOGIN, {"login": ADA, "password": "wrong"})
        assert self.set(self.link()) == 302
        sign_in(password="a new long password")

    def test_the_link_is_under_the_public_name_whatever_host_was_asked(self, shop: Acme, settings: Settings) -> None:
        settings.RUNBELL_PUBLIC_URL = "https://runbell.acme.example"
        Client().post(RESET, {"email": ADA}, headers={"Host": "localhost"})
        assert "https://runbell.acme.example/account/password/reset/key/" in letters()[-1].text
        assert "localhost" not in letters()[-1].text

    def test_goes_to_the_known_spelling_in_the_readers_language(self, shop: Acme) -> None:
        User.objects.filter(email=ADA).update(language="ru")
        Client().post(RESET, {"email": "ADA@ACME.test"}, headers={"Accept-Language": "en"})
        assert (letters()[-1].to, letters()[-1].subject) == (ADA, "Новый пароль")


class TestPasswordChange:
    FORM: ClassVar = {"oldpassword": PASSWORD, "password1": "a new long password", "password2": "a new long password"}

    def test_ends_the_other_sessions_and_keeps_this_one(self, shop: Acme) -> None:
        here, there = sign_in(), sign_in()
        assert here.post("/account/password/change/", self.FORM)["Location"] == "/account/"
        home = f"/a/{shop.account.pk}/"
        assert here.get(home).status_code == 200
        assert there.get(home)["Location"].startswith(LOGIN)
        assert here.get("/account/")["Location"] == f"{home}settings/sign-in"
        assert here.get(f"{home}settings/sign-in").content.decode().count("Firefox on Linux") == 1

    def test_is_audited_everywhere_and_told(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        other.members[Role.VIEWER].user = shop.admin.user
        other.members[Role.VIEWER].save()
        sign_in().post("/account/password/change/", self.FORM)
        entries = AuditEntry.objects.filter(action="member.password")
        assert {(entry.account_id, entry.subject) for entry in entries} == {(shop.account.pk, ADA), (other.account.pk, ADA)}
        assert not [entry for entry in entries if entry.before or entry.after]
        assert (letters()[-1].to, letters()[-1].subject) == (ADA, "Your password was changed")
        assert "127.0.0.1" in letters()[-1].text

    def test_needs_the_old_one(self, shop: Acme) -> None:
        client = sign_in()
        assert client.post("/account/password/change/", {**self.FORM, "oldpassword": "wrong"}).status_code == 200
        sign_in()
        assert not letters()


class TestSessions:
    def page(self, shop: Acme) -> str:
        return f"/a/{shop.account.pk}/settings/sign-in"

    def test_are_listed_with_device_address_and_this_one_first(self, shop: Acme) -> None:
        Client(REMOTE_ADDR="192.0.2.9", headers={"User-Agent": "curl/8"}).post(LOGIN, {"login": ADA, "password": PASSWORD})
        client = sign_in()
        text = client.get(self.page(shop)).content.decode()
        assert text.index("Firefox on Linux") < text.index("This one") < text.index("curl/8") < text.index("192.0.2.9")
        assert "2 browsers" in text

    def test_others_can_be_ended_one_by_one_or_all(self, shop: Acme) -> None:
        here, first, second, third = sign_in(), sign_in(), sign_in(), sign_in()
        key = first.session.session_key
        row = UserSession.objects.get(session_key=key)
        assert here.post(f"{self.page(shop)}/{row.pk}/end")["Location"] == self.page(shop)
        assert [client.get(self.page(shop)).status_code for client in (first, second)] == [302, 200]
        here.post(f"{self.page(shop)}/end")
        assert "2 other sessions were ended" in here.get(self.page(shop)).content.decode()
        assert [client.get(self.page(shop)).status_code for client in (here, second, third)] == [200, 302, 302]

    def test_ending_one_twice_or_this_one_changes_nothing(self, shop: Acme) -> None:
        here = sign_in()
        row = UserSession.objects.get()
        here.post(f"{self.page(shop)}/{row.pk}/end")
        here.post(f"{self.page(shop)}/999/end")
        assert here.get(self.page(shop)).status_code == 200

    def test_nobody_ends_the_session_of_another(self, shop: Acme) -> None:
        dana = sign_in("dana@acme.test")
        row = UserSession.objects.get()
        sign_in().post(f"{self.page(shop)}/{row.pk}/end")
        assert dana.get(f"/a/{shop.account.pk}/").status_code == 200

    def test_last_use_is_noted_with_its_address_but_not_with_every_page(
        self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        client = sign_in()
        client.get("/healthz")
        long_ago = timezone.now() - timedelta(minutes=6)
        UserSession.objects.update(last_seen_at=long_ago)
        client.get("/healthz", REMOTE_ADDR="192.0.2.3")
        assert UserSession.objects.get().last_seen_at == long_ago
        session = client.session
        session["seen_at"] = long_ago.timestamp()
        session.save()
        client.get("/healthz", REMOTE_ADDR="192.0.2.3")
        assert UserSession.objects.get().ip == "192.0.2.3"
        assert UserSession.objects.get().last_seen_at > long_ago
        with django_assert_max_num_queries(2):  # session and user
            client.get("/healthz")

    def test_visitors_and_programs_leave_no_trace(self, shop: Acme, client: Client) -> None:
        client.get(LOGIN)
        client.get("/api/runbell/v1/check", headers={"Authorization": f"Bearer {shop.token}"})
        assert not UserSession.objects.exists()

    @pytest.mark.parametrize(
        ("agent", "name"),
        [
            (FIREFOX, "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML) Chrome/131.0 Safari/537.36 Edg/131.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML) Version/18.0 Safari/605.1.15",
                "Safari on macOS",
            ),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 CriOS/131.0 Safari/604.1", "Chrome on iPhone"),
            ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML) Chrome/131.0 Mobile Safari/537.36", "Chrome on Android"),
            ("curl/8.5.0", "curl/8.5.0"),
            ("", "Unknown browser"),
        ],
    )
    def test_devices_are_named_as_people_call_them(self, agent: str, name: str) -> None:
        assert device(agent) == name


def test_letters_about_signing_in_are_encrypted_and_never_in_the_log_of_an_admin(shop: Acme) -> None:
    Client().post(RESET, {"email": "dana@acme.test"})
    link = letters()[-1].link
    delivery = Delivery.objects.extra(select={"raw": "payload"}).get()
    assert link.encode() not in bytes(delivery.raw)
    admin = sign_in()
    for page in ("deliveries", "mailbox"):
        assert "dana@acme.test" not in admin.get(f"/a/{shop.account.pk}/{page}").content.decode()


class TestEndedSessions:
    def test_are_forgotten_when_somebody_signs_in(self, shop: Acme) -> None:
        for who in (ADA, "dana@acme.test"):
            sign_in(who).get(f"/a/{shop.account.pk}/")
        assert (Session.objects.count(), UserSession.objects.count()) == (2, 2)
        Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
        sign_in()
        assert Session.objects.count() == 1
        assert set(UserSession.objects.filter(user=shop.admin.user).values_list("session_key", flat=True)) <= set(
            Session.objects.values_list("session_key", flat=True)
        )
