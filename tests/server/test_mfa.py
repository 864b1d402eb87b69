"""The second step of signing in: an authenticator app, recovery codes shown once, secrets encrypted at rest."""

import base64
import json
import re

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth
from django.core.cache import cache
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks as OnCommit
from pytest_django import Settings

from runbell.core.fields import BadField
from runbell.core.permissions import Role
from runbell.server import commands
from runbell.server.db.models import AuditEntry
from tests.server.letters import letters
from tests.server.people import PASSWORD, Acme, acme

pytestmark = pytest.mark.django_db
LOGIN, ADD, REMOVE, CODES = "/account/login/", "/account/app/add/", "/account/app/remove/", "/account/recovery-codes/"
ADA = {"login": "ada@acme.test", "password": PASSWORD}


@pytest.fixture
def on_commit(django_capture_on_commit_callbacks: OnCommit) -> OnCommit:
    return django_capture_on_commit_callbacks


def code(secret: str) -> str:
    """What the app shows now; the server takes each code once, so a test that needs another forgets the ones used."""
    cache.clear()
    return str(auth.format_hotp_value(auth.hotp_value(secret, next(iter(auth.yield_hotp_counters_from_time())))))


def signed_in() -> Client:
    client = Client()
    assert client.post(LOGIN, ADA).status_code == 302
    return client


def confirm(client: Client) -> None:
    assert client.post("/account/reauthenticate/", {"password": PASSWORD}).status_code == 302


def switch_on(client: Client) -> tuple[str, list[str]]:
    """The app's secret and the recovery codes."""
    confirm(client)
    page = client.get(ADD).content.decode()
    found = re.search(r'id="secret">(\w+)<', page)
    assert found
    answer = client.post(ADD, {"code": code(found[1])})
    assert answer["Location"] == CODES
    return found[1], re.findall(r"\d{8}|\d{4}[- ]\d{4}", client.get(CODES).content.decode())


class TestSwitchingOn:
    def test_asks_for_the_password_first(self, shop: Acme) -> None:
        client = signed_in()
        assert client.get(ADD)["Location"] == "/account/reauthenticate/?next=%2Faccount%2Fapp%2Fadd%2F"
        assert client.post(ADD, {"code": "123456"}).status_code == 302
        assert not Authenticator.objects.exists()

    def test_shows_a_picture_and_the_secret_without_anything_inline(self, shop: Acme) -> None:
        client = signed_in()
        confirm(client)
        answer = client.get(ADD)
        page = answer.content.decode()
        found = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
        assert found
        assert b"<svg" in base64.b64decode(found[1])
        assert "img-src 'self' data:" in answer["Content-Security-Policy"]
        assert not re.search(r"<script(?! src=)|<style|\sstyle=", page)

    def test_a_wrong_code_switches_nothing_on(self, shop: Acme) -> None:
        client = signed_in()
        confirm(client)
        client.get(ADD)
        assert 'aria-invalid="true"' in client.post(ADD, {"code": "000000"}).content.decode()
        assert not Authenticator.objects.exists()

    def test_secrets_are_encrypted_at_rest(self, shop: Acme) -> None:
        secret, codes = switch_on(signed_in())
        stored = json.dumps([row.data for row in Authenticator.objects.all()])
        assert secret not in stored
        assert len(codes) == 10
        assert not any(code in stored for code in codes)
        kept = Authenticator.objects.get(type="totp").data["secret"]
        assert kept.startswith("gAAAA")  # Fernet

    def test_the_secret_that_is_being_set_up_is_encrypted_too(self, shop: Acme) -> None:
        client = signed_in()
        confirm(client)
        found = re.search(r'id="secret">(\w+)<', client.get(ADD).content.decode())
        assert found
        for _ in range(2):  # also when the page comes back after a wrong code
            assert auth.SECRET_SESSION_KEY in client.session
            assert found[1] not in str(client.session.items())
            assert f'id="secret">{found[1]}<' in client.post(ADD, {"code": "000000"}).content.decode()

    def test_a_key_that_is_no_longer_first_still_opens_them(self, shop: Acme, settings: Settings) -> None:
        from cryptography.fernet import Fernet

        secret, _ = switch_on(signed_in())
        settings.RUNBELL_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.RUNBELL_ENCRYPTION_KEYS]
        client = Client()
        client.post(LOGIN, ADA)
        assert client.post("/account/code/", {"code": code(secret)})["Location"] == "/"

    def test_is_audited_in_every_account_without_secrets_and_told(self, shop: Acme, on_commit: OnCommit) -> None:
        other = acme("Other", "other.test")
        other.members[Role.VIEWER].user = shop.admin.user
        other.members[Role.VIEWER].save()
        client = signed_in()
        with on_commit(execute=True):
            secret, codes = switch_on(client)
        client.post(REMOVE)
        for action in ("member.second_step_on", "member.second_step_off"):
            entries = AuditEntry.objects.filter(action=action)
            assert {(entry.account_id, entry.subject) for entry in entries} == {
                (shop.account.pk, "ada@acme.test"),
                (other.account.pk, "ada@acme.test"),
            }
        assert not AuditEntry.objects.filter(action__startswith="member.second").exclude(before={}, after={}).exists()
        assert [letter.subject for letter in letters()] == ["Sign-in in two steps is on", "Sign-in in two steps is off"]
        assert not any(word in letter.text for letter in letters() for word in (secret, *codes))


class TestRecoveryCodes:
    def test_are_shown_once(self, shop: Acme) -> None:
        client = signed_in()
        _, codes = switch_on(client)
        again = client.get(CODES)
        assert not any(code in again.content.decode() for code in codes)
        assert "10 codes are left" in again.content.decode()
        assert "no-store" in again["Cache-Control"]

    def test_each_signs_in_once(self, shop: Acme) -> None:
        _, codes = switch_on(signed_in())
        client = Client()
        client.post(LOGIN, ADA)
        assert client.post("/account/code/", {"code": codes[0]})["Location"] == "/"
        again = Client()
        again.post(LOGIN, ADA)
        assert again.post("/account/code/", {"code": codes[0]}).status_code == 200
        assert again.post("/account/code/", {"code": codes[1]})["Location"] == "/"
        page = again.get(f"/a/{shop.account.pk}/settings/sign-in").content.decode()
        assert "8 codes are left" in page

    def test_new_ones_make_the_old_void(self, shop: Acme, on_commit: OnCommit) -> None:
        client = signed_in()
        _, old = switch_on(client)
        assert "The 10 codes that are left stop working" in client.get(f"{CODES}new/").content.decode()
        with on_commit(execute=True):
            assert client.post(f"{CODES}new/")["Location"] == CODES
        assert AuditEntry.objects.filter(action="member.recovery_codes").count() == 1
        other = Client()
        other.post(LOGIN, ADA)
        assert other.post("/account/code/", {"code": old[0]}).status_code == 200


class TestSigningIn:
    def test_takes_password_and_code(self, shop: Acme) -> None:
        secret, _ = switch_on(signed_in())
        page = f"/a/{shop.account.pk}/deliveries"
        client = Client()
        assert client.post(f"{LOGIN}?next={page}", ADA)["Location"] == "/account/code/"
        assert client.get(page)["Location"].startswith(LOGIN)  # the password alone opens nothing
        assert "Second step" in client.get("/account/code/").content.decode()
        assert client.post("/account/code/", {"code": code(secret)})["Location"] == page
        assert client.get(page).status_code == 200

    def test_a_code_that_was_seen_is_no_use(self, shop: Acme) -> None:
        secret, _ = switch_on(signed_in())
        now = code(secret)
        first, second = Client(), Client()
        for client in (first, second):
            client.post(LOGIN, ADA)
        assert first.post("/account/code/", {"code": now}).status_code == 302
        assert second.post("/account/code/", {"code": now}).status_code == 200

    def test_guessing_is_limited(self, shop: Acme) -> None:
        _, codes = switch_on(signed_in())
        cache.clear()
        client = Client()
        client.post(LOGIN, ADA)
        for _ in range(5):
            assert "Incorrect code" in client.post("/account/code/", {"code": "000000"}).content.decode()
        assert "Too many" in client.post("/account/code/", {"code": codes[0]}).content.decode()
        elsewhere = Client(REMOTE_ADDR="192.0.2.5")  # the limit is the person's, not the computer's
        elsewhere.post(LOGIN, ADA)
        assert "Too many" in elsewhere.post("/account/code/", {"code": codes[0]}).content.decode()

    def test_a_new_password_by_mail_does_not_skip_it(self, shop: Acme) -> None:
        switch_on(signed_in())
        client = Client()
        client.post("/account/password/reset/", {"email": "ada@acme.test"})
        form = client.get(letters()[-1].link)["Location"]
        client.post(form, {"password1": "a new long password", "password2": "a new long password"})
        assert client.get(f"/a/{shop.account.pk}/").status_code == 302
        assert client.post(LOGIN, {**ADA, "password": "a new long password"})["Location"] == "/account/code/"

    def test_one_can_go_back_and_be_somebody_else(self, shop: Acme) -> None:
        switch_on(signed_in())
        client = Client()
        client.post(LOGIN, ADA)
        assert client.get(LOGIN)["Location"] == "/account/code/"
        client.post("/account/logout/")
        assert client.post(LOGIN, {"login": "dana@acme.test", "password": PASSWORD})["Location"] == "/"


class TestSwitchingOff:
    def test_asks_for_the_password_and_ends_the_codes_too(self, shop: Acme) -> None:
        client = signed_in()
        secret, _ = switch_on(client)
        later = Client()
        later.post(LOGIN, ADA)
        later.post("/account/code/", {"code": code(secret)})
        assert later.post(REMOVE)["Location"].startswith("/account/reauthenticate/")
        assert Authenticator.objects.count() == 2
        assert client.post(REMOVE)["Location"] == "/account/"
        assert not Authenticator.objects.exists()
        assert Client().post(LOGIN, ADA)["Location"] == "/"

    def test_a_code_confirms_as_well_as_the_password(self, shop: Acme) -> None:
        client = signed_in()
        secret, _ = switch_on(client)
        later = Client()
        later.post(LOGIN, ADA)
        later.post("/account/code/", {"code": code(secret)})
        asked = later.get(REMOVE)["Location"]
        assert "Use a code instead" in later.get(asked).content.decode()
        again = later.post("/account/code/again/?next=/account/app/remove/", {"code": code(secret)})
        assert again["Location"] == REMOVE
        assert later.get(REMOVE).status_code == 200


class TestLost:
    """Both the app and the codes: whoever owns the server switches it off."""

    def shell(self, email: str) -> int:
        options = commands.parser().parse_args(["admin", "member", "reset-mfa", email])
        return int(options.command(options))

    def test_the_password_alone_signs_in_again(self, shop: Acme) -> None:
        switch_on(signed_in())
        assert Client().post(LOGIN, ADA)["Location"] == "/account/code/"
        assert self.shell("ADA@acme.test") == 0
        assert not Authenticator.objects.exists()
        assert Client().post(LOGIN, ADA)["Location"] == "/"
        entry = AuditEntry.objects.get(action="member.second_step_reset")
        assert (entry.account, entry.member, entry.subject) == (shop.account, None, "ada@acme.test")

    def test_one_without_it_or_nobody_is_named_and_nothing_is_written(self, shop: Acme) -> None:
        with pytest.raises(BadField, match=r"vera@acme\.test does not sign in in two steps"):
            self.shell("vera@acme.test")
        with pytest.raises(BadField, match=r"nobody signs in as nobody@acme\.test"):
            self.shell("nobody@acme.test")
        assert not AuditEntry.objects.filter(action="member.second_step_reset").exists()
