"""Incoming webhooks of Slack: added by admins, their URL never shown, removed with undo; boxes as for any other destination."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Destination, Rule
from runbell.server.services.slack_channels import run_due
from tests.server.matrix_forms import rules, save, sign_in, text
from tests.server.people import Acme, acme
from tests.server.slack_shop import HOOK, slack_url

pytestmark = pytest.mark.django_db
SECRET = HOOK.format("s3cr3tOfTheHook")


def base(shop: Acme) -> str:
    return f"/a/{shop.account.pk}/settings/notifications/slack/webhooks"


def add(client: Client, shop: Acme, name: str = "#pager", url: str = SECRET, **fields: str) -> Any:
    return client.post(base(shop), {"name": name, "url": url, "language": "", "zone": "", **fields})


@pytest.fixture
def hook(shop: Acme) -> Destination:
    add(sign_in(shop), shop)
    return Destination.objects.get(kind="slack_webhook")


class TestAdding:
    def test_it_is_stored_encrypted_and_shown_by_its_name(self, shop: Acme) -> None:
        client = sign_in(shop)
        answer = add(client, shop, language="ru", zone="Europe/Moscow")
        made = Destination.objects.get(kind="slack_webhook")
        assert answer["Location"] == f"/a/{shop.account.pk}/settings/notifications/slack?channel=w{made.pk}"
        assert (made.address, made.secret, made.language, made.zone) == ("#pager", SECRET, "ru", "Europe/Moscow")
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM runbell_destination WHERE id = %s", [made.pk])
            assert "s3cr3t" not in str(cursor.fetchone())
        page = text(client.get(answer["Location"]))
        assert "Incoming webhooks" in page
        assert "#pager</strong> hears about no job" in page
        assert "s3cr3t" not in page
        assert "s3cr3t" not in text(client.get(f"{base(shop)}/{made.pk}"))
        assert not any("s3cr3t" in f"{entry.before}{entry.after}{entry.subject}" for entry in AuditEntry.objects.all())

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "https://hooks.slack.com",
            "http://hooks.slack.com/services/T1/B1/QuietPlease-s3cr3t",
            "https://hooks.slack.com.evil.example/services/T1/B1/QuietPlease-s3cr3t",
            "https://evil.example/services/T1/B1/QuietPlease-s3cr3t?hooks.slack.com",
            "https://user@hooks.slack.com/services/T1/B1/QuietPlease-s3cr3t",
            "https://hooks.slack.com@evil.example/services/T1/B1/QuietPlease-s3cr3t",
            "https://hooks.slack.com/services/T1/B1/QuietPlease-s3cr3t/../../x",
        ],
    )
    def test_only_slacks_own_urls_are_taken_and_never_repeated(self, shop: Acme, url: str) -> None:
        answer = add(sign_in(shop), shop, url=url)
        assert answer.status_code == 400
        assert "Paste the URL as Slack shows it" in text(answer)
        assert "s3cr3t" not in text(answer)
        assert not Destination.objects.filter(kind="slack_webhook").exists()

    def test_gov_slack_is_slack(self, shop: Acme) -> None:
        assert add(sign_in(shop), shop, url="https://hooks.slack-gov.com/services/T1/B1/x").status_code == 302

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"name": " "}, "Write a name"),
            ({"name": "x" * 81}, "Write a name"),
            ({"language": "tlh"}, "Choose a language"),
            ({"zone": "Mars/Base"}, "There is no time zone"),
        ],
    )
    def test_what_is_wrong_is_named(self, shop: Acme, fields: dict[str, str], words: str) -> None:
        answer = add(sign_in(shop), shop, **fields)
        assert answer.status_code == 400
        assert words in text(answer)

    def test_one_url_is_there_once_in_an_account(self, shop: Acme, hook: Destination) -> None:
        again = add(sign_in(shop), shop, "#other")
        assert again.status_code == 400
        assert "This URL is there already." in text(again)
        other = acme("Other", "other.test")
        assert add(sign_in(other), other).status_code == 302

    @pytest.mark.parametrize("role", [Role.NOTIFICATION_MANAGER, Role.DEVELOPER, Role.VIEWER])
    def test_admins_alone_add_and_change(self, shop: Acme, hook: Destination, role: Role) -> None:
        client = sign_in(shop, role)
        assert add(client, shop, url=HOOK.format("x")).status_code == 403
        for path in ("", "/remove", "/restore"):
            assert client.post(f"{base(shop)}/{hook.pk}{path}", {"name": "x"}).status_code == 403
        hook.refresh_from_db()
        assert (hook.address, hook.state) == ("#pager", 1)

    def test_another_account_sees_nothing_of_it(self, shop: Acme, hook: Destination) -> None:
        other = acme("Other", "other.test")
        client = sign_in(other)
        assert "#pager" not in text(client.get(slack_url(other)))
        assert client.get(slack_url(other, f"w{hook.pk}")).status_code == 404
        assert save(client, slack_url(other, f"w{hook.pk}"), [[other.job.pk, "failed", "off", "on"]], 1).status_code == 404
        for path in ("", "/remove", "/restore"):
            assert client.post(f"{base(other)}/{hook.pk}{path}", {"name": "x"}).status_code == 404


class TestChanging:
    def test_an_empty_url_stays(self, shop: Acme, hook: Destination) -> None:
        answer = sign_in(shop).post(f"{base(shop)}/{hook.pk}", {"name": "#oncall", "url": "", "language": "", "zone": ""})
        assert answer.status_code == 302
        hook.refresh_from_db()
        assert (hook.address, hook.secret, hook.revision) == ("#oncall", SECRET, 2)

    def test_another_url_is_tried_afresh(self, shop: Acme, hook: Destination) -> None:
        Destination.objects.filter(pk=hook.pk).update(disabled_because={"code": "slack_no_service"}, refusals=3)
        new = HOOK.format("another")
        sign_in(shop).post(f"{base(shop)}/{hook.pk}", {"name": "#pager", "url": new, "language": "", "zone": ""})
        hook.refresh_from_db()
        assert (hook.secret, hook.disabled_because, hook.refusals) == (new, None, 0)
        entry = AuditEntry.objects.get(action="notifications.update")
        assert entry.after["url"] == "replaced"

    def test_one_that_was_switched_off_says_so_and_stays_until_then(self, shop: Acme, hook: Destination) -> None:
        Destination.objects.filter(pk=hook.pk).update(disabled_because={"code": "slack_no_service"})
        sign_in(shop).post(f"{base(shop)}/{hook.pk}", {"name": "#renamed", "url": "", "language": "", "zone": ""})
        hook.refresh_from_db()
        assert hook.disabled_because
        assert "Nothing is sent to #renamed" in text(sign_in(shop).get(slack_url(shop, f"w{hook.pk}")))


class TestBoxes:
    @pytest.mark.parametrize("role", [Role.ACCOUNT_ADMIN, Role.NOTIFICATION_MANAGER])
    def test_those_who_set_any_set_them(self, shop: Acme, hook: Destination, role: Role) -> None:
        client, where = sign_in(shop, role), slack_url(shop, f"w{hook.pk}")
        assert ">Edit</a>" in text(client.get(where))
        assert save(client, where, [[shop.job.pk, "failed", "off", "on"]], 1).status_code == 302
        assert rules(hook) == {(shop.job.pk, None, "failed")}

    @pytest.mark.parametrize("role", [Role.DEVELOPER, Role.VIEWER])
    def test_others_look(self, shop: Acme, hook: Destination, role: Role) -> None:
        client, where = sign_in(shop, role), slack_url(shop, f"w{hook.pk}")
        page = text(client.get(where))
        assert "These can change it:" in page
        assert ">Edit</a>" not in page
        assert save(client, where, [[shop.job.pk, "failed", "off", "on"]], 1).status_code == 403
        assert not Rule.objects.exists()


class TestRemoving:
    def test_it_asks_with_the_number_of_rules_and_can_be_undone(self, shop: Acme, hook: Destination) -> None:
        shop.rule(hook)
        shop.rule(hook, Outcome.WARNED)
        client, where = sign_in(shop), f"{base(shop)}/{hook.pk}"
        assert "2 rules go with it" in text(client.get(f"{where}/remove"))
        answer = client.post(f"{where}/remove")
        assert f'action="{where}/restore"' in text(client.get(answer["Location"]))
        assert not Rule.objects.exists()
        assert client.get(slack_url(shop, f"w{hook.pk}")).status_code == 404
        for _ in range(2):
            assert client.post(f"{where}/restore").status_code == 302
        assert Rule.objects.count() == 2
        hook.refresh_from_db()
        assert (hook.state, hook.secret) == (1, SECRET)

    def test_after_a_day_the_url_is_forgotten(self, shop: Acme, hook: Destination) -> None:
        client, where = sign_in(shop), f"{base(shop)}/{hook.pk}"
        client.post(f"{where}/remove")
        due = run_due(timezone.now())
        assert due
        assert abs(due - timezone.now() - timedelta(days=1)) < timedelta(minutes=5)
        assert Destination.objects.get(pk=hook.pk).secret == SECRET
        assert run_due(due) is None
        assert Destination.objects.get(pk=hook.pk).secret == ""

    def test_a_url_that_came_back_otherwise_is_not_restored(self, shop: Acme, hook: Destination) -> None:
        client, where = sign_in(shop), f"{base(shop)}/{hook.pk}"
        client.post(f"{where}/remove")
        add(client, shop, "#new")
        answer = client.post(f"{where}/restore")
        assert answer.status_code == 409
        assert "This URL is there already." in text(answer)
