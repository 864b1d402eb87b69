"""Account settings › Integrations: linking a Slack workspace, refusals, unlinking; who goes silent and who goes on."""

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from runbell.core.permissions import Role
from runbell.server.db.models import AuditEntry, Delivery, Destination, Member, SlackApp, SlackLink, SlackWorkspace
from runbell.server.services import slack_apps
from tests.fakes.slack import FakeSlack
from tests.server.people import NOW, Acme, acme
from tests.server.slack_links import CALLBACK, admin, come_back, configure, do_link, page, press_link, signed_in, slack_for, the_link
from tests.server.test_pages import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def slack(settings: Settings) -> Iterator[FakeSlack]:
    with slack_for(settings) as found:
        yield found


def waiting(destination: Destination) -> Delivery:
    return Delivery.objects.create(
        account_id=destination.account_id, destination=destination, purpose="run", lane="slack", created_at=NOW, due_at=NOW
    )


class TestLinking:
    def test_it_keeps_the_workspace_and_whose_link_it_is(self, shop: Acme, slack: FakeSlack) -> None:
        text = do_link(sign_in(shop), shop, slack)
        assert "Acme HQ is linked" in text
        assert "Acme HQ, linked by you" in text
        link = the_link(shop.admin)
        team = link.workspace
        assert (team.team_id, team.name, team.client_id) == (slack.acme.id, "Acme HQ", slack.app.client_id)
        assert team.token in slack.tokens
        assert (link.slack_user_id, link.rank, link.ended_at) == (slack.acme.person("ada").id, "primary_owner", None)
        assert team.check_at is not None
        assert team.listing_wanted_at is not None
        entry = AuditEntry.objects.get(action="slack.link")
        assert (entry.subject, entry.member, entry.after) == ("Acme HQ", shop.admin, {"rank": "primary_owner"})

    def test_the_way_to_slack_names_app_scopes_and_way_back(self, shop: Acme, slack: FakeSlack) -> None:
        there = sign_in(shop).get(page(shop, "/slack/link"))["Location"]
        assert there.startswith(f"{slack.url}/oauth/v2/authorize?client_id={slack.app.client_id}&scope=channels%3Aread%2Cchat%3Awrite")
        assert "redirect_uri=https%3A%2F%2Frunbell.acme.example%2Fintegrations%2Fslack%2Fcallback&state=" in there

    def test_a_second_workspace(self, shop: Acme, slack: FakeSlack) -> None:
        other = slack.add_workspace("Partner", "partner")
        other.add_person("pia", "owner")
        client = sign_in(shop)
        do_link(client, shop, slack)
        text = do_link(client, shop, slack, "pia", other)
        assert "Acme HQ, linked by you" in text
        assert "Partner, linked by you" in text
        assert SlackWorkspace.objects.count() == 2

    def test_back_to_the_page_that_offered_it(self, shop: Acme, slack: FakeSlack) -> None:
        client, wanted = sign_in(shop), f"/a/{shop.account.pk}/settings/notifications/slack"
        for asked, got in (
            (wanted, wanted),
            ("https://evil.example/", page(shop)),
            ("//evil.example/", page(shop)),
            ("/account/", page(shop)),
        ):
            state = press_link(client, shop, f"?next={asked}")
            assert come_back(client, slack, slack.acme.person("ada"), state)["Location"] == got

    def test_linking_again_is_no_second_link(self, shop: Acme, slack: FakeSlack) -> None:
        client = sign_in(shop)
        do_link(client, shop, slack)
        do_link(client, shop, slack)
        assert SlackLink.objects.count() == SlackWorkspace.objects.count() == 1


class TestState:
    def test_it_works_once(self, shop: Acme, slack: FakeSlack) -> None:
        client = sign_in(shop)
        state = press_link(client, shop)
        come_back(client, slack, slack.acme.person("ada"), state)
        again = come_back(client, slack, slack.acme.person("ada"), state)
        assert again.status_code == 400
        assert "Slack was not linked" in again.content.decode()
        assert len(slack.called("oauth.v2.access")) == 1

    @pytest.mark.parametrize("state", ["", "wrong", "é" * 500])
    def test_a_wrong_one_is_refused_and_slack_is_not_asked(self, shop: Acme, slack: FakeSlack, state: str) -> None:
        client = sign_in(shop)
        press_link(client, shop)
        assert come_back(client, slack, slack.acme.person("ada"), state).status_code == 400
        assert slack.calls == []

    def test_it_lives_nine_minutes_and_not_eleven(self, shop: Acme, slack: FakeSlack) -> None:
        client = sign_in(shop)
        for minutes, status in ((9, 302), (11, 400)):
            state = press_link(client, shop)
            session = client.session
            states = session["slack_states"]
            for entry in states.values():
                entry["at"] -= minutes * 60
            session["slack_states"] = states
            session.save()
            assert come_back(client, slack, slack.acme.person("ada"), state).status_code == status

    def test_another_browser_cannot_use_it(self, shop: Acme, slack: FakeSlack) -> None:
        state = press_link(sign_in(shop), shop)
        assert come_back(sign_in(shop), slack, slack.acme.person("ada"), state).status_code == 400
        assert come_back(Client(), slack, slack.acme.person("ada"), state).status_code == 400
        assert SlackLink.objects.count() == 0

    def test_somebody_who_signed_in_meanwhile_cannot_use_it(self, shop: Acme, slack: FakeSlack) -> None:
        client = sign_in(shop)
        state = press_link(client, shop)
        session = client.session
        states = session["slack_states"]
        next(iter(states.values()))["user"] = shop.members[Role.VIEWER].user_id
        session["slack_states"] = states
        session.save()
        assert come_back(client, slack, slack.acme.person("ada"), state).status_code == 400

    def test_two_tabs_each_have_their_own(self, shop: Acme, slack: FakeSlack) -> None:
        client = sign_in(shop)
        first, second = press_link(client, shop), press_link(client, shop)
        assert come_back(client, slack, slack.acme.person("ada"), first).status_code == 302
        assert come_back(client, slack, slack.acme.person("ada"), second).status_code == 302

    def test_many_tabs_do_not_fill_the_session(self, shop: Acme, slack: FakeSlack) -> None:
        client = sign_in(shop)
        states = [press_link(client, shop) for _ in range(8)]
        assert len(client.session["slack_states"]) == 5
        assert come_back(client, slack, slack.acme.person("ada"), states[-1]).status_code == 302

    def test_the_session_holds_no_state(self, shop: Acme, slack: FakeSlack) -> None:
        client = sign_in(shop)
        state = press_link(client, shop)
        assert state not in str(dict(client.session))

    def test_who_lost_the_right_meanwhile_links_nothing(self, shop: Acme, slack: FakeSlack) -> None:
        bob = admin(shop, "bob")
        client = signed_in(bob)
        state = press_link(client, shop)
        Member.objects.filter(pk=bob.pk).update(role=Role.DEVELOPER)
        assert come_back(client, slack, slack.acme.person("ada"), state).status_code == 403
        assert SlackLink.objects.count() == 0


class TestRefusals:
    def refused(self, client: Client, shop: Acme) -> str:
        text = str(client.get(page(shop)).content.decode())
        assert "Slack was not linked" in text
        assert "Slack was not linked" not in client.get(page(shop)).content.decode()
        return text

    def test_cancelled_at_slack(self, shop: Acme, slack: FakeSlack) -> None:
        client = sign_in(shop)
        client.get(CALLBACK, {"error": "access_denied", "state": press_link(client, shop)})
        assert "You did not allow the app in Slack" in self.refused(client, shop)
        assert SlackWorkspace.objects.count() == 0

    @pytest.mark.parametrize(
        ("need", "name", "is_linked"),
        [
            *(
                ("owner", name, is_linked)
                for name, is_linked in (("ada", True), ("olga", True), ("adam", False), ("mel", False), ("gus", False))
            ),
            *(("admin", name, is_linked) for name, is_linked in (("olga", True), ("adam", True), ("mel", False), ("gus", False))),
            *(("any", name, is_linked) for name, is_linked in (("adam", True), ("mel", True), ("gus", False))),
        ],
    )
    def test_who_may(self, shop: Acme, slack: FakeSlack, settings: Settings, need: str, name: str, is_linked: bool) -> None:
        settings.RUNBELL_SLACK_REQUIRE = need
        client = sign_in(shop)
        come_back(client, slack, slack.acme.person(name), press_link(client, shop))
        assert SlackLink.objects.exists() == SlackWorkspace.objects.exists() == is_linked
        assert len(slack.called("auth.revoke")) == (not is_linked)
        if not is_linked:
            text = self.refused(client, shop)
            assert {"owner": "not an owner of Acme HQ", "admin": "not an admin of Acme HQ", "any": "a guest in Acme HQ"}[need] in text
            assert "An admin of this account who has that rank in Slack can link it" in text

    def test_a_refused_second_admin_leaves_the_token_that_the_first_needs(self, shop: Acme, slack: FakeSlack) -> None:
        do_link(sign_in(shop), shop, slack)
        client = signed_in(admin(shop, "bob"))
        come_back(client, slack, slack.acme.person("mel"), press_link(client, shop))
        assert slack.called("auth.revoke") == []
        assert slack.tokens[the_link(shop.admin).workspace.token].gone == ""

    def test_nor_that_of_another_account_with_the_same_app(self, shop: Acme, slack: FakeSlack) -> None:
        do_link(sign_in(shop), shop, slack)
        other = acme("Other", "other.test")
        client = sign_in(other)
        come_back(client, slack, slack.acme.person("mel"), press_link(client, other))
        assert slack.called("auth.revoke") == []

    def test_an_install_for_the_whole_organization(self, shop: Acme, slack: FakeSlack) -> None:
        grid = slack.add_workspace("Acme Grid", "grid", enterprise="E123")
        grid.add_person("ada", "primary_owner")
        client = sign_in(shop)
        come_back(client, slack, grid.person("ada"), press_link(client, shop), grid, is_org_wide=True)
        assert "Apps of a whole organization cannot be linked" in self.refused(client, shop)
        assert len(slack.called("auth.revoke")) == 1
        assert SlackWorkspace.objects.count() == 0

    @pytest.mark.parametrize(
        ("word", "said"),
        [
            ("invalid_code", "was used already, or more than ten minutes ago"),
            ("bad_client_secret", "The client secret is not that of the Slack app"),
            ("bad_redirect_uri", "is not among those of the Slack app"),
        ],
    )
    def test_the_exchange_is_refused(self, shop: Acme, slack: FakeSlack, word: str, said: str) -> None:
        slack.refuse(word, method="oauth.v2.access")
        client = sign_in(shop)
        come_back(client, slack, slack.acme.person("ada"), press_link(client, shop))
        assert said in self.refused(client, shop)

    def test_slack_breaks_off_after_the_exchange(self, shop: Acme, slack: FakeSlack) -> None:
        slack.broken(method="users.info")
        client = sign_in(shop)
        come_back(client, slack, slack.acme.person("ada"), press_link(client, shop))
        assert "answered with a page and HTTP 503" in self.refused(client, shop)
        assert SlackWorkspace.objects.count() == 0
        assert len(slack.called("auth.revoke")) == 1

    def test_slack_is_out_of_reach(self, shop: Acme, slack: FakeSlack, settings: Settings) -> None:
        client = sign_in(shop)
        state = press_link(client, shop)
        settings.RUNBELL_SLACK_API_URL = "http://127.0.0.1:1/api/"
        settings.RUNBELL_SUPPORT_CONTACT = "help@acme.example"
        come_back(client, slack, slack.acme.person("ada"), state)
        text = self.refused(client, shop)
        assert "This server does not reach Slack" in text
        assert "Let the server connect to 127.0.0.1:1 by HTTPS, or name a proxy in HTTPS_PROXY" in text
        assert 'href="mailto:help@acme.example"' in text


class TestBeforeLinking:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"RUNBELL_SLACK_CLIENT_ID": ""}, "No Slack app is set"),
            ({"RUNBELL_SLACK_CLIENT_SECRET": ""}, "The client secret of the Slack app is missing"),
            ({"RUNBELL_PUBLIC_URL": "http://runbell.acme.example"}, "is no https address"),
        ],
    )
    def test_the_page_says_what_is_missing(
        self, shop: Acme, slack: FakeSlack, settings: Settings, changes: dict[str, str], said: str
    ) -> None:
        for name, value in changes.items():
            setattr(settings, name, value)
        client = sign_in(shop)
        text = client.get(page(shop)).content.decode()
        assert said in text
        assert page(shop, "/slack/link") not in text
        assert client.get(page(shop, "/slack/link"))["Location"] == page(shop)
        assert "is not set yet" in client.get(page(shop)).content.decode()

    def test_loopback_is_fine_for_trying(self, shop: Acme, slack: FakeSlack, settings: Settings) -> None:
        settings.RUNBELL_PUBLIC_URL = "http://127.0.0.1:8484"
        text = sign_in(shop).get(page(shop)).content.decode()
        assert "good for trying on this machine" in text
        assert page(shop, "/slack/link") in text
        assert "request_url" not in text

    def test_the_manifest_is_filled_with_our_address(self, slack: FakeSlack) -> None:
        text = slack_apps.manifest()
        assert "    - https://runbell.acme.example/integrations/slack/callback\n" in text
        assert "    request_url: https://runbell.acme.example/integrations/slack/events\n" in text
        assert [scope for scope in slack_apps.SCOPES if f"      - {scope}\n" not in text] == []

    def test_others_than_admins_do_not_get_in(self, shop: Acme, slack: FakeSlack) -> None:
        for role in (Role.NOTIFICATION_MANAGER, Role.DEVELOPER, Role.VIEWER):
            client = sign_in(shop, role)
            assert client.get(page(shop)).status_code == client.get(page(shop, "/slack/link")).status_code == 403


class TestApp:
    FORM: ClassVar = {"client_id": "1.2", "client_secret": "topsecret1", "signing_secret": "topsecret2"}

    def test_an_account_may_have_its_own(self, shop: Acme, slack: FakeSlack) -> None:
        client = sign_in(shop)
        assert client.post(page(shop), self.FORM)["Location"] == page(shop)
        app = slack_apps.app_of(shop.account.pk)
        assert (app.client_id, app.client_secret, app.signing_secret, app.is_own) == ("1.2", "topsecret1", "topsecret2", True)
        assert "client_id=1.2&" in client.get(page(shop, "/slack/link"))["Location"]
        assert "topsecret" not in client.get(page(shop)).content.decode()
        entry = AuditEntry.objects.get(action="slack.app")
        assert entry.after == {"client_id": "1.2", "secrets_set": ["client_secret", "signing_secret"]}
        assert "topsecret" not in client.get(f"/a/{shop.account.pk}/settings/audit").content.decode()

    def test_empty_secrets_stay(self, shop: Acme, slack: FakeSlack) -> None:
        client = sign_in(shop)
        client.post(page(shop), self.FORM)
        client.post(page(shop), {"client_id": "1.2", "client_secret": "", "signing_secret": "other"})
        app = slack_apps.app_of(shop.account.pk)
        assert (app.client_secret, app.signing_secret) == ("topsecret1", "other")

    def test_another_app_needs_secrets_of_its_own(self, shop: Acme, slack: FakeSlack) -> None:
        client = sign_in(shop)
        client.post(page(shop), self.FORM)
        answer = client.post(page(shop), {"client_id": "3.4"})
        assert answer.status_code == 422
        assert "another app needs its own" in answer.content.decode()
        assert slack_apps.app_of(shop.account.pk).client_id == "1.2"

    @pytest.mark.parametrize("bad", [{"client_id": ""}, {"client_id": "a b"}, {"client_secret": "x" * 201}, {"signing_secret": "a\nb"}])
    def test_bad_input_names_the_field_and_changes_nothing(self, shop: Acme, slack: FakeSlack, bad: dict[str, str]) -> None:
        answer = sign_in(shop).post(page(shop), self.FORM | bad)
        assert answer.status_code == 422
        assert f'id="{next(iter(bad))}' in answer.content.decode()
        assert 'aria-invalid="true"' in answer.content.decode()
        assert not SlackApp.objects.exists()

    def test_back_to_that_of_the_server(self, shop: Acme, slack: FakeSlack) -> None:
        client = sign_in(shop)
        client.post(page(shop), self.FORM)
        client.post(page(shop, "/slack/app/remove"))
        assert slack_apps.app_of(shop.account.pk).client_id == slack.app.client_id

    def test_it_is_encrypted_at_rest(self, shop: Acme, slack: FakeSlack) -> None:
        from django.db import connection

        sign_in(shop).post(page(shop), self.FORM)
        with connection.cursor() as cursor:
            cursor.execute("SELECT client_secret, signing_secret FROM runbell_slackapp")
            assert "topsecret" not in str(cursor.fetchall())


class TestTwoAdmins:
    """Issue 4, Shows 4: Ada and Bob linked one workspace, and each configured Slack channels."""

    @pytest.fixture
    def bob(self, shop: Acme) -> Member:
        return admin(shop, "bob")

    @pytest.fixture
    def both(self, shop: Acme, slack: FakeSlack, bob: Member) -> dict[str, Destination]:
        do_link(sign_in(shop), shop, slack, "ada")
        do_link(signed_in(bob), shop, slack, "olga")
        return {
            "data-alerts": configure(shop, shop.admin, slack.acme.channel("data-alerts")),
            "data-platform": configure(shop, shop.admin, slack.acme.channel("data-platform")),
            "finance-close": configure(shop, bob, slack.acme.channel("finance-close")),
        }

    def unlink(self, client: Client, shop: Acme, member: Member) -> Any:
        return client.post(page(shop, f"/slack/{the_link(member).pk}/unlink"))

    def test_the_dialog_says_what_goes_silent_and_what_goes_on(self, shop: Acme, both: dict[str, Destination]) -> None:
        text = sign_in(shop).get(page(shop, f"/slack/{the_link(shop.admin).pk}/unlink")).content.decode()
        silent, goes_on = text.split("1 goes on")
        assert "2 Slack channels go silent" in silent
        assert re.search(r"data-alerts<small>1 rule, Production", silent)
        assert "data-platform" in silent
        assert "finance-close" in goes_on
        assert "configured by bob@acme.test" in goes_on
        assert "last link" not in goes_on

    def test_a_unlinks_and_bs_go_on(self, shop: Acme, slack: FakeSlack, bob: Member, both: dict[str, Destination]) -> None:
        mine, theirs = waiting(both["data-alerts"]), waiting(both["finance-close"])
        client = sign_in(shop)
        assert self.unlink(client, shop, shop.admin)["Location"] == page(shop)
        link = the_link(shop.admin)
        assert link.ended_at is not None
        assert link.ended_because is not None
        assert (link.ended_because["code"], link.ended_because["params"]["who"]) == ("slack_unlinked", "ada@acme.test")
        mine.refresh_from_db()
        theirs.refresh_from_db()
        assert (mine.state, mine.last_because) == ("suppressed", link.ended_because)
        assert theirs.state == "queued"
        assert the_link(bob).ended_at is None
        assert slack.called("auth.revoke") == []
        assert slack.tokens[the_link(bob).workspace.token].gone == ""
        assert Destination.objects.filter(rules__isnull=False).count() == 3  # rules are kept
        text = client.get(page(shop)).content.decode()
        assert "ada@acme.test removed the Slack link that it was sent through (" in text
        assert AuditEntry.objects.get(action="slack.unlink").subject == "Acme HQ"

    def test_a_links_again_and_finds_what_nobody_took_over(
        self, shop: Acme, slack: FakeSlack, bob: Member, both: dict[str, Destination]
    ) -> None:
        client = sign_in(shop)
        self.unlink(client, shop, shop.admin)
        Destination.objects.filter(pk=both["data-platform"].pk).update(link=the_link(bob))
        text = do_link(client, shop, slack, "ada")
        assert "Acme HQ is linked. 1 Slack channel gets messages again" in text
        assert the_link(shop.admin).ended_at is None
        assert Destination.objects.get(pk=both["data-alerts"].pk).link == the_link(shop.admin)
        assert Destination.objects.get(pk=both["data-platform"].pk).link == the_link(bob)

    def test_b_unlinks_last_and_the_token_goes(self, shop: Acme, slack: FakeSlack, bob: Member, both: dict[str, Destination]) -> None:
        token = the_link(bob).workspace.token
        self.unlink(sign_in(shop), shop, shop.admin)
        client = signed_in(bob)
        assert "It is the last link" in client.get(page(shop, f"/slack/{the_link(bob).pk}/unlink")).content.decode()
        self.unlink(client, shop, bob)
        assert slack.tokens[token].gone == "token_revoked"
        team = the_link(bob).workspace
        assert (team.token, team.check_at) == ("", None)

    def test_the_last_one_while_slack_is_away_goes_later(
        self, shop: Acme, slack: FakeSlack, bob: Member, both: dict[str, Destination]
    ) -> None:
        self.unlink(sign_in(shop), shop, shop.admin)
        slack.broken(method="auth.revoke", times=1)
        self.unlink(signed_in(bob), shop, bob)
        team = the_link(bob).workspace
        assert team.token
        assert team.check_at is not None
        assert team.check_at <= timezone.now()

    def test_another_account_that_shares_the_app_keeps_the_token(
        self, shop: Acme, slack: FakeSlack, bob: Member, both: dict[str, Destination]
    ) -> None:
        other = acme("Other", "other.test")
        do_link(sign_in(other), other, slack, "ada")
        self.unlink(sign_in(shop), shop, shop.admin)
        self.unlink(signed_in(bob), shop, bob)
        assert slack.called("auth.revoke") == []
        assert slack.tokens[the_link(other.admin).workspace.token].gone == ""

    def test_nobody_unlinks_anothers_link(self, shop: Acme, slack: FakeSlack, bob: Member, both: dict[str, Destination]) -> None:
        assert self.unlink(sign_in(shop), shop, bob).status_code == 404
        assert the_link(bob).ended_at is None

    def test_an_ended_link_cannot_be_ended_again(self, shop: Acme, slack: FakeSlack, both: dict[str, Destination]) -> None:
        client = sign_in(shop)
        self.unlink(client, shop, shop.admin)
        assert self.unlink(client, shop, shop.admin).status_code == 404


def test_the_page_costs_a_fixed_number_of_queries(shop: Acme, slack: FakeSlack, django_assert_num_queries: Any) -> None:
    client = sign_in(shop)
    do_link(client, shop, slack)
    for name in ("data-alerts", "data-platform", "finance-close", "shop-ops"):
        configure(shop, shop.admin, slack.acme.channel(name))
    with django_assert_num_queries(9):
        client.get(page(shop))
