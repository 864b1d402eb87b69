"""What is found without events: the daily check of tokens and people, renewal of tokens, and the mail to whoever's channels went silent."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from runbell.channels.slack_errors import SlackTrouble, TroubleKind
from runbell.core.because import Because
from runbell.server.db.models import AuditEntry, Delivery, Destination, Member, SlackWorkspace
from runbell.server.services import slack_checks, slack_links
from runbell.server.services.slack_tokens import AGAIN, RENEW_BEFORE
from runbell.server.worker.chores import Chores
from tests.fakes.slack import FakeSlack
from tests.server.people import NOW, Acme, acme
from tests.server.slack_links import admin, configure, do_link, page, signed_in, slack_for, the_link
from tests.server.test_pages import sign_in
from tests.server.test_slack_links import waiting

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def slack(settings: Settings) -> Iterator[FakeSlack]:
    with slack_for(settings) as found:
        yield found


@pytest.fixture
def alerts(shop: Acme, slack: FakeSlack) -> Destination:
    """Ada linked the workspace and configured a Slack channel."""
    do_link(sign_in(shop), shop, slack)
    return configure(shop, shop.admin, slack.acme.channel("data-alerts"))


@pytest.fixture
def bob(shop: Acme, slack: FakeSlack, alerts: Destination) -> Member:
    """Linked too."""
    bob = admin(shop, "bob")
    do_link(signed_in(bob), shop, slack, "olga")
    configure(shop, bob, slack.acme.channel("finance-close"))
    return bob


def team() -> SlackWorkspace:
    return SlackWorkspace.objects.get()


def tomorrow() -> datetime:
    return timezone.now() + DAY + timedelta(minutes=1)


def told() -> list[Delivery]:
    return list(Delivery.objects.filter(purpose="notice").select_related("destination__member__user", "message").order_by("pk"))


class TestDaily:
    def test_nothing_is_asked_before_it_is_due(self, slack: FakeSlack, alerts: Destination) -> None:
        before = len(slack.calls)
        assert slack_checks.run_due(timezone.now()) == team().check_at
        assert len(slack.calls) == before

    def test_all_well(self, shop: Acme, slack: FakeSlack, alerts: Destination) -> None:
        slack.acme.name = "Acme Headquarters"
        now = tomorrow()
        slack_checks.run_due(now)
        found = team()
        assert (found.name, found.url) == ("Acme Headquarters", "https://acme.slack.com/")
        assert (found.checked_at, found.check_at) == (now, now + DAY)
        assert the_link(shop.admin).checked_at == now
        assert told() == []

    def test_what_another_worker_has_claimed_is_left_alone(self, slack: FakeSlack, alerts: Destination) -> None:
        now, before = tomorrow(), len(slack.called("users.info"))
        assert SlackWorkspace.objects.filter(check_at__lte=now).update(check_at=now + slack_checks.LEASE) == 1
        slack_checks.run_due(now)
        assert len(slack.called("users.info")) == before
        slack_checks.run_due(now + slack_checks.LEASE)  # that worker died
        assert len(slack.called("users.info")) == before + 1

    def test_what_an_event_asks_for_during_a_check_is_looked_at_next(
        self, monkeypatch: pytest.MonkeyPatch, slack: FakeSlack, alerts: Destination
    ) -> None:
        now, look = tomorrow(), slack_checks._person

        def look_and_hear(*args: Any) -> Any:
            SlackWorkspace.objects.update(check_at=now)
            return look(*args)

        monkeypatch.setattr(slack_checks, "_person", look_and_hear)
        assert slack_checks.run_due(now) == now
        assert team().checked_at == now

    def test_demoted_in_slack(self, shop: Acme, slack: FakeSlack, alerts: Destination, bob: Member) -> None:
        late = waiting(alerts)
        slack.demote(slack.acme.person("ada"))
        slack_checks.run_due(tomorrow())
        link = the_link(shop.admin)
        assert link.ended_because is not None
        assert link.ended_because["code"] == "slack_not_owner"
        late.refresh_from_db()
        assert (late.state, late.last_because) == ("suppressed", link.ended_because)
        assert the_link(bob).ended_at is None
        assert slack.called("auth.revoke") == []
        assert AuditEntry.objects.get(action="slack.link_end").after["through"] == "Slack"
        assert [delivery.destination.member for delivery in told() if delivery.destination] == [shop.admin]
        text = sign_in(shop).get(page(shop)).content.decode()
        assert "ada@acme.test is not an owner of the Slack workspace any more" in text
        assert "Link again" in text

    @pytest.mark.parametrize("act", ["deactivate", "leave"])
    def test_gone_from_slack(self, shop: Acme, slack: FakeSlack, alerts: Destination, act: str) -> None:
        person = slack.acme.person("ada")
        if act == "deactivate":
            slack.deactivate(person)
        else:
            del slack.acme.people[person.id]
        slack_checks.run_due(tomorrow())
        assert the_link(shop.admin).ended_at is not None

    def test_the_last_link_that_ends_takes_the_token_along(self, slack: FakeSlack, alerts: Destination) -> None:
        token, now = team().token, tomorrow()
        slack.demote(slack.acme.person("ada"))
        slack_checks.run_due(now)
        slack_checks.run_due(now)
        assert slack.tokens[token].gone == "token_revoked"
        assert team().token == ""
        assert team().check_at is None

    @pytest.mark.parametrize(("act", "code"), [("uninstall", "slack_account_inactive"), ("revoke", "slack_token_revoked")])
    def test_uninstalled_or_revoked(self, shop: Acme, slack: FakeSlack, alerts: Destination, bob: Member, act: str, code: str) -> None:
        late = waiting(alerts)
        getattr(slack, act)(slack.acme)
        slack_checks.run_due(tomorrow())
        found = team()
        assert found.broken_because is not None
        assert (found.broken_because["code"], found.token, found.check_at) == (code, "", None)
        late.refresh_from_db()
        assert late.state == "suppressed"
        assert {delivery.destination.member for delivery in told() if delivery.destination} == {shop.admin, bob}
        assert "The app was removed from this Slack workspace" in sign_in(shop).get(page(shop)).content.decode()

    def test_linking_again_brings_back_everybodys(self, shop: Acme, slack: FakeSlack, alerts: Destination, bob: Member) -> None:
        slack.uninstall(slack.acme)
        slack_checks.run_due(tomorrow())
        text = do_link(signed_in(bob), shop, slack, "olga")
        assert "2 Slack channels get messages again" in text
        assert team().broken_because is None
        assert the_link(shop.admin).ended_at is None

    def test_slack_away_says_nothing_of_the_workspace(self, shop: Acme, slack: FakeSlack, alerts: Destination) -> None:
        slack.broken(method="auth.test")
        now = tomorrow()
        slack_checks.run_due(now)
        assert team().broken_because is None
        assert team().check_at == now + AGAIN
        assert told() == []
        assert "answered with a page and HTTP 503" in sign_in(shop).get(page(shop)).content.decode()

    def test_retry_after_is_honoured(self, slack: FakeSlack, alerts: Destination) -> None:
        slack.busy(1800, method="auth.test")
        now = tomorrow()
        slack_checks.run_due(now)
        assert team().check_at == now + timedelta(seconds=1800)

    def test_what_was_forbidden_for_a_while_works_again(self, slack: FakeSlack, alerts: Destination) -> None:
        slack.refuse("accesslimited", method="auth.test")
        now = tomorrow()
        slack_checks.run_due(now)
        assert team().broken_because == {"code": "slack_accesslimited", "params": {}}
        assert team().token
        slack.heal()
        slack_checks.run_due(now + DAY)
        assert team().broken_because is None

    def test_told_once_a_day_at_most(self, slack: FakeSlack, alerts: Destination) -> None:
        now = timezone.now()
        for hours, count in ((0, 1), (1, 1), (23, 1), (25, 2)):
            at = now + timedelta(hours=hours)
            slack_links.workspace_broke(team().pk, Because("slack_accesslimited"), now=at)
            found = team()
            slack_links.workspace_works(found, now=at)
            found.save()
            assert len(told()) == count

    def test_trouble_that_lasts_is_told_once(self, slack: FakeSlack, alerts: Destination) -> None:
        slack.refuse("accesslimited", method="auth.test")
        for days in range(1, 5):
            slack_checks.run_due(timezone.now() + days * (DAY + timedelta(minutes=1)))
        assert len(slack.called("auth.test")) == 4
        assert len(told()) == 1

    def test_the_mail_says_what_is_silent_and_the_way_out(self, slack: FakeSlack, alerts: Destination) -> None:
        slack_links.workspace_broke(team().pk, Because("slack_token_revoked"), now=NOW)
        (delivery,) = told()
        assert delivery.message is not None
        assert "SLACK STOPPED" in str(delivery.message.body)
        assert "Acme HQ: #data-alerts." in str(delivery.message.body)
        assert "Link the workspace again" in str(delivery.message.body)

    def test_who_configured_nothing_is_not_told(self, shop: Acme, slack: FakeSlack) -> None:
        do_link(sign_in(shop), shop, slack)
        slack_links.workspace_broke(team().pk, Because("slack_token_revoked"), now=NOW)
        assert told() == []

    def test_the_button_checks_at_once(self, shop: Acme, slack: FakeSlack, alerts: Destination) -> None:
        slack.demote(slack.acme.person("ada"))
        client = sign_in(shop)
        assert client.post(page(shop, "/slack/check")).status_code == 302
        assert the_link(shop.admin).ended_at is not None
        for _ in range(6):
            client.post(page(shop, "/slack/check"))
        assert "That is enough checks for now" in client.get(page(shop)).content.decode()


class TestRotation:
    @pytest.fixture(autouse=True)
    def rotating(self, slack: FakeSlack) -> None:
        slack.app.has_rotation = True

    def test_a_token_is_renewed_before_it_runs_out(self, slack: FakeSlack, alerts: Destination) -> None:
        before = team()
        assert before.token_expires_at is not None
        assert before.check_at == before.token_expires_at - RENEW_BEFORE
        now = before.check_at
        slack_checks.run_due(now)
        after = team()
        assert after.token != before.token
        assert after.refresh_token != before.refresh_token
        assert after.token_expires_at == now + timedelta(hours=12)
        assert after.check_at == now + timedelta(hours=10)
        assert [call.token for call in slack.called("auth.test")][-1] == after.token  # written, then used

    def test_twelve_renewals_in_a_row(self, slack: FakeSlack, alerts: Destination) -> None:
        for _ in range(12):
            now = team().check_at
            assert now is not None
            slack.forward(seconds=max(0.0, now.timestamp() - slack.now))
            slack_checks.run_due(now)
        assert team().broken_because is None
        assert slack.tokens[team().token].gone == ""

    def test_trouble_while_the_old_one_holds_only_makes_it_try_again(self, slack: FakeSlack, alerts: Destination) -> None:
        slack.refuse("invalid_refresh_token", method="oauth.v2.access")
        now = team().check_at
        assert now is not None
        slack_checks.run_due(now)
        assert team().broken_because is None
        assert team().check_at == now + AGAIN

    def test_a_refresh_token_that_was_used_up_breaks_it_once_the_old_one_is_over(self, slack: FakeSlack, alerts: Destination) -> None:
        slack.refreshers.clear()
        slack.forward(hours=13)
        slack_checks.run_due(datetime.fromtimestamp(slack.now, UTC))
        found = team()
        assert found.broken_because is not None
        assert found.broken_because["code"] == "slack_invalid_refresh_token"

    def test_a_token_that_ran_out_while_the_worker_was_away_is_renewed_first(self, slack: FakeSlack, alerts: Destination) -> None:
        slack.forward(hours=13)
        now = datetime.fromtimestamp(slack.now, UTC)
        slack_links.workspace_broke(team().pk, Because("slack_token_expired"), now=now)
        assert (team().broken_because, team().check_at) == (None, now)
        slack_checks.run_due(now)
        assert team().broken_because is None
        assert slack.tokens[team().token].gone == ""

    def test_who_links_anew_while_a_check_runs_wins(self, slack: FakeSlack, alerts: Destination) -> None:
        """What was seen with the token of before is forgotten, also that it was bad."""
        old = team()
        SlackWorkspace.objects.filter(pk=old.pk).update(token="xoxb-QuietPlease-newer")
        slack_checks._take_trouble(old, SlackTrouble(Because("slack_token_revoked"), TroubleKind.INSTALLATION), timezone.now())
        assert (team().broken_because, team().token) == (None, "xoxb-QuietPlease-newer")


class TestRotationInTwoAccounts:
    """One app in one workspace: Slack lets two of its tokens live, and a third ends the oldest."""

    @pytest.fixture
    def other(self, shop: Acme, slack: FakeSlack) -> Acme:
        slack.app.has_rotation = True
        do_link(sign_in(shop), shop, slack)
        other = acme("Other", "other.test")
        do_link(sign_in(other), other, slack)
        return other

    def live(self, slack: FakeSlack) -> set[str]:
        """What the accounts post with: one token, and it lives."""
        found = set(SlackWorkspace.objects.values_list("token", "refresh_token", "token_expires_at"))
        assert len(found) == 1
        [(token, refresh, _)] = found
        assert slack.tokens[token].gone == ""
        assert refresh in slack.refreshers
        return {token}

    def test_linking_again_and_again_in_one_ends_no_token_of_the_other(self, shop: Acme, slack: FakeSlack, other: Acme) -> None:
        for _ in range(4):
            do_link(sign_in(shop), shop, slack)
            self.live(slack)

    def test_one_renews_for_both(self, slack: FakeSlack, other: Acme) -> None:
        for _ in range(4):
            before, calls = self.live(slack), len(slack.called("oauth.v2.access"))
            due = SlackWorkspace.objects.earliest("token_expires_at").token_expires_at
            assert due is not None
            now = due - RENEW_BEFORE
            slack.forward(seconds=max(0.0, now.timestamp() - slack.now))
            SlackWorkspace.objects.update(check_at=now)
            slack_checks.run_due(now)
            assert self.live(slack) != before
            assert len(slack.called("oauth.v2.access")) == calls + 1
            assert not SlackWorkspace.objects.exclude(broken_because=None).exists()

    def test_the_other_one_does_it_when_the_first_does_not(self, shop: Acme, slack: FakeSlack, other: Acme) -> None:
        theirs = SlackWorkspace.objects.get(account=other.account)
        before = self.live(slack)
        assert theirs.token_expires_at is not None
        slack_checks.check(theirs.pk, now=theirs.token_expires_at - RENEW_BEFORE)
        assert self.live(slack) == before
        slack_checks.check(theirs.pk, now=theirs.token_expires_at - RENEW_BEFORE / 2)
        assert self.live(slack) != before

    def test_who_comes_second_with_a_used_refresh_token_breaks_nothing(self, shop: Acme, slack: FakeSlack, other: Acme) -> None:
        """Both workers read it, then the first renews and both old tokens are over."""
        mine, theirs = (SlackWorkspace.objects.get(account=one.account) for one in (shop, other))
        slack.forward(hours=13)
        now = datetime.fromtimestamp(slack.now, UTC)
        late = SlackWorkspace.objects.select_related("account").get(pk=theirs.pk)
        slack_checks.check(mine.pk, now=now)
        slack_checks._renew(late, now)
        assert {late.token} == self.live(slack)

    def test_unlinking_in_one_leaves_the_token_to_the_other(self, shop: Acme, slack: FakeSlack, other: Acme) -> None:
        sign_in(shop).post(page(shop, f"/slack/{the_link(shop.admin).pk}/unlink"))
        theirs = SlackWorkspace.objects.get(account=other.account)
        assert slack.tokens[theirs.token].gone == ""
        assert SlackWorkspace.objects.get(account=shop.account).token == ""
        sign_in(other).post(page(other, f"/slack/{the_link(other.admin).pk}/unlink"))
        assert slack.tokens[theirs.token].gone == "token_revoked"

    def test_one_that_is_unlinked_gets_no_token_of_the_other(self, shop: Acme, slack: FakeSlack, other: Acme) -> None:
        sign_in(other).post(page(other, f"/slack/{the_link(other.admin).pk}/unlink"))
        do_link(sign_in(shop), shop, slack)
        assert SlackWorkspace.objects.get(account=other.account).token == ""


class TestOurSide:
    def test_demoted_here(self, shop: Acme, slack: FakeSlack, alerts: Destination, bob: Member) -> None:
        late, client = waiting(alerts), signed_in(bob)
        path = f"/a/{shop.account.pk}/settings/members/{shop.admin.pk}/role"
        asked = client.post(path, {"role": "developer"})
        text = asked.content.decode()
        assert "1 Slack channel goes silent" in text
        assert "data-alerts" in text
        assert 'name="take_over"' in text
        assert the_link(shop.admin).ended_at is None
        client.post(path, {"role": "developer", "sure": "1"})
        link = the_link(shop.admin)
        assert link.ended_because is not None
        assert (link.ended_because["code"], link.ended_because["params"]["who"]) == ("slack_no_admin", "ada@acme.test")
        late.refresh_from_db()
        assert late.state == "suppressed"
        alerts.refresh_from_db()
        assert alerts.link == link
        assert the_link(bob).ended_at is None

    @pytest.mark.parametrize("act", ["role", "deactivate"])
    def test_taken_over_there_and_then(self, shop: Acme, slack: FakeSlack, alerts: Destination, bob: Member, act: str) -> None:
        late = waiting(alerts)
        answer = signed_in(bob).post(
            f"/a/{shop.account.pk}/settings/members/{shop.admin.pk}/{act}", {"role": "viewer", "sure": "1", "take_over": "1"}
        )
        assert answer.status_code == 302
        alerts.refresh_from_db()
        assert alerts.link == the_link(bob)
        assert alerts.revision == 2
        late.refresh_from_db()
        assert late.state == "queued"
        assert the_link(shop.admin).ended_at is not None
        entry = AuditEntry.objects.get(action="slack.take_over")
        assert (entry.subject, entry.before, entry.after) == (
            "#data-alerts · Acme HQ",
            {"owner": "ada@acme.test"},
            {"owner": "bob@acme.test"},
        )

    def test_deactivated_here(self, shop: Acme, slack: FakeSlack, alerts: Destination, bob: Member) -> None:
        client, path = signed_in(bob), f"/a/{shop.account.pk}/settings/members/{shop.admin.pk}/deactivate"
        assert "1 Slack channel goes silent" in client.get(path).content.decode()
        client.post(path)
        assert the_link(shop.admin).ended_at is not None
        assert the_link(bob).ended_at is None

    def test_without_a_link_of_ones_own_there_is_nothing_to_take(self, shop: Acme, slack: FakeSlack, alerts: Destination) -> None:
        zoe = admin(shop, "zoe")
        text = signed_in(zoe).get(f"/a/{shop.account.pk}/settings/members/{shop.admin.pk}/deactivate").content.decode()
        assert "An admin with a working link to the workspace can take them over" in text
        assert 'name="take_over"' not in text

    def test_who_gives_the_own_rights_up_is_told_too(self, shop: Acme, slack: FakeSlack, alerts: Destination, bob: Member) -> None:
        text = sign_in(shop).post(f"/a/{shop.account.pk}/settings/members/{shop.admin.pk}/role", {"role": "viewer"}).content.decode()
        assert "Give up your rights as an admin?" in text
        assert "1 Slack channel goes silent" in text

    def test_admin_again_and_linked_again(self, shop: Acme, slack: FakeSlack, alerts: Destination, bob: Member) -> None:
        client, path = signed_in(bob), f"/a/{shop.account.pk}/settings/members/{shop.admin.pk}/role"
        client.post(path, {"role": "developer", "sure": "1"})
        client.post(path, {"role": "account_admin"})
        assert "1 Slack channel gets messages again" in do_link(sign_in(shop), shop, slack)

    def test_the_worker_revokes_what_nobody_needs(self, shop: Acme, slack: FakeSlack, alerts: Destination) -> None:
        zoe, token = admin(shop, "zoe"), team().token
        signed_in(zoe).post(f"/a/{shop.account.pk}/settings/members/{shop.admin.pk}/deactivate")
        assert slack.tokens[token].gone == ""
        slack_checks.run_due(timezone.now())
        assert slack.tokens[token].gone == "token_revoked"


class TestChores:
    def test_each_is_done_when_due_when_rung_and_in_spite_of_the_others(self) -> None:
        done, again = Event(), Event()

        def fails(now: datetime) -> None:
            raise RuntimeError("trouble")

        def works(now: datetime) -> datetime | None:
            (again if done.is_set() else done).set()
            return None

        chores = Chores(clock=timezone.now, chores=(fails, works))
        chores.start()
        assert done.wait(30)
        chores.ring()
        assert again.wait(30)
        chores.stop()
        assert not chores._thread.is_alive()
