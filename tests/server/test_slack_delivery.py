"""Messages on their way to Slack channels: through whose link, with which token, and what Slack's words end."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.db import connection
from pytest_django import Settings

from runbell.core.because import Because
from runbell.core.permissions import Role
from runbell.server.db.models import Delivery, Destination, Receipt, SlackWorkspace
from runbell.server.services.access import Actor
from runbell.server.services.bounces import lift
from runbell.server.services.decisions import silent_because
from runbell.server.services.hearing import able
from tests.fakes.slack import FakeSlack
from tests.server.letters import parcel_of
from tests.server.people import NOW, Acme, acme
from tests.server.slack_shop import channel, configured, link, second_admin, workspace
from tests.server.test_bounces import work
from tests.server.test_pages import make_run

JUST_NOW = 0.026  # hours: time is scaled here, and nothing may be too old
UNLINKED = Because("slack_unlinked", {"who": "Ada", "at": NOW.isoformat()}).to_json()


@pytest.fixture
def shop(transactional_db: None) -> Acme:
    return acme()


@pytest.fixture
def slack(settings: Settings) -> Iterator[FakeSlack]:
    settings.RUNBELL_TIME_SCALE = 0.001
    with FakeSlack(scale=0.001) as slack:
        settings.RUNBELL_SLACK_API_URL = slack.api_url
        yield slack


def told(shop: Acme, slack: FakeSlack, name: str = "data-alerts") -> Destination:
    """A Slack channel that hears about failures of the job, through Ada's link."""
    there = slack.acme.channel(name)
    team = SlackWorkspace.objects.filter(team_id=slack.acme.id).first() or workspace(shop, slack.acme.id, token=slack.install())
    owner = team.links.first() or link(team, shop.admin)
    destination = configured(channel(team, name, there.id), owner)
    shop.rule(destination)
    return destination


def fails(shop: Acme) -> list[tuple[str, str]]:
    """What became of the deliveries of one more failed run."""
    run = make_run(shop, ago=JUST_NOW)
    work()
    rows = Delivery.objects.filter(run=run, purpose="run").order_by("pk")
    return [(row.state, (row.last_because or {}).get("code", "")) for row in rows]


def test_a_failure_arrives_with_its_deliverys_key(shop: Acme, slack: FakeSlack) -> None:
    told(shop, slack)
    assert fails(shop) == [("sent", "")]
    [post] = slack.posts_in(slack.acme.channel("data-alerts"))
    delivery = Delivery.objects.get(purpose="run")
    assert post.text.startswith("FAILED · nightly · Production")
    assert post.payload == {"delivery": f"{delivery.pk}.0", "run": str(delivery.run_id)}
    assert delivery.provider_id == post.ts
    assert delivery.lane == f"slack:{SlackWorkspace.objects.get().pk}"


def test_it_leads_to_the_reason_and_to_the_settings_of_this_slack_channel(shop: Acme, slack: FakeSlack) -> None:
    destination = told(shop, slack)
    fails(shop)
    [post] = slack.posts_in(slack.acme.channel("data-alerts"))
    run, account = Delivery.objects.get(purpose="run").run_id, f"/a/{shop.account.pk}"
    assert links_of(post.message) == [
        ("Open the run", f"{account}/runs/{run}"),
        ("Why here?", f"{account}/runs/{run}#why"),
        ("Settings", f"{account}/settings/notifications/slack?{urlencode({'channel': destination.address_key})}"),
    ]


def links_of(message: Any) -> list[tuple[str, str]]:
    """Label and path of each link, from top to bottom."""
    if isinstance(message, dict) and message.get("type") == "link":
        return [(message["text"], message["url"].removeprefix(settings.RUNBELL_PUBLIC_URL))]
    parts = message.values() if isinstance(message, dict) else message if isinstance(message, list) else ()
    return [link for part in parts for link in links_of(part)]


@pytest.mark.parametrize(
    ("link_fields", "team_fields", "code"),
    [
        ({}, {}, None),
        ({"ended_at": NOW, "ended_because": UNLINKED}, {}, "slack_unlinked"),
        ({}, {"broken_at": NOW, "broken_because": Because("slack_token_revoked").to_json()}, "slack_token_revoked"),
    ],
)
def test_who_is_silent_hears_nothing_and_both_ways_to_ask_agree(
    shop: Acme, slack: FakeSlack, link_fields: dict[str, object], team_fields: dict[str, object], code: str | None
) -> None:
    destination = told(shop, slack)
    assert destination.link
    type(destination.link).objects.update(**link_fields or {"rank": "owner"})
    SlackWorkspace.objects.update(**team_fields or {"name": "Acme HQ"})
    destination = Destination.objects.select_related("link__workspace").get(pk=destination.pk)
    silent = silent_because(destination)
    assert (silent.code if silent else None) == code
    assert destination.rules.filter(able()).exists() == (code is None)
    fails(shop)
    [receipt] = Receipt.objects.all()
    assert receipt.is_told == (code is None)
    assert code is None or receipt.because["code"] == code


def test_what_waits_when_the_link_ends_is_not_sent(shop: Acme, slack: FakeSlack) -> None:
    destination = told(shop, slack)
    make_run(shop, ago=JUST_NOW)
    assert destination.link
    type(destination.link).objects.update(ended_at=NOW, ended_because=UNLINKED)
    work()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.last_because) == ("suppressed", UNLINKED)
    assert slack.posts_in(slack.acme.channel("data-alerts")) == []


def test_a_token_is_in_the_parcel_and_in_no_repr_of_it(shop: Acme, slack: FakeSlack) -> None:
    told(shop, slack)
    make_run(shop, ago=JUST_NOW)
    parcel = parcel_of(Delivery.objects.get(), now=NOW)
    assert parcel.settings["token"].startswith("xoxb-")
    assert parcel.settings["token"] not in repr(parcel)


def test_a_token_that_no_key_fits_holds_up_nobody_else(shop: Acme, slack: FakeSlack) -> None:
    told(shop, slack)
    shop.rule(shop.destination(Role.VIEWER))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE runbell_slackworkspace SET token = 'gAAAAAstrange'")
    assert fails(shop) == [("suppressed", "secret_unreadable"), ("sent", "")]


def test_one_word_about_the_slack_channel_silences_it_and_its_owner_is_told_once(shop: Acme, slack: FakeSlack) -> None:
    destination = told(shop, slack)
    second_admin(shop)
    slack.acme.channel("data-alerts").is_archived = True
    assert fails(shop) == [("dead", "slack_is_archived")]
    assert fails(shop) == []
    destination.refresh_from_db()
    assert destination.disabled_because == Because("slack_is_archived").to_json()
    [(member, body)] = Delivery.objects.filter(purpose="notice").values_list("destination__member", "message__body")
    assert member == shop.admin.pk
    assert "archived" in str(body)
    slack.acme.channel("data-alerts").is_archived = False
    lift(Actor(shop.admin), destination.pk, now=NOW)
    assert fails(shop) == [("sent", "")]


def test_a_token_taken_back_silences_the_workspace_and_what_waits_there(shop: Acme, slack: FakeSlack) -> None:
    told(shop, slack)
    told(shop, slack, "data-platform")
    shop.rule(shop.destination(Role.VIEWER))
    slack.uninstall(slack.acme)
    make_run(shop, ago=JUST_NOW)
    make_run(shop, ago=JUST_NOW)
    work()
    to_slack = Delivery.objects.filter(purpose="run", lane__startswith="slack")
    assert set(to_slack.values_list("state", flat=True)) <= {"dead", "suppressed"}
    assert {row.last_because["code"] for row in to_slack if row.last_because} == {"slack_account_inactive"}
    assert set(Delivery.objects.filter(purpose="run", lane="email").values_list("state", flat=True)) == {"sent"}
    team = SlackWorkspace.objects.get()
    assert team.broken_because == Because("slack_account_inactive").to_json()
    assert set(Destination.objects.filter(kind="slack").values_list("disabled_because", flat=True)) == {None}
    assert fails(shop) == [("sent", "")]


def test_a_token_that_ran_out_is_renewed_before_anything_is_called_broken(shop: Acme, slack: FakeSlack) -> None:
    told(shop, slack)
    SlackWorkspace.objects.update(refresh_token="xoxe-1-secret", check_at=None)
    slack.refuse("token_expired", slack.acme.channel("data-alerts"), times=1)
    assert fails(shop) == [("sent", "")]
    team = SlackWorkspace.objects.get()
    assert team.broken_because is None
    assert team.check_at is not None


def test_another_slack_channel_goes_on_while_one_is_refused(shop: Acme, slack: FakeSlack) -> None:
    told(shop, slack, "announcements")
    told(shop, slack, "data-platform")
    assert sorted(fails(shop)) == [("dead", "slack_restricted_action"), ("sent", "")]
