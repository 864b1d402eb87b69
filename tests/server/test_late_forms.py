"""Forms that come too late: after the session has ended, or without the token of this browser."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Member, Rule
from runbell.server.services import kept_forms
from runbell.server.services.access import Actor
from tests.server.matrix_forms import hidden, sign_in, text, ticked, url
from tests.server.people import NOW, PASSWORD, Acme, acme

pytestmark = pytest.mark.django_db


class Late:
    """Dana has the plain form open, and her session ends."""

    def __init__(self, shop: Acme) -> None:
        self.shop, self.client, self.where = shop, sign_in(shop, Role.DEVELOPER), url(shop)
        page = self.client.get(f"{self.where}&edit=1").content.decode()
        self.fields = {name: hidden(page, name) for name in ("keep", "revision", "was")}
        self.box = f"{shop.job.pk}:failed"
        self.client.cookies.pop("runbell_session")

    def post(self, **fields: str) -> str:
        """Where it leads: the page for signing in."""
        answer = self.client.post(self.where, self.fields | {"box": self.box} | fields)
        assert answer["Location"].startswith("/account/login/?next=")
        return str(answer["Location"])

    def enter(self, login: str, who: str = "dana@acme.test") -> str:
        """Signs in, and answers with the page that this leads to."""
        client, there = self.client, self.client.get(login).content.decode()
        answer = client.post("/account/login/", {"login": who, "password": PASSWORD, "next": hidden(there, "next").replace("&amp;", "&")})
        return text(client.get(answer["Location"]))


@pytest.fixture
def late(shop: Acme) -> Late:
    return Late(shop)


class TestAfterTheSession:
    def test_what_was_ticked_comes_back_unsaved_and_is_saved_by_save(self, late: Late) -> None:
        page = late.enter(late.post())
        assert "Your session had ended" in page
        assert ticked(page) == [late.box]
        assert not Rule.objects.exists()
        fields = {name: hidden(page, name) for name in ("keep", "revision", "was")}
        assert late.client.post(late.where, fields | {"box": late.box}).status_code == 302
        assert Rule.objects.get().outcome == Outcome.FAILED

    def test_it_comes_back_once(self, late: Late) -> None:
        late.enter(late.post())
        assert ticked(text(late.client.get(f"{late.where}&edit=1"))) == []

    @pytest.mark.parametrize("who", ["ada@acme.test", "nina@acme.test"])
    def test_nobody_else_gets_it(self, late: Late, who: str) -> None:
        page = late.enter(late.post(), who)
        assert "Your session had ended" not in page
        assert ticked(page) == []
        assert "kept_form" not in late.client.session

    def test_it_comes_back_in_its_own_account_alone(self, late: Late) -> None:
        other = acme("Globex", "globex.test")
        Member.objects.filter(user__email="dana@globex.test").delete()
        user = late.shop.members[Role.DEVELOPER].user
        Member.objects.create(account=other.account, user=user, role=Role.DEVELOPER, created_at=NOW)
        late.enter(late.post().replace("next=/a/", "next=/?not="))
        page = text(late.client.get(f"{url(other)}&edit=1"))
        assert "Your session had ended" not in page
        assert ticked(page) == []

    def test_it_waits_for_a_day(self, late: Late) -> None:
        login = late.post()
        session = late.client.session
        session["kept_form"] |= {"at": (timezone.now() - timedelta(days=1, seconds=1)).timestamp()}
        session.save()
        assert "Your session had ended" not in late.enter(login)

    def test_nothing_of_it_can_be_read_in_the_database(self, late: Late) -> None:
        late.post(note="nightly-secret")
        kept = [str(row.get_decoded()) for row in Session.objects.all()]
        assert any("kept_form" in row for row in kept)
        assert not any("nightly-secret" in row or late.box in row for row in kept)

    def test_a_form_that_is_not_pledged_is_not_kept(self, late: Late, settings: Settings) -> None:
        for pledge in ("", "1", kept_forms.pledge(Actor(late.shop.admin))[:-1] + "."):
            late.post(keep=pledge)
            assert "kept_form" not in late.client.session
        late.post(note="x" * kept_forms.LARGEST)
        assert "kept_form" not in late.client.session

    def test_keys_that_are_gone_lose_it_quietly(self, late: Late, settings: Settings) -> None:
        login = late.post()
        settings.RUNBELL_ENCRYPTION_KEYS = ["Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyMTI="]
        assert "Your session had ended" not in late.enter(login)

    def test_what_was_saved_meanwhile_is_not_asked_for_again(self, late: Late, shop: Acme) -> None:
        login = late.post()
        shop.rule(shop.destination(Role.DEVELOPER), Outcome.FAILED)
        page = late.enter(login)
        assert "Your session had ended" not in page


class TestWithoutTheToken:
    def client(self, shop: Acme, language: str) -> Client:
        member = shop.members[Role.DEVELOPER]
        member.user.language = language
        member.user.save()
        client = Client(enforce_csrf_checks=True)
        client.force_login(member.user)
        return client

    @pytest.mark.parametrize(
        ("language", "no_cookie", "old"),
        [("en", "Cookies are needed", "The page was too old"), ("ru", "Нужны cookie", "Страница устарела")],
    )
    def test_the_page_says_why_in_the_readers_language(self, shop: Acme, language: str, no_cookie: str, old: str) -> None:
        client, there = self.client(shop, language), f"/a/{shop.account.pk}/settings/profile"
        answer = client.post(there, {"name": "Mallory"})
        assert answer.status_code == 403
        assert f"<h1>{no_cookie}</h1>" in text(answer)
        client.get(there)
        answer = client.post(there, {"name": "Mallory", "csrfmiddlewaretoken": "x" * 64})
        assert answer.status_code == 403
        assert f"<h1>{old}</h1>" in text(answer)
        assert f'<html lang="{language}"' in text(answer)

    @pytest.mark.parametrize(("accept", "old"), [("en", "The page was too old"), ("ru", "Страница устарела")])
    def test_a_visitors_language_comes_from_the_browser(self, accept: str, old: str) -> None:
        client = Client(enforce_csrf_checks=True, headers={"Accept-Language": accept})
        client.get("/account/login/")
        assert f"<h1>{old}</h1>" in text(client.post("/account/login/", {"login": "ada@acme.test", "password": PASSWORD}))

    def test_a_form_of_before_the_last_sign_in_comes_back_unsaved(self, shop: Acme) -> None:
        client, where = self.client(shop, "en"), url(shop)
        page = client.get(f"{where}&edit=1").content.decode()
        fields = {name: hidden(page, name) for name in ("keep", "revision", "was")}
        answer = client.post(where, fields | {"box": f"{shop.job.pk}:failed", "csrfmiddlewaretoken": "x" * 64})
        assert answer["Location"] == where
        assert ticked(text(client.get(where))) == [f"{shop.job.pk}:failed"]
        assert not Rule.objects.exists()
