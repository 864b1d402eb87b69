"""Slack notifications: who may look, start, edit and take over; the owner and their link; forms that come late."""

from urllib.parse import urlencode

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Delivery, Destination, Rule, SlackChannel
from tests.server.matrix_forms import facts, hidden, make_jobs, rules, save, sign_in, text
from tests.server.people import NOW, Acme, acme
from tests.server.slack_shop import TEAM, channel, configured, key, link, second_admin, slack_url, workspace
from tests.server.test_pages import make_run

pytestmark = pytest.mark.django_db
ALL = 0


def client_of(member: object) -> Client:
    client = Client()
    client.force_login(member.user)  # type: ignore[attr-defined]
    return client


class TestStarting:
    def test_the_first_save_makes_the_destination_and_its_owner(self, shop: Acme) -> None:
        team = workspace(shop)
        mine, found = link(team, shop.admin), channel(team)
        client = sign_in(shop)
        page = text(client.get(slack_url(shop, found, edit=1)))
        assert "Nobody has configured this Slack channel. When you save, it is yours" in page
        assert save(client, slack_url(shop, found), [[shop.job.pk, "failed", "off", "on"]], owner=0).status_code == 302
        made = Destination.objects.get(kind="slack")
        assert (made.link, made.address, made.address_key) == (mine, "#data-alerts", "T0000001:C0000001")
        assert (made.settings, made.created_by, made.revision) == ({"channel_id": "C0000001"}, shop.admin, 2)
        assert set(Rule.objects.values_list("destination", "job", "outcome", "set_by")) == {(made.pk, shop.job.pk, "failed", shop.admin.pk)}
        entry = AuditEntry.objects.get(action="notifications.update")
        assert entry.subject == "#data-alerts · Acme HQ"
        assert entry.before == {"environment": "Production · shop"}
        assert entry.after == {"owner": "ada@acme.test", "environment": "Production · shop", "on_failure": [shop.job.pk]}

    def test_without_a_link_of_ones_own_the_page_offers_one(self, shop: Acme) -> None:
        team = workspace(shop)
        link(team, second_admin(shop))
        found, client = channel(team), sign_in(shop)
        page = text(client.get(slack_url(shop, found, edit=1)))
        assert "You have no link to Acme HQ" in page
        assert f'href="/a/{shop.account.pk}/settings/integrations"' in page
        assert ">Edit</a>" not in page
        assert 'type="checkbox"' not in page
        answer = save(client, slack_url(shop, found), [[shop.job.pk, "failed", "off", "on"]], owner=0)
        assert answer.status_code == 409
        assert "You have no link to Acme HQ" in text(answer)
        assert not Destination.objects.filter(kind="slack").exists()

    @pytest.mark.parametrize("dead", ["ended", "broken"])
    def test_a_link_that_does_not_work_is_none(self, shop: Acme, dead: str) -> None:
        team = workspace(shop, broken_because={"code": "slack_token_revoked"} if dead == "broken" else None)
        link(team, shop.admin, ended_at=NOW if dead == "ended" else None)
        found = channel(team)
        assert save(sign_in(shop), slack_url(shop, found), [[shop.job.pk, "failed", "off", "on"]], owner=0).status_code == 409
        assert not Rule.objects.exists()

    @pytest.mark.parametrize(("mark", "words"), [("is_archived", "is archived in Slack"), ("is_private", "is a private Slack channel")])
    def test_what_nobody_can_post_to_is_not_started(self, shop: Acme, mark: str, words: str) -> None:
        team = workspace(shop)
        link(team, shop.admin)
        found, client = channel(team), sign_in(shop)
        SlackChannel.objects.update(**{mark: True})
        page = text(client.get(slack_url(shop, found)))
        assert words in page
        assert ">Edit</a>" not in page
        assert save(client, slack_url(shop, found), [[shop.job.pk, "failed", "off", "on"]], owner=0).status_code == 400
        assert not Destination.objects.filter(kind="slack").exists()

    def test_what_is_not_in_the_account_is_not_found(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        team = workspace(other)
        theirs = channel(team)
        configured(theirs, link(team, other.admin))
        client = sign_in(shop)
        for where in (theirs, "T0000001:C0000009", "T0000001", ":", "x" * 200):
            assert client.get(slack_url(shop, where)).status_code == 404
            assert save(client, slack_url(shop, where), [[shop.job.pk, "failed", "off", "on"]], owner=0).status_code == 404


class TestRoles:
    @pytest.mark.parametrize("role", [Role.DEVELOPER, Role.VIEWER])
    def test_those_who_set_nothing_look_and_see_who_can_change_it(self, shop: Acme, role: Role) -> None:
        team = workspace(shop)
        owner = link(team, second_admin(shop))
        found = channel(team)
        shop.rule(configured(found, owner))
        client = sign_in(shop, role)
        page = text(client.get(slack_url(shop, edit=1)))
        assert "#data-alerts</strong> hears about 1 of 1 jobs" in page
        assert "Configured by <strong>Chen Wei</strong>" in page
        assert "These can change it: ada@acme.test, Chen Wei, nina@acme.test." in page
        assert 'type="checkbox"' not in page
        assert save(client, slack_url(shop, found), [[shop.job.pk, "failed", "on", "off"]], owner=owner.pk).status_code == 403
        assert Rule.objects.count() == 1
        assert client.get(slack_url(shop, channel(team, "other", "C0000002"))).status_code == 404

    def test_a_manager_edits_boxes_and_the_owner_stays(self, shop: Acme) -> None:
        team = workspace(shop)
        owner = link(team, shop.admin)
        found = channel(team)
        destination = configured(found, owner)
        client = sign_in(shop, Role.NOTIFICATION_MANAGER)
        page = text(client.get(slack_url(shop, found, edit=1)))
        assert "That stays so: you edit the boxes only." in page
        assert "Save and take over" not in page
        assert save(client, slack_url(shop, found), [[shop.job.pk, "failed", "off", "on"]], 1, owner=owner.pk).status_code == 302
        destination.refresh_from_db()
        assert (destination.link, destination.revision) == (owner, 2)
        assert Rule.objects.get().set_by == shop.members[Role.NOTIFICATION_MANAGER]
        assert "owner" not in AuditEntry.objects.get(action="notifications.update").after

    def test_a_manager_starts_none(self, shop: Acme) -> None:
        team = workspace(shop)
        link(team, shop.members[Role.NOTIFICATION_MANAGER])  # even with a link, which no manager can get
        found, client = channel(team), sign_in(shop, Role.NOTIFICATION_MANAGER)
        assert client.get(slack_url(shop, found)).status_code == 404
        assert save(client, slack_url(shop, found), [[shop.job.pk, "failed", "off", "on"]], owner=0).status_code == 404
        assert not Destination.objects.filter(kind="slack").exists()

    def test_side_navigation_leads_everybody_here(self, shop: Acme) -> None:
        for role in Role:
            page = text(sign_in(shop, role).get(slack_url(shop)))
            assert 'settings/notifications/slack" aria-current="page"' in page
            assert "Nothing goes to Slack" in page
            assert ('settings/integrations"' in page) == (role is Role.ACCOUNT_ADMIN)


class TestTakingOver:
    def test_it_is_said_before_and_done_by_saving(self, shop: Acme) -> None:
        team = workspace(shop)
        chens, mine = link(team, second_admin(shop)), link(team, shop.admin)
        found = channel(team)
        destination = configured(found, chens)
        client = sign_in(shop)
        page = text(client.get(slack_url(shop, found, edit=1)))
        assert "Configured by <strong>Chen Wei</strong>. When you save, this Slack channel becomes yours" in page
        assert ">Save and take over</button>" in page
        assert hidden(page, "owner") == str(chens.pk)
        answer = save(client, slack_url(shop, found), [[shop.job.pk, "failed", "off", "on"]], 1, owner=chens.pk)
        assert "#data-alerts is sent through your link now." in text(client.get(answer["Location"]))
        destination.refresh_from_db()
        assert (destination.link, destination.revision) == (mine, 2)
        entry = AuditEntry.objects.get(action="notifications.update")
        assert (entry.before["owner"], entry.after["owner"]) == ("Chen Wei", "ada@acme.test")
        told = Delivery.objects.get(purpose="notice")
        assert told.destination
        assert told.destination.member == chens.member
        assert told.message
        assert "ada@acme.test took over the settings of #data-alerts · Acme HQ" in str(told.message.body)

    def test_a_silent_one_is_taken_over_by_one_button_without_a_box(self, shop: Acme) -> None:
        team = workspace(shop)
        chens, mine = link(team, second_admin(shop), ended_at=NOW), link(team, shop.admin)
        found = channel(team)
        destination = configured(found, chens, disabled_because={"code": "slack_unlinked"}, refusals=3)
        shop.rule(destination)
        client = sign_in(shop)
        page = text(client.get(slack_url(shop, found)))
        assert "Nothing is sent to #data-alerts" in page
        assert "Take over with my link" in page
        fields = {name: hidden(page, name) for name in ("revision", "owner")}
        assert client.post(slack_url(shop, found), {**fields, "cells": "[]"}).status_code == 302
        destination.refresh_from_db()
        assert (destination.link, destination.disabled_because, destination.refusals) == (mine, None, 0)
        assert Rule.objects.count() == 1

    def test_a_form_that_said_nothing_of_the_owner_takes_nothing_over(self, shop: Acme) -> None:
        """Chen took it over while Ada, whose it was, was editing."""
        team = workspace(shop)
        chen = second_admin(shop)
        chens, mine = link(team, chen), link(team, shop.admin)
        found = channel(team)
        destination = configured(found, mine)
        client = sign_in(shop)
        shown = hidden(text(client.get(slack_url(shop, found, edit=1))), "owner")
        save(client_of(chen), slack_url(shop, found), [[shop.job.pk, "warned", "off", "on"]], 1, owner=shown)
        answer = save(client, slack_url(shop, found), [[shop.job.pk, "failed", "off", "on"]], 1, owner=shown)
        assert answer.status_code == 409
        page = text(answer)
        assert "Chen Wei has #data-alerts now" in page
        assert "Save and take over" in page
        assert facts(page)["changes"] == [[shop.job.pk, "failed", "off", "on"]]
        destination.refresh_from_db()
        assert destination.link == chens
        assert set(Rule.objects.values_list("outcome", flat=True)) == {"warned"}
        again = {name: hidden(page, name) for name in ("revision", "owner", "cells")}
        assert client.post(slack_url(shop, found), again).status_code == 302
        destination.refresh_from_db()
        assert destination.link == mine
        assert set(Rule.objects.values_list("outcome", flat=True)) == {"warned", "failed"}

    def test_two_first_saves_make_one_owner_and_the_other_is_asked(self, shop: Acme) -> None:
        team = workspace(shop)
        chen = second_admin(shop)
        chens = link(team, chen)
        link(team, shop.admin)
        found = channel(team)
        assert save(client_of(chen), slack_url(shop, found), [[shop.job.pk, "failed", "off", "on"]], owner=0).status_code == 302
        assert save(sign_in(shop), slack_url(shop, found), [[shop.job.pk, "warned", "off", "on"]], owner=0).status_code == 409
        assert Destination.objects.get(kind="slack").link == chens

    def test_whoever_has_it_edits_it_without_a_word_of_owners(self, shop: Acme) -> None:
        team = workspace(shop)
        mine = link(team, shop.admin)
        found = channel(team)
        configured(found, mine)
        page = text(sign_in(shop).get(slack_url(shop, found, edit=1)))
        assert "Configured by <strong>you</strong>" in page
        assert ">Save</button>" in page


class TestSwitchedOff:
    @pytest.mark.parametrize("role", [Role.ACCOUNT_ADMIN, Role.NOTIFICATION_MANAGER])
    def test_one_that_slack_refused_is_sent_to_again(self, shop: Acme, role: Role) -> None:
        """The owner has nothing to take over: it was archived, and is not any more."""
        team = workspace(shop)
        found = channel(team)
        destination = configured(found, link(team, shop.admin), disabled_because={"code": "slack_is_archived"}, refusals=1)
        client = sign_in(shop, role)
        page = text(client.get(slack_url(shop, found)))
        assert "Nothing is sent to #data-alerts" in page
        assert hidden(page, "destination") == str(destination.pk)
        answer = client.post(
            f"/a/{shop.account.pk}/settings/notifications/lift", {"destination": destination.pk, "back": slack_url(shop, found)}
        )
        page = text(client.get(answer["Location"]))
        assert "Messages go to #data-alerts · Acme HQ again." in page
        assert "Nothing is sent" not in page
        assert "Send to it again" not in text(sign_in(shop, Role.VIEWER).get(slack_url(shop, found)))


class TestForms:
    def test_the_plain_form_saves_and_asks_before_clearing_all_jobs(self, shop: Acme) -> None:
        team = workspace(shop)
        mine = link(team, shop.admin)
        found = channel(team)
        shop.rule(configured(found, mine), Outcome.FAILED, environment=True)
        client, where = sign_in(shop), slack_url(shop, found)
        page = text(client.get(f"{where}&edit=1"))
        question = client.post(where, {**{name: hidden(page, name) for name in ("revision", "was", "owner")}, "box": []})
        assert "No longer for all jobs?" in text(question)
        answers = {name: hidden(text(question), name) for name in ("revision", "owner", "cells", "asked")}
        assert client.post(where, {**answers, "keep-failed": "keep"}).status_code == 302
        assert rules() == {(shop.job.pk, None, "failed")}

    def test_boxes_that_differ_are_a_conflict(self, shop: Acme) -> None:
        team = workspace(shop)
        mine = link(team, shop.admin)
        found = channel(team)
        destination = configured(found, mine)
        nina = sign_in(shop, Role.NOTIFICATION_MANAGER)
        save(nina, slack_url(shop, found), [[ALL, "failed", "off", "on"]], 1, owner=mine.pk)
        answer = save(sign_in(shop), slack_url(shop, found), [[shop.job.pk, "failed", "on", "off"]], 1, owner=mine.pk)
        assert answer.status_code == 409
        assert "nina@acme.test saved these settings" in text(answer)
        destination.refresh_from_db()
        assert destination.revision == 2

    def test_a_number_that_is_none_is_refused(self, shop: Acme) -> None:
        team = workspace(shop)
        link(team, shop.admin)
        assert save(sign_in(shop), slack_url(shop, channel(team)), [], owner="x").status_code == 404

    def test_the_page_costs_a_fixed_number_of_queries(self, shop: Acme, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        team = workspace(shop)
        mine = link(team, shop.admin)
        for n in range(40):
            shop.rule(configured(channel(team, f"room-{n:02}", f"C{n:07}"), mine))
        make_jobs(shop, 300)
        client, where = sign_in(shop), slack_url(shop, "T0000001:C0000007", edit=1)
        client.get(where)
        with django_assert_num_queries(14):
            assert client.get(where).status_code == 200


class TestPreview:
    def preview(self, shop: Acme, to: str, **query: str) -> str:
        return f"/a/{shop.account.pk}/settings/notifications/preview?" + urlencode({"to": to, **query})

    def test_everybody_sees_what_is_posted(self, shop: Acme) -> None:
        team = workspace(shop)
        found = channel(team)
        configured(found, link(team, shop.admin))
        shop.job.name = "<b>night</b> & <!channel>"
        shop.job.save()
        for role in Role:
            page = text(sign_in(shop, role).get(self.preview(shop, key(found), outcome="failed")))
            assert "FAILED · &lt;b&gt;night&lt;/b&gt; &amp; &lt;!channel&gt;" in page
            assert "<b>night" not in page
            assert ("Send it as a test" in page) == (role in (Role.ACCOUNT_ADMIN, Role.NOTIFICATION_MANAGER))
        assert f"slack?channel={TEAM}%3AC0000001" in page

    def test_one_that_nobody_has_configured_can_be_looked_at_and_not_tested(self, shop: Acme) -> None:
        team = workspace(shop)
        link(team, shop.admin)
        found, client = channel(team), sign_in(shop)
        page = text(client.get(self.preview(shop, key(found))))
        assert "#data-alerts" in page
        assert "Send it as a test" not in page
        sent = client.post(f"/a/{shop.account.pk}/settings/notifications/test", {"to": key(found)})
        assert (sent.status_code, Delivery.objects.count()) == (404, 0)
        assert not Destination.objects.filter(kind="slack").exists()

    def test_a_test_takes_the_real_way(self, shop: Acme) -> None:
        team = workspace(shop)
        found = channel(team)
        configured(found, link(team, shop.admin))
        client = sign_in(shop, Role.NOTIFICATION_MANAGER)
        page = text(client.get(slack_url(shop, found)))
        assert hidden(page, "to") == key(found)
        for fields in ({}, {"job": str(shop.job.pk), "outcome": "failed"}):
            answer = client.post(f"/a/{shop.account.pk}/settings/notifications/test", {"to": key(found), **fields})
            assert answer.status_code == 302
            assert client.get(answer["Location"]).status_code == 200
        assert set(Delivery.objects.values_list("purpose", "destination__kind", "lane")) == {("test", "slack", f"slack:{team.pk}")}

    @pytest.mark.parametrize("role", [Role.DEVELOPER, Role.VIEWER])
    def test_who_sets_nothing_tests_nothing(self, shop: Acme, role: Role) -> None:
        team = workspace(shop)
        found = channel(team)
        configured(found, link(team, shop.admin))
        client = sign_in(shop, role)
        assert client.post(f"/a/{shop.account.pk}/settings/notifications/test", {"to": key(found)}).status_code == 403
        assert "Send a test" not in text(client.get(slack_url(shop, found)))


class TestLanguageAndZone:
    def path(self, destination: Destination) -> str:
        return f"/a/{destination.account_id}/settings/notifications/slack/{destination.pk}/reader"

    @pytest.mark.parametrize("role", [Role.ACCOUNT_ADMIN, Role.NOTIFICATION_MANAGER])
    def test_are_its_own_and_change_nothing_else(self, shop: Acme, role: Role) -> None:
        team = workspace(shop)
        owner = link(team, second_admin(shop))
        found = channel(team)
        destination, client = configured(found, owner), sign_in(shop, role)
        shop.rule(destination)
        assert f'href="{self.path(destination)}"' in text(client.get(slack_url(shop, found)))
        assert "The account's: UTC" in text(client.get(self.path(destination)))
        answer = client.post(self.path(destination), {"language": "ru", "zone": "Europe/Berlin"})
        assert answer["Location"] == slack_url(shop, found).partition("&env")[0]
        destination.refresh_from_db()
        assert (destination.language, destination.zone, destination.revision) == ("ru", "Europe/Berlin", 2)
        assert (destination.link, destination.rules.count()) == (owner, 1)
        entry = AuditEntry.objects.get(action="notifications.update")
        assert entry.subject == "#data-alerts · Acme HQ"
        assert (entry.before, entry.after) == ({"language": "", "zone": ""}, {"language": "ru", "zone": "Europe/Berlin"})
        client.post(self.path(destination), {"language": "ru", "zone": "Europe/Berlin"})
        assert AuditEntry.objects.filter(action="notifications.update").count() == 1

    def test_messages_are_in_it(self, shop: Acme) -> None:
        team = workspace(shop)
        destination = configured(channel(team), link(team, shop.admin))
        shop.rule(destination)
        sign_in(shop).post(self.path(destination), {"language": "ru", "zone": ""})
        make_run(shop)
        assert Delivery.objects.values_list("message__language", flat=True).get(destination=destination) == "ru"

    @pytest.mark.parametrize("fields", [{"language": "de"}, {"zone": "Mars/Base"}])
    def test_are_from_the_lists(self, shop: Acme, fields: dict[str, str]) -> None:
        team = workspace(shop)
        destination = configured(channel(team), link(team, shop.admin))
        answer = sign_in(shop).post(self.path(destination), fields)
        assert answer.status_code == 400
        assert 'class="error"' in text(answer)
        destination.refresh_from_db()
        assert (destination.language, destination.zone, destination.revision) == ("", "", 1)

    def test_of_other_accounts_and_kinds_there_are_none(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        team = workspace(other)
        theirs, mail = configured(channel(team), link(team, other.admin)), shop.destination()
        client = sign_in(shop)
        for found in (theirs, mail):
            path = f"/a/{shop.account.pk}/settings/notifications/slack/{found.pk}/reader"
            assert client.get(path).status_code == client.post(path, {"language": "ru"}).status_code == 404
