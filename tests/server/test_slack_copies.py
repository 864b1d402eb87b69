"""Copy settings from a Slack channel to others: by the rights of a save, with what is taken over said before, and undone with its owner."""

import re
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Delivery, Destination, Member, Rule, SettingsCopy, SlackLink
from runbell.server.services.access import Actor
from runbell.server.services.copies import Wish, plan_copy
from runbell.server.services.destinations import save_setting
from runbell.server.services.setting_changes import Change
from runbell.server.services.slack_webhooks import add_webhook
from tests.server.people import NOW, Acme, acme
from tests.server.slack_shop import HOOK, channel, configured, link, second_admin, workspace
from tests.server.test_copies import path, rules_of, text_of
from tests.server.test_pages import sign_in

pytestmark = pytest.mark.django_db


class Channels:
    """#data-alerts and #mine are Ada's, #theirs is Chen's; #data-alerts hears of failures of nightly and of warnings of all jobs."""

    def __init__(self, shop: Acme) -> None:
        self.shop, self.team = shop, workspace(shop)
        self.chen = second_admin(shop)
        self.ada_link, self.chen_link = link(self.team, shop.admin), link(self.team, self.chen)
        self.alerts = configured(channel(self.team), self.ada_link)
        shop.rule(self.alerts)
        shop.rule(self.alerts, Outcome.WARNED, environment=True)
        self.mine = configured(channel(self.team, "mine", "C0000002"), self.ada_link)
        self.theirs = configured(channel(self.team, "theirs", "C0000003"), self.chen_link)
        shop.rule(self.theirs, Outcome.CANCELLED)

    def do(self, *to: Destination | str, client: Client | None = None, source: Destination | None = None, **fields: Any) -> tuple[Any, Any]:
        """The preview, and the answer to its own button."""
        client = client or sign_in(self.shop)
        keys = [to_key(one) if isinstance(one, Destination) else one for one in to]
        form = {"what": "slack", "from": to_key(source or self.alerts), "to": keys, "mode": "add", **fields}
        preview = client.post(path(self.shop), form | {"step": "preview"})
        found = re.search(r'name="expect" value="(\w+)"', preview.content.decode())
        return preview, client.post(path(self.shop), form | {"step": "copy", "expect": found[1] if found else ""})


def to_key(destination: Destination) -> str:
    return destination.address_key if destination.kind == "slack" else f"w{destination.pk}"


def hears(destination: Destination) -> set[str]:
    return set(Rule.objects.filter(destination=destination).values_list("outcome", flat=True))


def signed_in(member: Member) -> Client:
    client = Client()
    client.force_login(member.user)
    return client


@pytest.fixture
def slack(shop: Acme) -> Channels:
    return Channels(shop)


def test_to_ones_own_and_a_webhook(shop: Acme, slack: Channels) -> None:
    hook = add_webhook("#hooked", HOOK.format("copied"), "", "", actor=Actor(shop.admin), now=NOW)
    preview, done = slack.do(slack.mine, hook)
    text = text_of(preview)
    for said in ("2 Slack channels change", "Copy to 2 Slack channels", "comes: Fails", "All jobs of Production, also new ones"):
        assert said in text
    assert "Becomes yours" not in text
    assert done["Location"] == path(shop)
    assert hears(slack.mine) == hears(hook) == {"failed", "warned"}
    slack.mine.refresh_from_db()
    assert (slack.mine.link, slack.mine.revision) == (slack.ada_link, 2)
    subjects = set(AuditEntry.objects.filter(action="notifications.copy").values_list("subject", flat=True))
    assert subjects == {"#mine · Acme HQ", "#hooked · Slack webhook"}


def test_anothers_is_taken_over_said_before_and_told(shop: Acme, slack: Channels) -> None:
    preview, done = slack.do(slack.theirs)
    assert "Becomes yours: it is sent through your link, and Chen Wei is told by e-mail." in text_of(preview)
    assert done.status_code == 302
    slack.theirs.refresh_from_db()
    assert slack.theirs.link == slack.ada_link
    assert hears(slack.theirs) == {"failed", "warned", "cancelled"}
    assert Delivery.objects.values_list("destination__member", flat=True).get(purpose="notice") == slack.chen.pk
    entry = AuditEntry.objects.get(action="notifications.copy")
    assert (entry.before, entry.after["owner"]) == ({"owner": "Chen Wei"}, "ada@acme.test")


def test_undo_gives_rules_and_owner_back(shop: Acme, slack: Channels) -> None:
    client = sign_in(shop)
    slack.do(slack.theirs, slack.mine, client=client, mode="replace")
    assert hears(slack.theirs) == {"failed", "warned"}
    assert "2 Slack channels, ada@acme.test" in text_of(client.get(path(shop)))
    client.post(path(shop, f"/{SettingsCopy.objects.get().pk}/undo"))
    assert "2 Slack channels are as they were." in text_of(client.get(path(shop)))
    slack.theirs.refresh_from_db()
    assert slack.theirs.link == slack.chen_link
    assert (hears(slack.theirs), hears(slack.mine)) == ({"cancelled"}, set())
    entry = AuditEntry.objects.get(action="notifications.copy_undo", subject="#theirs · Acme HQ")
    assert (entry.before["owner"], entry.after["owner"]) == ("ada@acme.test", "Chen Wei")


def test_undo_gives_nothing_to_a_link_that_has_ended(shop: Acme, slack: Channels) -> None:
    SlackLink.objects.filter(pk=slack.chen_link.pk).update(ended_at=NOW)
    slack.do(slack.theirs)
    sign_in(shop).post(path(shop, f"/{SettingsCopy.objects.get().pk}/undo"))
    slack.theirs.refresh_from_db()
    assert slack.theirs.link == slack.ada_link
    assert hears(slack.theirs) == {"cancelled"}


def test_those_saved_since_are_left_alone_and_named(shop: Acme, slack: Channels) -> None:
    slack.do(slack.mine)
    save_setting(slack.mine.pk, Change(jobs={Outcome.SUCCEEDED: {shop.job.pk}}), actor=Actor(shop.admin), now=NOW)
    client = sign_in(shop)
    client.post(path(shop, f"/{SettingsCopy.objects.get().pk}/undo"))
    assert "their settings were saved since: #mine · Acme HQ." in text_of(client.get(path(shop)))
    assert hears(slack.mine) == {"failed", "warned", "succeeded"}


@pytest.mark.parametrize("what", ["saved", "taken over"])
def test_what_happened_after_the_preview_stops_it(shop: Acme, slack: Channels, what: str) -> None:
    client, form = sign_in(shop), {"what": "slack", "from": to_key(slack.alerts), "to": [to_key(slack.theirs), to_key(slack.mine)]}
    expect = re.search(r'name="expect" value="(\w+)"', client.post(path(shop), form | {"step": "preview"}).content.decode())
    assert expect
    if what == "saved":
        save_setting(slack.mine.pk, Change(jobs={Outcome.SUCCEEDED: {shop.job.pk}}), actor=Actor(shop.admin), now=NOW)
    else:
        Destination.objects.filter(pk=slack.theirs.pk).update(link=slack.ada_link)
    answer = client.post(path(shop), form | {"step": "copy", "expect": expect[1]})
    assert answer.status_code == 409
    assert "Settings were saved since the preview" in text_of(answer)
    assert hears(slack.theirs) == {"cancelled"}
    assert not SettingsCopy.objects.exists()


def test_a_link_that_breaks_in_the_middle_changes_nothing(shop: Acme, slack: Channels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbell.server.services.slack_targets.live_link", lambda *_: None)
    _, done = slack.do(slack.mine, slack.theirs)
    assert done.status_code == 409
    assert hears(slack.mine) == set()


def test_a_manager_copies_to_all_and_owns_none(shop: Acme, slack: Channels) -> None:
    preview, done = slack.do(client=sign_in(shop, Role.NOTIFICATION_MANAGER), everybody="1")
    assert "2 Slack channels change" in text_of(preview)
    assert "Becomes yours" not in text_of(preview)
    assert done.status_code == 302
    slack.theirs.refresh_from_db()
    assert slack.theirs.link == slack.chen_link
    assert hears(slack.theirs) == {"failed", "warned", "cancelled"}


def test_an_admin_without_a_link_copies_to_webhooks_alone(shop: Acme, slack: Channels) -> None:
    hook = add_webhook("#hooked", HOOK.format("copied"), "", "", actor=Actor(shop.admin), now=NOW)
    SlackLink.objects.filter(member=slack.chen).update(ended_at=NOW)
    chen = signed_in(slack.chen)
    assert f'name="to" value="{to_key(slack.mine)}"' not in text_of(chen.get(path(shop) + "?what=slack"))
    assert {answer.status_code for answer in slack.do(slack.mine, client=chen)} == {403}
    slack.do(client=chen, everybody="1")
    assert hears(hook) == {"failed", "warned"}
    assert hears(slack.mine) == set()


def test_others_may_not_and_strangers_find_nothing(shop: Acme, slack: Channels) -> None:
    for role in (Role.VIEWER, Role.DEVELOPER):
        assert {answer.status_code for answer in slack.do(slack.mine, client=sign_in(shop, role))} == {403}
    other = acme("Other", "other.test")
    theirs = configured(channel(workspace(other, "T0000002"), "x", "C0000009"), None)
    for to in (theirs, "", "w0", "m1", "T0000001:C0000009"):
        assert slack.do(to)[0].status_code == 404
    assert slack.do(slack.mine, source=theirs)[0].status_code == 404
    assert not SettingsCopy.objects.exists()


def test_nothing_chosen_is_named(shop: Acme, slack: Channels) -> None:
    for to in ((), (slack.alerts,)):
        preview, _ = slack.do(*to)
        assert preview.status_code == 422
        assert "Choose at least one other Slack channel." in text_of(preview)


def test_addresses_and_slack_channels_do_not_mix(shop: Acme, slack: Channels) -> None:
    everybody = {"what": "address", "from": f"m{shop.admin.pk}", "everybody": "1", "step": "preview"}
    shop.rule(shop.destination())
    assert "#mine" not in text_of(sign_in(shop).post(path(shop), everybody))
    slack.do(everybody="1")
    assert rules_of(shop, Role.VIEWER) == set()


def test_without_any_the_page_says_where_to_begin(shop: Acme) -> None:
    text = text_of(sign_in(shop).get(path(shop) + "?what=slack"))
    assert "No Slack channel is configured yet" in text
    assert 'name="from"' not in text


def test_it_costs_the_same_with_many(shop: Acme, slack: Channels, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    for number in range(20):
        configured(channel(slack.team, f"more-{number}", f"C00001{number:02}"), slack.chen_link)
    client = sign_in(shop)
    client.get(path(shop) + "?what=slack")
    with django_assert_max_num_queries(12):
        client.get(path(shop) + "?what=slack")
    wish = Wish(source=to_key(slack.alerts), everybody=True, is_slack=True)
    with django_assert_max_num_queries(10):
        assert len(plan_copy(Actor(shop.admin), wish).lines) == 22
