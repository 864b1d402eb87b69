"""Slack channels through the dbt Admin API: type 2, with the rights and links that the page asks for."""

from typing import Any

import pytest

from runbell.core.permissions import Permission, Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Destination, SlackChannel, SlackLink, SlackWorkspace
from runbell.server.services.tokens import create_token
from tests.server.people import NOW, Acme, acme
from tests.server.slack_shop import channel, configured, link, second_admin, workspace
from tests.server.test_notifications_api import NONE, Caller, external, member_token

pytestmark = pytest.mark.django_db
ROOM = "C0000001"


@pytest.fixture
def team(shop: Acme) -> SlackWorkspace:
    return workspace(shop)


@pytest.fixture
def mine(shop: Acme, team: SlackWorkspace) -> SlackLink:
    return link(team, shop.admin)


@pytest.fixture
def room(team: SlackWorkspace) -> SlackChannel:
    return channel(team)


def body(**fields: Any) -> dict[str, Any]:
    return {**NONE, "type": 2, "slack_channel_id": ROOM, "slack_channel_name": "#data-alerts", **fields}


class TestCreating:
    def test_it_is_sent_through_the_callers_link(self, shop: Acme, mine: SlackLink, room: SlackChannel) -> None:
        call = Caller(shop)
        data = call.create(**body(on_failure=[shop.job.pk], user_id=shop.admin.user_id))
        made = Destination.objects.get(pk=data["id"])
        assert (made.link, made.address_key, made.kind) == (mine, "T0000001:C0000001", "slack")
        facts = {name: data[name] for name in ("type", "user_id", "slack_channel_id", "slack_channel_name", "external_email", "on_failure")}
        assert facts == {
            "type": 2,
            "user_id": shop.admin.user_id,
            "slack_channel_id": ROOM,
            "slack_channel_name": "#data-alerts",
            "external_email": None,
            "on_failure": [shop.job.pk],
        }
        assert AuditEntry.objects.get(action="notifications.create").subject == "#data-alerts · Acme HQ"
        assert call("GET", f"/{data['id']}/")[1]["data"] == data
        assert call.refused("POST", "/", body()) == f"Key (account_id, slack_channel_id)=({shop.account.pk}, C0000001) already exists."

    def test_one_of_the_whole_account_stays_that_and_is_otherwise_the_same(
        self, shop: Acme, team: SlackWorkspace, mine: SlackLink, room: SlackChannel
    ) -> None:
        """The dbt platform's type 5, and what a client of Terraform's kind compares it with at each step."""
        call = Caller(shop)
        made = call.create(**body(type=5, on_failure=[shop.job.pk]))
        facts = ("type", "slack_channel_id", "slack_channel_name", "on_failure")
        assert [made[name] for name in facts] == [5, ROOM, "#data-alerts", [shop.job.pk]]
        assert Destination.objects.get(pk=made["id"]).link == mine
        assert "is 5 and cannot change" in call.refused("POST", f"/{made['id']}/", {**made, "type": 2})
        changed = call("POST", f"/{made['id']}/", {**made, "on_failure": []})[1]["data"]
        assert [changed[name] for name in facts] == [5, ROOM, "#data-alerts", []]
        assert call("GET", f"/{made['id']}/")[1]["data"] == changed
        other = configured(channel(team, "other", "C0000002"), mine)
        assert [row["id"] for row in call("GET", "/?type=5")[1]["data"]] == [made["id"]]
        assert [row["id"] for row in call("GET", "/?type=2")[1]["data"]] == [other.pk]
        assert (
            call.refused("POST", "/", body(type=2)) == f"Key (account_id, slack_channel_id)=({shop.account.pk}, C0000001) already exists."
        )
        assert call("POST", f"/{made['id']}/", {"state": 2})[0] == 200
        assert call.create(**body())["type"] == 2

    def test_without_a_live_link_of_ones_own_it_is_refused(self, shop: Acme, team: SlackWorkspace, room: SlackChannel) -> None:
        link(team, second_admin(shop))
        assert "link the Slack workspace first" in Caller(shop).refused("POST", "/", body(), 403)

    @pytest.mark.parametrize("role", [Role.NOTIFICATION_MANAGER, Role.DEVELOPER, Role.VIEWER])
    def test_admins_alone_start_one(self, shop: Acme, mine: SlackLink, room: SlackChannel, role: Role) -> None:
        assert "take a Slack channel over" in Caller(shop, member_token(shop, role)).refused("POST", "/", body(), 403) or role in (
            Role.DEVELOPER,
            Role.VIEWER,
        )

    def test_a_token_that_is_good_for_notifications_alone_starts_none(self, shop: Acme, mine: SlackLink, room: SlackChannel) -> None:
        token = create_token(member=shop.admin, name="n", permissions=[Permission.NOTIFICATIONS, Permission.READ], now=NOW)
        Caller(shop, token).refused("POST", "/", body(), 403)

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"slack_channel_id": ""}, "slack_channel_id: must be the id"),
            ({"slack_channel_id": "data-alerts"}, "slack_channel_id: must be the id"),
            ({"slack_channel_name": "#other"}, "slack_channel_name: is #data-alerts in Slack"),
            ({"user_id": 1_000_000}, "user_id: must be"),
            ({"external_email": "x@partner.example"}, "external_email: goes with type 4"),
            ({"type": 3}, "type: 3 is a webhook, which the dbt platform gave up; here you can set"),
            ({"on_failure": [1_000_000]}, "on_failure: there is no job"),
        ],
    )
    def test_what_is_wrong_is_named(self, shop: Acme, mine: SlackLink, room: SlackChannel, fields: dict[str, Any], words: str) -> None:
        assert words in Caller(shop).refused("POST", "/", body(**fields))

    @pytest.mark.parametrize("mark", ["is_archived", "is_private"])
    def test_what_cannot_be_chosen_is_refused(self, shop: Acme, mine: SlackLink, room: SlackChannel, mark: str) -> None:
        SlackChannel.objects.update(**{mark: True})
        assert f"slack_channel_id: is {mark.removeprefix('is_')}" in Caller(shop).refused("POST", "/", body())

    def test_a_slack_channel_goes_with_type_2(self, shop: Acme) -> None:
        refusal = Caller(shop).refused("POST", "/", external(shop, slack_channel_id=ROOM))
        assert refusal.startswith("slack_channel_id: goes with type 2")


class TestUpdating:
    def test_a_manager_edits_the_boxes_and_the_owner_stays(self, shop: Acme, mine: SlackLink, room: SlackChannel) -> None:
        made = configured(room, mine)
        shop.rule(made, Outcome.CANCELLED, environment=True)
        call = Caller(shop, member_token(shop, Role.NOTIFICATION_MANAGER))
        code, answer = call("POST", f"/{made.pk}/", body(on_failure=[shop.job.pk]))
        assert (code, answer["data"]["on_failure"], answer["data"]["user_id"]) == (200, [shop.job.pk], shop.admin.user_id)
        assert answer["data"]["runbell_environments"]["on_cancel"] == [shop.job.environment_id]
        made.refresh_from_db()
        assert (made.link, made.revision) == (mine, 2)

    def test_an_admin_takes_it_over_by_their_own_user_id_and_not_by_the_owners(self, shop: Acme, team: SlackWorkspace) -> None:
        mine, chen = link(team, shop.admin), second_admin(shop)
        chens = link(team, chen)
        made, call = configured(channel(team), chens), Caller(shop)
        assert call("POST", f"/{made.pk}/", body(user_id=chen.user_id, on_failure=[shop.job.pk]))[1]["data"]["user_id"] == chen.user_id
        made.refresh_from_db()
        assert made.link == chens
        assert call("POST", f"/{made.pk}/", body(user_id=shop.admin.user_id))[1]["data"]["user_id"] == shop.admin.user_id
        made.refresh_from_db()
        assert made.link == mine
        entry = AuditEntry.objects.latest("pk")
        assert (entry.before["owner"], entry.after["owner"]) == ("Chen Wei", "ada@acme.test")

    def test_an_admin_without_a_link_takes_nothing_over(self, shop: Acme, team: SlackWorkspace, room: SlackChannel) -> None:
        made = configured(room, link(team, second_admin(shop)))
        assert "link the Slack workspace first" in Caller(shop).refused("POST", f"/{made.pk}/", body(), 403)

    def test_neither_another_owner_nor_another_slack_channel(self, shop: Acme, mine: SlackLink, room: SlackChannel) -> None:
        made, call = configured(room, mine), Caller(shop)
        nina = shop.members[Role.NOTIFICATION_MANAGER].user_id
        assert "user_id: must be" in call.refused("POST", f"/{made.pk}/", body(user_id=nina))
        assert "slack_channel_id: is the recipient" in call.refused("POST", f"/{made.pk}/", body(slack_channel_id="C0000002"))
        assert "type: is 2 and cannot change" in call.refused("POST", f"/{made.pk}/", external(shop))

    def test_deleting_leaves_the_link(self, shop: Acme, mine: SlackLink, room: SlackChannel) -> None:
        made, call = configured(room, mine), Caller(shop)
        shop.rule(made)
        assert call("DELETE", f"/{made.pk}/")[0] == 204
        assert call("GET", f"/{made.pk}/")[0] == 404
        assert SlackLink.objects.get().ended_at is None
        again = call.create(**body())
        assert again["id"] != made.pk


class TestListing:
    def test_filters(self, shop: Acme, mine: SlackLink, team: SlackWorkspace, room: SlackChannel) -> None:
        made = configured(room, mine)
        other = configured(channel(team, "other", "C0000002"), link(team, second_admin(shop)))
        own = shop.destination()
        call = Caller(shop)

        def ids(query: str) -> list[int]:
            return [row["id"] for row in call("GET", f"/?{query}")[1]["data"]]

        assert ids("") == [made.pk, other.pk, own.pk]
        assert ids("type=2") == [made.pk, other.pk]
        assert ids("type=4") == []
        assert ids("slack_channel_id=C0000002") == [other.pk]
        assert ids(f"user_id={shop.admin.user_id}") == [made.pk, own.pk]

    def test_webhooks_are_none_of_the_dbt_platforms_settings(self, shop: Acme) -> None:
        Destination.objects.create(
            account=shop.account, kind="slack_webhook", address="#x", address_key="k", public_id="k", created_at=NOW, updated_at=NOW
        )
        call = Caller(shop)
        assert call("GET", "/")[1]["data"] == []
        assert call("GET", f"/{Destination.objects.get().pk}/")[0] == 404

    def test_others_see_none(self, shop: Acme, mine: SlackLink, room: SlackChannel) -> None:
        made, other = configured(room, mine), acme("Other", "other.test")
        assert Caller(shop, member_token(shop, Role.DEVELOPER))("GET", "/")[1]["data"] == []
        assert Caller(other)("GET", "/")[1]["data"] == []
        assert Caller(other).refused("POST", f"/{made.pk}/", body(), 404)
