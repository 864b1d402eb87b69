"""Slack channels that settings can be copied from, and those that an actor may copy to: all that somebody has configured, and webhooks."""

from dataclasses import dataclass

from runbell.core.permissions import Action
from runbell.server.db.models import Destination, SlackChannel, SlackLink, SlackWorkspace, State
from runbell.server.services.access import Actor, NotAllowed, NotThere
from runbell.server.services.rules import count_rules
from runbell.server.services.slack_forgetting import WEBHOOK
from runbell.server.services.slack_pages import AnyTarget
from runbell.server.services.slack_targets import SlackTarget, configured, name_of
from runbell.server.services.slack_webhooks import WebhookTarget


@dataclass(frozen=True, slots=True)
class SlackEntry:
    """`takes_over`: whoever copies to it becomes its owner, instead of `owner`. `workspace` is empty for a webhook."""

    target: AnyTarget
    rules: int
    workspace: str
    owner: str
    may_edit: bool
    takes_over: bool


@dataclass(frozen=True, slots=True)
class SlackDirectory:
    entries: tuple[SlackEntry, ...]

    def find(self, key: str) -> SlackEntry:
        """Raises `NotThere`."""
        found = next((entry for entry in self.entries if entry.target.key == key), None)
        if found is None:
            raise NotThere
        return found

    def writable(self, key: str) -> AnyTarget:
        """Raises `NotThere` and `NotAllowed`."""
        found = self.find(key)
        if not found.may_edit:
            raise NotAllowed(Action.LINK_SLACK)
        return found.target

    @property
    def all_writable(self) -> list[AnyTarget]:
        return [entry.target for entry in self.entries if entry.may_edit]


def slack_directory(actor: Actor) -> SlackDirectory:
    """Seven queries."""
    webhooks = Destination.objects.filter(account=actor.account_id, kind=WEBHOOK, state=State.ACTIVE).defer("secret")
    rows = configured(actor).order_by("address", "pk")
    known, counts = _Known.read(actor), count_rules(configured(actor) | webhooks)
    channels = [_entry(known.target(row), counts[row.pk], actor) for row in rows if row.address_key.partition(":")[0] in known.workspaces]
    return SlackDirectory((*channels, *(_entry(WebhookTarget(row), counts[row.pk], actor) for row in webhooks.order_by("address", "pk"))))


@dataclass(frozen=True, slots=True)
class _Known:
    """Of an account: its workspaces by their Slack id, the Slack channels that are configured by key, and the actor's own links that work."""

    workspaces: dict[str, SlackWorkspace]
    channels: dict[str, SlackChannel]
    mine: dict[int, SlackLink]

    @classmethod
    def read(cls, actor: Actor) -> "_Known":
        workspaces = SlackWorkspace.objects.defer("token", "refresh_token").filter(account=actor.account_id)
        by_id = {row.pk: row for row in workspaces}
        ids = [key.partition(":")[2] for key in configured(actor).values_list("address_key", flat=True)]
        channels = SlackChannel.objects.filter(workspace__in=list(by_id), channel_id__in=ids)
        mine = SlackLink.objects.filter(
            member=actor.member, ended_at=None, workspace__in=list(by_id), workspace__broken_because__isnull=True
        )
        return cls(
            {row.team_id: row for row in by_id.values()},
            {f"{by_id[row.workspace_id].team_id}:{row.channel_id}": row for row in channels},
            {row.workspace_id: row for row in mine},
        )

    def target(self, destination: Destination) -> SlackTarget:
        team, _, channel_id = destination.address_key.partition(":")
        workspace = self.workspaces[team]
        return SlackTarget(workspace, channel_id, self.channels.get(destination.address_key), destination, self.mine.get(workspace.pk))


def _entry(target: AnyTarget, rules: int, actor: Actor) -> SlackEntry:
    owner = target.owner
    return SlackEntry(
        target.promised(owner.pk if owner else 0),
        rules,
        target.workspace.name if target.workspace else "",
        name_of(owner) if owner else "",
        may_edit=target.may_edit(actor),
        takes_over=target.takes_over(actor),
    )
