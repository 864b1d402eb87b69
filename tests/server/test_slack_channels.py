"""The Slack channels of linked workspaces: listed from Slack with progress, searched, and found by an ID or a link."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from runbell.core.permissions import Role
from runbell.server.db.models import Destination, SlackChannel, SlackWorkspace
from runbell.server.services import slack_channels
from runbell.server.services.access import Actor, NotAllowed
from runbell.server.services.slack_channels import refresh, run_due, want_listing
from runbell.server.services.slack_lookup import read_id
from tests.fakes.slack import FakeSlack
from tests.server.matrix_forms import sign_in, text
from tests.server.people import NOW, Acme, acme
from tests.server.slack_shop import channel, configured, link, second_admin, slack_url, workspace

pytestmark = pytest.mark.django_db
SOON = NOW + timedelta(minutes=1)


@pytest.fixture
def slack(settings: Settings) -> Iterator[FakeSlack]:
    with FakeSlack(scale=1e6, page_size=10) as slack:
        settings.RUNBELL_SLACK_API_URL = slack.api_url
        slack_channels._cursors.clear()
        yield slack


@pytest.fixture
def team(shop: Acme, slack: FakeSlack) -> SlackWorkspace:
    """Linked by the admin, and never listed."""
    made = workspace(shop, slack.acme.id, token=slack.install(), url="https://acme.slack.com/")
    link(made, shop.admin)
    return made


def names(**marks: bool) -> set[str]:
    return set(SlackChannel.objects.filter(**marks).values_list("name", flat=True))


def open_rooms(slack: FakeSlack) -> set[str]:
    return {room.name for room in slack.acme.channels.values() if not (room.is_private or room.is_archived)}


def state(team: SlackWorkspace) -> SlackWorkspace:
    return SlackWorkspace.objects.get(pk=team.pk)


class TestListing:
    def test_every_public_one_is_kept_page_by_page(self, team: SlackWorkspace, slack: FakeSlack) -> None:
        slack.acme.add_channels(25, archived_every=5)
        refresh(team.pk, NOW)
        assert names() == open_rooms(slack)
        assert len(slack.called("conversations.list")) == 4
        now = state(team)
        assert (now.listing_found, now.listed_at, now.listing_trouble) == (len(open_rooms(slack)), NOW, None)
        assert now.listing_wanted_at == NOW + timedelta(days=1)
        assert SlackChannel.objects.get(name="general").members == 3

    def test_what_is_not_listed_any_more_is_gone_and_comes_back(self, team: SlackWorkspace, slack: FakeSlack) -> None:
        refresh(team.pk, NOW)
        slack.archive(slack.acme.channel("shop-ops"))
        refresh(team.pk, SOON)
        assert names(is_gone=True) == {"shop-ops"}
        slack.unarchive(slack.acme.channel("shop-ops"))
        refresh(team.pk, SOON + timedelta(minutes=1))
        assert names(is_gone=True) == set()

    def test_why_a_configured_one_is_not_listed_is_asked(self, team: SlackWorkspace, slack: FakeSlack) -> None:
        refresh(team.pk, NOW)
        destination = configured(SlackChannel.objects.get(name="shop-ops"), team.links.get())
        slack.archive(slack.acme.channel("shop-ops"))
        refresh(team.pk, SOON)
        assert names(is_archived=True) == {"shop-ops"}
        slack.unarchive(slack.acme.channel("shop-ops"))
        slack.rename(slack.acme.channel("shop-ops"), "shop-operations")
        refresh(team.pk, SOON + timedelta(minutes=1))
        destination.refresh_from_db()
        assert destination.address == "#shop-operations"
        assert names(is_archived=True) == names(is_gone=True) == set()

    def test_progress_is_seen_while_slack_asks_to_wait_and_the_listing_goes_on_there(self, team: SlackWorkspace, slack: FakeSlack) -> None:
        slack.acme.add_channels(25)
        slack.busy(30, method="conversations.list", skip=2)
        want_listing(Actor(team.links.get().member), now=NOW)
        assert run_due(NOW) == NOW + timedelta(seconds=30)
        now = state(team)
        assert (now.listing_found, now.listed_at) == (19, None)  # one is archived
        assert (now.listing_trouble or {})["code"] == "slack_ratelimited"
        assert run_due(NOW + timedelta(seconds=29)) == NOW + timedelta(seconds=30)
        assert run_due(NOW + timedelta(seconds=30)) == NOW + timedelta(days=1, seconds=30)
        assert names() == open_rooms(slack)
        assert state(team).listing_found == len(open_rooms(slack))
        assert len(slack.called("conversations.list")) == 5  # 4 pages, and the one that was refused

    def test_a_worker_that_died_begins_anew(self, team: SlackWorkspace, slack: FakeSlack) -> None:
        slack.acme.add_channels(25)
        slack.busy(30, method="conversations.list", skip=2)
        refresh(team.pk, NOW)
        slack_channels._cursors.clear()
        refresh(team.pk, SOON)
        assert names() == open_rooms(slack)
        assert names(is_gone=True) == set()
        assert state(team).listing_found == len(open_rooms(slack))

    @pytest.mark.parametrize(("word", "wait"), [("token_revoked", timedelta(days=1)), ("fatal_error", timedelta(minutes=5))])
    def test_trouble_is_kept_for_the_page(self, shop: Acme, team: SlackWorkspace, slack: FakeSlack, word: str, wait: timedelta) -> None:
        slack.refuse(word, method="conversations.list")
        refresh(team.pk, NOW)
        now = state(team)
        assert ((now.listing_trouble or {})["code"], now.listing_wanted_at) == (f"slack_{word}", NOW + wait)
        SlackWorkspace.objects.update(listing_wanted_at=timezone.now() + timedelta(hours=1))
        answer = sign_in(shop).get(f"{base(shop)}/channels").json()
        assert answer["refreshed"].startswith("Refresh: ")
        assert now.token not in str(answer)

    @pytest.mark.parametrize("why", ["ended", "broken"])
    def test_nobody_is_asked_through_a_dead_link(self, team: SlackWorkspace, slack: FakeSlack, why: str) -> None:
        if why == "ended":
            team.links.update(ended_at=NOW)
        else:
            SlackWorkspace.objects.update(broken_because={"code": "slack_token_revoked"})
        SlackWorkspace.objects.update(listing_wanted_at=NOW)
        assert run_due(NOW) is None
        refresh(team.pk, NOW)
        assert not slack.calls

    def test_the_button_asks_at_most_every_half_minute(self, shop: Acme, team: SlackWorkspace) -> None:
        SlackWorkspace.objects.update(listed_at=NOW, listing_wanted_at=NOW + timedelta(days=1))
        want_listing(Actor(shop.admin), now=NOW + timedelta(seconds=20))
        assert state(team).listing_wanted_at == NOW + timedelta(days=1)
        want_listing(Actor(shop.admin), now=SOON)
        assert state(team).listing_wanted_at == SOON
        with pytest.raises(NotAllowed):
            want_listing(Actor(shop.members[Role.NOTIFICATION_MANAGER]), now=SOON)

    def test_by_the_page(self, shop: Acme, team: SlackWorkspace) -> None:
        client = sign_in(shop)
        assert client.get(f"{base(shop)}/channels").json()["refreshed"] == "Not listed yet"
        assert client.post(f"{base(shop)}/channels/refresh").status_code == 302
        answer = client.get(f"{base(shop)}/channels").json()
        assert (answer["is_busy"], answer["refreshed"]) == (True, "Asking Slack")
        SlackWorkspace.objects.update(listing_found=3000)
        assert client.get(f"{base(shop)}/channels").json()["refreshed"] == "3,000 found so far"
        SlackWorkspace.objects.update(listing_wanted_at=timezone.now() + timedelta(minutes=15), listing_started_at=timezone.now())
        assert client.get(f"{base(shop)}/channels").json()["refreshed"] == "3,000 found so far"
        SlackWorkspace.objects.update(listed_at=timezone.now())
        assert client.get(f"{base(shop)}/channels").json()["refreshed"] == "Refreshed just now"


class TestSearching:
    def test_configured_ones_come_first_then_by_workspace(self, shop: Acme) -> None:
        hq, logistics = workspace(shop), workspace(shop, "T0000002", "Acme Logistics")
        mine, chens = link(hq, shop.admin), link(hq, second_admin(shop))
        link(logistics, shop.admin)
        shop.rule(configured(channel(hq), mine))
        configured(channel(hq, "data-oncall", "C0000002"), chens, disabled_because={"code": "slack_is_archived"})
        channel(hq, "marketing-data", "C0000003", members=1200)
        channel(hq, "data-old", "C0000004", is_archived=True)
        channel(hq, "data-gone", "C0000005", is_gone=True)
        channel(hq, "data-platform", "C0000006")
        channel(hq, "elsewhere", "C0000007")
        channel(logistics, "data-feeds", "C0000008", members=1)
        found = sign_in(shop).get(f"{base(shop)}/channels", {"q": "#Data"}).json()
        lines = {group["label"]: [(one["main"], one["note"], one["is_off"]) for one in group["options"]] for group in found["groups"]}
        assert lines == {
            "Acme HQ, already configured": [("data-alerts", "by you, 1 rule", False), ("data-oncall", "by Chen Wei, silent", False)],
            "Acme HQ": [("data-platform", "", False), ("marketing-data", "1,200 members", False), ("data-old", "archived", True)],
            "Acme Logistics": [("data-feeds", "1 member", False)],
        }
        assert found["count"] == "5 of 6 public Slack channels"

    def test_another_account_is_not_searched(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        theirs = workspace(other)
        configured(channel(theirs), link(theirs, other.admin))
        channel(theirs, "more", "C0000002")
        found = sign_in(shop).get(f"{base(shop)}/channels").json()
        assert (found["groups"], found["count"]) == ([], "0 of 0 public Slack channels")

    @pytest.mark.parametrize("role", [Role.NOTIFICATION_MANAGER, Role.DEVELOPER, Role.VIEWER])
    def test_who_starts_none_searches_none(self, shop: Acme, role: Role) -> None:
        assert sign_in(shop, role).get(f"{base(shop)}/channels").status_code == 403

    def test_ten_thousand_cost_a_fixed_number_of_queries(self, shop: Acme, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        hq = workspace(shop)
        link(hq, shop.admin)
        rooms = (SlackChannel(workspace=hq, channel_id=f"C{n:07}", name=f"team-{n:05}", seen_at=NOW) for n in range(10_000))
        SlackChannel.objects.bulk_create(rooms)
        client = sign_in(shop)
        client.get(slack_url(shop))
        with django_assert_num_queries(10):
            found = client.get(f"{base(shop)}/channels", {"q": "team-09"}).json()
        assert found["count"] == "50 of 10,000 public Slack channels"
        assert found["groups"][0]["options"][0]["main"] == "team-09000"
        page = text(client.get(slack_url(shop)))
        assert "team-0" not in page

    def test_without_script_the_page_lists_what_it_found(self, shop: Acme) -> None:
        hq = workspace(shop)
        link(hq, shop.admin)
        found = channel(hq)
        page = text(sign_in(shop).get(slack_url(shop, find="alerts")))
        assert "1 of 1 public Slack channel<" in page
        assert f'<a href="?channel=T0000001%3AC0000001&amp;env={shop.job.environment_id}">{found.name}</a>' in page


class TestPasting:
    @pytest.mark.parametrize(
        ("given", "found"),
        [
            ("C07ABCDEF", "C07ABCDEF"),
            (" C07ABCDEF ", "C07ABCDEF"),
            ("https://acme.slack.com/archives/C07ABCDEF", "C07ABCDEF"),
            ("https://acme.slack.com/archives/C07ABCDEF/p1700000000000100?thread_ts=1", "C07ABCDEF"),
            ("https://app.slack.com/client/T012AB3C4/C07ABCDEF", "C07ABCDEF"),
            ("acme.slack.com/archives/C07ABCDEF", ""),
            ("data-alerts", ""),
            ("C07", ""),
            ("", ""),
        ],
    )
    def test_ids_and_links_are_read(self, given: str, found: str) -> None:
        assert read_id(given) == found

    def find(self, shop: Acme, given: str) -> tuple[int, str]:
        client = sign_in(shop)
        answer = client.post(f"{base(shop)}/channels/find?env={shop.job.environment_id}", {"text": given})
        return answer.status_code, answer["Location"] if answer.status_code == 302 else text(answer)

    def test_one_that_is_not_known_here_is_asked_for(self, shop: Acme, team: SlackWorkspace, slack: FakeSlack) -> None:
        room = slack.acme.channel("finance-close")
        status, where = self.find(shop, f"https://acme.slack.com/archives/{room.id}")
        assert (status, where) == (302, f"{base(shop)}?channel={team.team_id}%3A{room.id}&env={shop.job.environment_id}")
        assert names() == {"finance-close"}
        assert "#finance-close</strong> hears about no job" in text(sign_in(shop).get(where))
        assert not Destination.objects.filter(kind="slack").exists()
        assert self.find(shop, room.id)[0] == 302
        assert len(slack.called("conversations.info")) == 1

    def test_what_cannot_be_chosen_is_refused_with_the_reason(self, shop: Acme, team: SlackWorkspace, slack: FakeSlack) -> None:
        secret, old = slack.acme.channel("data-secret"), slack.acme.channel("old-alerts")
        reasons = {
            secret.id: "Acme HQ shows no such public Slack channel. It may be private, deleted, or of another workspace.",
            old.id: "#old-alerts is archived. Slack takes no messages for it.",
            "C0NOBODY99": "Acme HQ shows no such public Slack channel.",
            "https://other.slack.com/archives/C07ABCDEF": "other.slack.com is not a workspace that is linked here.",
            "data alerts": "“data alerts” is neither the ID of a Slack channel, such as C07ABCDEF, nor a link to one.",
        }
        for given, words in reasons.items():
            status, page = self.find(shop, given)
            assert status in (400, 404), given
            assert words in page

    def test_trouble_with_slack_is_told(self, shop: Acme, team: SlackWorkspace, slack: FakeSlack) -> None:
        slack.broken(503, method="conversations.info")
        status, page = self.find(shop, slack.acme.channel("shop-ops").id)
        assert status == 400
        assert "Slack could not be asked:" in page
        assert team.token not in page

    def test_without_any_link_there_is_nobody_to_ask(self, shop: Acme) -> None:
        assert "No workspace is linked here." in self.find(shop, "C07ABCDEF")[1]


def base(shop: Acme) -> str:
    return f"/a/{shop.account.pk}/settings/notifications/slack"
