"""What the Slack notifications page shows beside the boxes: configured Slack channels with their owners, workspaces, and who may change it all."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from runbell.core.because import Because
from runbell.core.permissions import Action, Role
from runbell.server.db.models import Destination, Member, SlackLink, SlackWorkspace, State
from runbell.server.services.access import Actor
from runbell.server.services.decisions import silent_because
from runbell.server.services.slack_forgetting import WEBHOOK
from runbell.server.services.slack_targets import SlackTarget, configured, name_of, slack_target_for
from runbell.server.services.slack_webhooks import WebhookTarget, webhook_for

AnyTarget = SlackTarget | WebhookTarget


@dataclass(frozen=True, slots=True)
class Configured:
    """A line of the picker. `silent`: why nothing goes there."""

    key: str
    name: str
    workspace: str
    owner: str
    is_own: bool
    rules: int
    silent: Because | None


@dataclass(frozen=True, slots=True)
class Workspace:
    """`is_mine`: the reader has a link of their own that works; `is_linked`: anybody has. `trouble`: seen from Slack's side."""

    id: int
    name: str
    is_linked: bool
    is_mine: bool
    trouble: Because | None


@dataclass(frozen=True, slots=True)
class Book:
    """`may_start`: the reader may take any public Slack channel, given a link of their own."""

    channels: tuple[Configured, ...]
    webhooks: tuple[Configured, ...]
    workspaces: tuple[Workspace, ...]
    may_start: bool

    def first(self) -> str:
        """What is shown when nothing is asked for: one's own before others'."""
        return next((line.key for line in sorted((*self.channels, *self.webhooks), key=lambda line: not line.is_own)), "")

    def rules_of(self, key: str) -> int:
        return next((line.rules for line in (*self.channels, *self.webhooks) if line.key == key), 0)


@dataclass(frozen=True, slots=True)
class Ownership:
    """Through whom a Slack channel hears, and whether that works. Times are when it last worked, or ended."""

    owner: str
    is_own: bool
    saved_at: datetime
    workspace: str
    is_alive: bool
    at: datetime | None


def book(actor: Actor) -> Book:
    """Four queries."""
    rows = configured(actor).annotate(n=Count("rules")).order_by("address", "pk")
    webhooks = Destination.objects.filter(account=actor.account_id, kind=WEBHOOK, state=State.ACTIVE).defer("secret")
    return Book(
        channels=tuple(_line(row, row.n, actor) for row in rows),
        webhooks=tuple(_webhook(row, row.n) for row in webhooks.annotate(n=Count("rules")).order_by("address", "pk")),
        workspaces=_workspaces(actor),
        may_start=actor.may(Action.LINK_SLACK),
    )


def target_for(actor: Actor, key: str) -> AnyTarget:
    """By its key: a webhook's is ``w<id>``, a Slack channel's ``<team>:<channel>``. Raises `NotThere`."""
    number = key.removeprefix("w")
    if key.startswith("w") and number.isascii() and number.isdigit() and len(number) < 16:
        actor.require(Action.SEE_JOBS)
        return WebhookTarget(webhook_for(actor, int(number)))
    return slack_target_for(actor, key)


def ownership(target: AnyTarget, actor: Actor) -> Ownership | None:
    """None for a Slack channel that nobody has configured, or whose owner is gone without trace."""
    link, destination = target.owner, target.destination
    if destination is None or link is None or target.workspace is None:
        return None
    is_alive = link.ended_at is None and link.workspace.broken_because is None
    ended = link.ended_at or link.workspace.broken_at
    return Ownership(
        owner=name_of(link),
        is_own=link.member_id == actor.member.pk,
        saved_at=destination.updated_at,
        workspace=target.workspace.name,
        is_alive=is_alive,
        at=(link.workspace.checked_at or link.checked_at) if is_alive else ended,
    )


def who_may_change(actor: Actor) -> list[str]:
    """Names of those who set Slack channels, admins first."""
    roles = [Role.ACCOUNT_ADMIN, Role.NOTIFICATION_MANAGER]
    members = Member.objects.filter(account=actor.account_id, is_active=True, user__is_active=True, role__in=roles).select_related("user")
    return [member.user.name or member.user.email for member in sorted(members, key=lambda one: (roles.index(Role(one.role)), one.pk))]


def pick(actor: Actor, found: Book, key: str) -> AnyTarget | None:
    """The one asked for, else the first configured. Raises `NotThere` for one that is not there."""
    asked = key or found.first()
    return target_for(actor, asked) if asked else None


def _line(destination: Destination, rules: int, actor: Actor) -> Configured:
    link = destination.link
    return Configured(
        key=destination.address_key,
        name=destination.address.removeprefix("#"),
        workspace=link.workspace.name if link else "",
        owner=name_of(link) if link else "",
        is_own=link is not None and link.member_id == actor.member.pk,
        rules=rules,
        silent=silent_because(destination),
    )


def _webhook(destination: Destination, rules: int) -> Configured:
    """Nobody's in particular: there is no link that could end."""
    return Configured(f"w{destination.pk}", destination.address, "", "", is_own=False, rules=rules, silent=silent_because(destination))


def _workspaces(actor: Actor) -> tuple[Workspace, ...]:
    links: dict[int, set[int]] = {}
    for workspace_id, member_id in SlackLink.objects.filter(workspace__account=actor.account_id, ended_at=None).values_list(
        "workspace", "member"
    ):
        links.setdefault(workspace_id, set()).add(member_id)
    rows = SlackWorkspace.objects.defer("token", "refresh_token").filter(account=actor.account_id).order_by("name", "pk")
    return tuple(
        Workspace(
            id=row.pk,
            name=row.name,
            is_linked=row.pk in links,
            is_mine=actor.member.pk in links.get(row.pk, ()) and row.broken_because is None,
            trouble=Because.from_json(row.broken_because) if row.broken_because else None,
        )
        for row in rows
    )
