"""Linking as a browser does it, against the fake Slack."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.test import Client
from pytest_django import Settings

from runbell.core.permissions import Role
from runbell.server.db.models import Destination, Member, SlackChannel, SlackLink, SlackWorkspace
from runbell.server.services.members import add_member
from runbell.server.services.slack_apps import callback_url
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.events import sign, wrapped
from tests.fakes.slack.world import Channel, Person, Workspace
from tests.quiet import remember
from tests.server.people import NOW, PASSWORD, Acme
from tests.server.slack_shop import configured

CALLBACK, EVENTS = "/integrations/slack/callback", "/integrations/slack/events"
PAGE = "/a/{}/settings/integrations"


@contextmanager
def slack_for(settings: Settings, url: str = "https://runbell.acme.example") -> Iterator[FakeSlack]:
    with FakeSlack() as slack:
        for name, value in slack.settings.items():
            setattr(settings, name, value)
        settings.RUNBELL_PUBLIC_URL = url
        yield slack


def admin(shop: Acme, name: str) -> Member:
    return add_member(account=shop.account, email=f"{name}@acme.test", role=Role.ACCOUNT_ADMIN, password=PASSWORD, now=NOW)


def signed_in(member: Member) -> Client:
    client = Client()
    client.force_login(member.user)
    return client


def page(shop: Acme, rest: str = "") -> str:
    return PAGE.format(shop.account.pk) + rest


def press_link(client: Client, shop: Acme, query: str = "") -> str:
    """The state that Slack is given along."""
    there = client.get(page(shop, f"/slack/link{query}"))["Location"]
    return remember(parse_qs(urlsplit(there).query)["state"][0])


def come_back(client: Client, slack: FakeSlack, person: Person, state: str, team: Workspace | None = None, **how: Any) -> Any:
    code = slack.code(person, team, redirect_uri=callback_url(), **how)
    return client.get(CALLBACK, {"code": code, "state": state})


def do_link(client: Client, shop: Acme, slack: FakeSlack, name: str = "ada", team: Workspace | None = None, **how: Any) -> str:
    """What the page says afterwards."""
    team = team or slack.acme
    answer = come_back(client, slack, team.person(name), press_link(client, shop), team, **how)
    assert answer["Location"] == page(shop), answer.content.decode()[:500]
    return str(client.get(page(shop)).content.decode())


def the_link(member: Member) -> SlackLink:
    return SlackLink.objects.select_related("workspace").get(member=member)


def configure(shop: Acme, member: Member, channel: Channel) -> Destination:
    """As the Slack notifications page does: a destination with a rule, sent through the member's link."""
    team = SlackWorkspace.objects.get(account=shop.account)
    cached, _ = SlackChannel.objects.get_or_create(workspace=team, channel_id=channel.id, defaults={"name": channel.name, "seen_at": NOW})
    destination = configured(cached, SlackLink.objects.get(member=member, workspace=team))
    shop.rule(destination)
    return destination


def tell(slack: FakeSlack, event: dict[str, Any], *, body: bytes = b"", **headers: Any) -> Any:
    """An event of the workspace Acme HQ, signed as Slack signs."""
    body = body or wrapped(slack.acme.installations[slack.app.id], event, slack.now)
    stamp = headers.pop("stamp", str(int(slack.now)))
    signature = headers.pop("signature", "") or sign(headers.pop("secret", slack.app.signing_secret), int(stamp), body)
    return Client().post(
        EVENTS,
        body,
        content_type="application/json",
        headers={"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature},
    )
