"""Account settings › Service tokens: made once, shown once, revoked; and what the page never does."""

import logging
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from runbell.core.permissions import Permission, Role
from runbell.server.db.models import AuditEntry, Project, Token
from runbell.server.services.tokens import create_token
from tests.server.people import NOW, Acme, acme
from tests.server.test_pages import sign_in
from tests.server.test_reports import FAILED, STARTED, post

pytestmark = pytest.mark.django_db


def path(shop: Acme, rest: str = "") -> str:
    return f"/a/{shop.account.pk}/settings/tokens{rest}"


def make(shop: Acme, client: Client | None = None, **fields: Any) -> Any:
    form = {"name": "airflow", "can": ["report"], "member": shop.admin.pk, "project": "", "once": "abc"} | fields
    return (client or sign_in(shop)).post(path(shop), form)


def token_in(answer: Any) -> str:
    text = answer.content.decode()
    start = text.index("rb_")
    return str(text[start : start + 44])


class TestMaking:
    def test_it_is_shown_once_and_reports(self, shop: Acme) -> None:
        client = sign_in(shop)
        answer = make(shop, client)
        plain = token_in(answer)
        assert answer.status_code == 200
        assert f"RUNBELL_TOKEN={plain}" in answer.content.decode()
        assert "RUNBELL_URL=http" in answer.content.decode()
        assert "no-store" in answer["Cache-Control"]
        assert plain[12:] not in client.get(path(shop)).content.decode()
        assert post(FAILED, plain).status_code == 201

    def test_a_reload_makes_no_second_one_and_does_not_show_the_first(self, shop: Acme) -> None:
        client = sign_in(shop)
        plain = token_in(make(shop, client))
        again = make(shop, client)
        assert again["Location"] == path(shop)
        page = client.get(path(shop)).content.decode()
        assert "That token was already made" in page
        assert plain[12:] not in page
        assert Token.objects.filter(name="airflow").count() == 1

    def test_the_next_form_makes_the_next_token(self, shop: Acme) -> None:
        client = sign_in(shop)
        assert token_in(make(shop, client)) != token_in(make(shop, client, once="def"))
        assert Token.objects.filter(name="airflow").count() == 2

    def test_the_audit_log_has_all_but_the_secret(self, shop: Acme, caplog: pytest.LogCaptureFixture) -> None:
        project = Project.objects.get()
        with caplog.at_level(logging.DEBUG):
            plain = token_in(make(shop, can=["read", "report"], project=project.pk))
        entry = AuditEntry.objects.get(action="token.create", subject="airflow")
        assert (entry.member, entry.token) == (shop.admin, None)
        assert entry.after == {"can": ["read", "report"], "prefix": plain[3:11], "acts_as": "ada@acme.test", "project": "shop"}
        assert plain[12:] not in str(entry.after) + caplog.text

    def test_held_to_a_project_and_acting_as_a_developer(self, shop: Acme) -> None:
        plain = token_in(make(shop, member=shop.members[Role.DEVELOPER].pk, project=Project.objects.get().pk))
        assert post(FAILED, plain).status_code == 201
        elsewhere = STARTED | {"key": "cli:2", "job": STARTED["job"] | {"project": "other"}}
        assert post(elsewhere, plain).status_code == 404


class TestBadInput:
    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"name": " "}, "1 to 200 characters"),
            ({"name": "x" * 201}, "1 to 200 characters"),
            ({"name": "two\nlines"}, "1 to 200 characters"),
            ({"can": []}, "Choose at least one permission"),
            ({"can": ["all"]}, "Choose at least one permission"),
            ({"member": "0"}, "Choose an active member"),
            ({"member": "ada"}, "Choose an active member"),
            ({"member": "9" * 30}, "Choose an active member"),
            ({"project": "99999"}, "Choose a project"),
        ],
    )
    def test_it_is_said_at_the_field_and_nothing_is_made(self, shop: Acme, fields: dict[str, Any], said: str) -> None:
        answer = make(shop, **fields)
        assert answer.status_code == 422
        assert said in answer.content.decode()
        assert Token.objects.count() == 1

    def test_what_was_typed_stays(self, shop: Acme) -> None:
        text = make(shop, can=[], name="<b>cron</b>").content.decode()
        assert 'value="&lt;b&gt;cron&lt;/b&gt;"' in text

    def test_a_viewer_reports_nothing(self, shop: Acme) -> None:
        answer = make(shop, member=shop.members[Role.VIEWER].pk)
        assert answer.status_code == 422
        assert "“report” is of no use here" in answer.content.decode()

    def test_members_and_projects_of_another_account_are_not_there(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        assert make(shop, member=other.admin.pk).status_code == 422
        assert make(shop, project=other.job.environment.project_id).status_code == 422
        assert not Token.objects.filter(name="airflow").exists()

    def test_a_forged_request_is_refused(self, shop: Acme) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(shop.admin.user)
        assert make(shop, client).status_code == 403
        assert Token.objects.count() == 1


class TestRevoking:
    def test_it_asks_then_refuses_the_token(self, shop: Acme) -> None:
        client, token = sign_in(shop), Token.objects.get()
        asked = client.get(path(shop, f"/{token.pk}/revoke"))
        assert "Revoke “ci”?" in asked.content.decode()
        assert post(FAILED, shop.token).status_code == 201
        for _ in range(2):
            assert client.post(path(shop, f"/{token.pk}/revoke"))["Location"] == path(shop)
        assert post(FAILED, shop.token).status_code == 401
        assert AuditEntry.objects.filter(action="token.revoke").count() == 1
        page = client.get(path(shop)).content.decode()
        assert "1 revoked token" in page
        assert "No machine can report" in page

    def test_last_use_is_written_once_a_minute(self, shop: Acme) -> None:
        post(FAILED, shop.token)
        first = Token.objects.get().last_used_at
        post(FAILED, shop.token)
        assert first is not None
        assert Token.objects.get().last_used_at == first
        assert "just now" in sign_in(shop).get(path(shop)).content.decode()

    def test_a_token_whose_member_left_says_so(self, shop: Acme) -> None:
        create_token(member=shop.members[Role.DEVELOPER], name="old", permissions=[Permission.REPORT], now=NOW)
        shop.members[Role.DEVELOPER].is_active = False
        shop.members[Role.DEVELOPER].save()
        assert "the token is refused" in sign_in(shop).get(path(shop)).content.decode()


class TestDoors:
    @pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER, Role.NOTIFICATION_MANAGER])
    def test_others_may_not(self, shop: Acme, role: Role) -> None:
        client, token = sign_in(shop, role), Token.objects.get()
        rest = f"/{token.pk}/revoke"
        answers = [client.get(path(shop)), make(shop, client), client.get(path(shop, rest)), client.post(path(shop, rest))]
        assert [answer.status_code for answer in answers] == [403] * 4
        assert "settings/tokens" not in client.get(f"/a/{shop.account.pk}/settings/notifications/email").content.decode()
        token.refresh_from_db()
        assert token.revoked_at is None

    def test_strangers_find_nothing(self, shop: Acme) -> None:
        other, token = acme("Other", "other.test"), Token.objects.get(account=shop.account)
        client = sign_in(other)
        assert client.get(path(shop)).status_code == 404
        assert client.post(path(shop, f"/{token.pk}/revoke")).status_code == 404
        assert client.post(path(other, f"/{token.pk}/revoke")).status_code == 404
        assert post(FAILED, shop.token).status_code == 201

    def test_signed_out(self, shop: Acme, client: Client) -> None:
        assert client.get(path(shop))["Location"].startswith("/account/login/")

    def test_as_many_queries_for_many_as_for_one(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        for number in range(20):
            create_token(member=shop.admin, name=f"token {number}", permissions=[Permission.READ], now=NOW)
        client = sign_in(shop)
        client.get(path(shop))
        with django_assert_max_num_queries(6):
            client.get(path(shop))


def test_the_lines_name_the_public_url(shop: Acme, settings: Settings) -> None:
    settings.RUNBELL_PUBLIC_URL = "https://runbell.acme.example"
    assert "RUNBELL_URL=https://runbell.acme.example\n" in make(shop).content.decode()
