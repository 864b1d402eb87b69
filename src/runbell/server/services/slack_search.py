"""Finding a Slack channel among those kept here, while somebody types."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, IntegerField, QuerySet, Value, When

from runbell.core.because import Because
from runbell.core.permissions import Action
from runbell.server.db.models import SlackChannel, SlackWorkspace
from runbell.server.services.access import Actor
from runbell.server.services.slack_lookup import linked, read_id
from runbell.server.services.slack_pages import Configured, book
from runbell.server.services.slack_targets import unusable

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Known:
    """A Slack channel that nobody has configured. `unusable`: why it cannot be, as a code."""

    key: str
    name: str
    workspace: str
    members: int | None
    unusable: str


@dataclass(frozen=True, slots=True)
class Listing:
    """How fresh what is kept here is. `listed_at` None: never listed. `trouble`: why the last try ended early."""

    is_busy: bool
    found: int
    listed_at: datetime | None
    trouble: Because | None


@dataclass(frozen=True, slots=True)
class Found:
    """`total` counts all public Slack channels that can be chosen, and those that are configured. `paste`: the text is an ID or a link that Slack can be asked about."""

    configured: tuple[Configured, ...]
    webhooks: tuple[Configured, ...]
    known: tuple[Known, ...]
    total: int
    listing: Listing
    paste: str

    @property
    def shown(self) -> int:
        return len(self.configured) + sum(not one.unusable for one in self.known)  # a webhook is none


def search(actor: Actor, text: str, *, now: datetime) -> Found:
    """Seven queries, however many there are. An empty text finds the first by name. Raises `NotAllowed`."""
    actor.require(Action.LINK_SLACK)
    asked, pasted = text.strip().removeprefix("#").lower(), read_id(text)
    shelf = book(actor)
    lines, workspaces = shelf.channels, list(linked(actor))
    is_fitting = {line.key for line in lines if asked in line.name.lower() or (pasted and line.key.endswith(f":{pasted}"))}
    rows = SlackChannel.objects.filter(workspace__in=workspaces)
    public = rows.filter(is_gone=False, is_private=False)
    wanted = rows.filter(channel_id=pasted) if pasted else public.filter(name__icontains=asked)
    taken = {line.key for line in lines}
    found = [one for row in _ordered(wanted, asked)[: SHOWN + len(taken)] if (one := _known(row)).key not in taken][:SHOWN]
    return Found(
        configured=tuple(line for line in lines if line.key in is_fitting),
        webhooks=tuple(line for line in shelf.webhooks if asked in line.name.lower()),
        known=tuple(found),
        total=public.filter(is_archived=False).exclude(channel_id__in=[key.partition(":")[2] for key in taken]).count() + len(taken),
        listing=_listing(workspaces, now),
        paste=pasted if pasted and not (found or is_fitting) else "",
    )


def listing(actor: Actor, *, now: datetime) -> Listing:
    return _listing(list(linked(actor)), now)


def _ordered(rows: QuerySet[SlackChannel], asked: str) -> QuerySet[SlackChannel]:
    """By workspace; archived ones last, names that begin with what was typed first."""
    place = Case(
        When(is_archived=True, then=Value(2)), When(name__startswith=asked, then=Value(0)), default=Value(1), output_field=IntegerField()
    )
    return rows.select_related("workspace").order_by("workspace__name", "workspace", place, "name", "pk")


def _known(row: SlackChannel) -> Known:
    return Known(f"{row.workspace.team_id}:{row.channel_id}", row.name, row.workspace.name, row.members, unusable(row))


def _listing(workspaces: list[SlackWorkspace], now: datetime) -> Listing:
    busy = [workspace for workspace in workspaces if _is_busy(workspace, now)]
    listed = [workspace.listed_at for workspace in workspaces]
    trouble = next((workspace.listing_trouble for workspace in workspaces if workspace.listing_trouble), None)
    return Listing(
        is_busy=bool(busy),
        found=sum(workspace.listing_found for workspace in busy),
        listed_at=min((at for at in listed if at), default=None) if all(listed) else None,
        trouble=Because.from_json(trouble) if trouble else None,
    )


def _is_busy(workspace: SlackWorkspace, now: datetime) -> bool:
    """Asked for, or going on."""
    if workspace.listing_wanted_at and workspace.listing_wanted_at <= now:
        return True
    started, listed = workspace.listing_started_at, workspace.listed_at
    return started is not None and (listed is None or listed < started) and workspace.listing_trouble is None
