"""A Slack workspace, links to it and its Slack channels, as the database has them; and the form of their page."""

from typing import Any
from urllib.parse import urlencode

from runbell.core.permissions import Role
from runbell.server.db.models import Destination, Member, SlackChannel, SlackLink, SlackWorkspace
from runbell.server.services.members import add_member
from tests.quiet import MARK
from tests.server.people import NOW, PASSWORD, Acme

TEAM = "T0000001"
HOOK = "https://hooks.slack.com/services/T0000001/B0000001/" + MARK + "{}"


def workspace(shop: Acme, team: str = TEAM, name: str = "Acme HQ", **fields: Any) -> SlackWorkspace:
    facts = {"client_id": "1.2", "token": f"xoxb-{MARK}", "scopes": [], "created_at": NOW, **fields}
    return SlackWorkspace.objects.create(account=shop.account, team_id=team, name=name, **facts)


def link(team: SlackWorkspace, member: Member, **fields: Any) -> SlackLink:
    return SlackLink.objects.create(workspace=team, member=member, slack_user_id=f"U{member.pk}", rank="owner", linked_at=NOW, **fields)


def channel(team: SlackWorkspace, name: str = "data-alerts", channel_id: str = "C0000001", **fields: Any) -> SlackChannel:
    return SlackChannel.objects.create(workspace=team, channel_id=channel_id, name=name, seen_at=NOW, **fields)


def configured(found: SlackChannel, owner: SlackLink | None, **fields: Any) -> Destination:
    """As its first save makes it."""
    return Destination.objects.create(
        account=found.workspace.account,
        kind="slack",
        address=f"#{found.name}",
        address_key=key(found),
        settings={"channel_id": found.channel_id},
        link=owner,
        created_by=owner.member if owner else None,
        public_id=f"slack{found.pk}",
        created_at=NOW,
        updated_at=NOW,
        **fields,
    )


def second_admin(shop: Acme, name: str = "Chen Wei") -> Member:
    member = add_member(account=shop.account, email="chen@acme.test", role=Role.ACCOUNT_ADMIN, password=PASSWORD, now=NOW)
    member.user.name = name
    member.user.save()
    return member


def key(found: SlackChannel) -> str:
    return f"{found.workspace.team_id}:{found.channel_id}"


def slack_url(shop: Acme, found: SlackChannel | str = "", **query: Any) -> str:
    asked = {"channel": found if isinstance(found, str) else key(found), "env": shop.job.environment_id, **query}
    return f"/a/{shop.account.pk}/settings/notifications/slack?" + urlencode({name: value for name, value in asked.items() if value != ""})
