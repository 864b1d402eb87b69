"""Finding a Slack channel: among those kept here while somebody types, or by an ID or a link, which Slack is asked about."""

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Case, IntegerField, QuerySet, Value, When

from runbell.channels.slack_api import ChannelFact, SlackApi
from runbell.channels.slack_errors import SlackTrouble, TroubleKind
from runbell.core.because import Because
from runbell.core.permissions import Action
from runbell.server.db.models import SlackChannel, SlackWorkspace
from runbell.server.services.access import Actor
from runbell.server.services.slack_channels import store
from runbell.server.services.slack_pages import Configured, book
from runbell.server.services.slack_targets import unusable

SHOWN = 50
ID = re.compile(r"[CG][A-Z0-9]{6,20}")
WAIT = 5.0  # seconds that a person waits for Slack


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
    """`total` counts all public Slack channels. `paste`: the text is an ID or a link that Slack can be asked about."""

    configured: tuple[Configured, ...]
    webhooks: tuple[Configured, ...]
    known: tuple[Known, ...]
    total: int
    listing: Listing
    paste: str

    @property
    def shown(self) -> int:
        return len(self.configured) + len(self.known)  # a webhook is none


class NotFound(LookupError):
    """`code`: what was wrong with an ID or a link; `name` is the workspace or the Slack channel it is about."""

    def __init__(self, code: str, name: str = "", because: Because | None = None) -> None:
        super().__init__(code)
        self.code, self.name, self.because = code, name, because


def search(actor: Actor, text: str, *, now: datetime) -> Found:
    """Seven queries, however many there are. An empty text finds the first by name. Raises `NotAllowed`."""
    actor.require(Action.LINK_SLACK)
    asked, pasted = text.strip().removeprefix("#").lower(), read_id(text)
    shelf = book(actor)
    lines, workspaces = shelf.channels, list(_linked(actor))
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
        total=public.filter(is_archived=False).count(),
        listing=_listing(workspaces, now),
        paste=pasted if pasted and not (found or is_fitting) else "",
    )


def listing(actor: Actor, *, now: datetime) -> Listing:
    return _listing(list(_linked(actor)), now)


def read_id(text: str) -> str:
    """The channel's ID in it: bare, or the last part of a link such as https://acme.slack.com/archives/C07ABCDEF. Empty without one."""
    text = text.strip()
    if ID.fullmatch(text):
        return text
    parts = [part for part in urlsplit(text).path.split("/") if part] if text.startswith("https://") else []
    return next((part for part in parts if ID.fullmatch(part)), "")


def resolve(actor: Actor, text: str, *, now: datetime) -> str:
    """The key of the Slack channel that an ID or a link names. Slack is asked about one that is not known here.

    Raises `NotAllowed` and `NotFound`.
    """
    actor.require(Action.LINK_SLACK)
    channel_id = read_id(text)
    if not channel_id:
        raise NotFound("not_an_id")
    workspaces = _meant(actor, text)
    known = SlackChannel.objects.filter(workspace__in=workspaces, channel_id=channel_id, is_gone=False).select_related("workspace").first()
    if known:
        return _checked(known)
    for workspace in workspaces:
        fact = _asked(workspace, channel_id)
        if fact:
            with transaction.atomic():
                store(workspace, [fact], now)
            return _checked(SlackChannel.objects.select_related("workspace").get(workspace=workspace, channel_id=channel_id))
    raise NotFound("unknown", ", ".join(workspace.name for workspace in workspaces))


def _meant(actor: Actor, text: str) -> list[SlackWorkspace]:
    """A link names its workspace; a bare ID may be of any."""
    host = urlsplit(text.strip()).hostname or ""
    linked = list(_linked(actor))
    if host in ("", "app.slack.com", "app.slack-gov.com"):
        meant = [workspace for workspace in linked if f"/{workspace.team_id}/" in text] or linked
    else:
        meant = [workspace for workspace in linked if urlsplit(workspace.url).hostname in (host, None)]
    if not meant:
        raise NotFound("not_linked", host)
    return meant


def _asked(workspace: SlackWorkspace, channel_id: str) -> ChannelFact | None:
    """None for one that this workspace does not know, or does not show to an app that sees public Slack channels only."""
    api = SlackApi(settings.RUNBELL_SLACK_API_URL, workspace.token, timeout=WAIT)
    try:
        return api.channel(channel_id)
    except SlackTrouble as trouble:
        if trouble.kind is TroubleKind.CHANNEL:
            return None
        raise NotFound("trouble", workspace.name, trouble.because) from None
    finally:
        api.close()


def _checked(channel: SlackChannel) -> str:
    if why := unusable(channel):
        raise NotFound(why, channel.name)
    return f"{channel.workspace.team_id}:{channel.channel_id}"


def _linked(actor: Actor) -> QuerySet[SlackWorkspace]:
    rows = SlackWorkspace.objects.filter(account=actor.account_id, links__ended_at=None, links__isnull=False)
    return rows.filter(broken_because__isnull=True).distinct().order_by("name", "pk")


def _ordered(rows: QuerySet[SlackChannel], asked: str) -> QuerySet[SlackChannel]:
    """By workspace; archived ones last, names that begin with what was typed first."""
    place = Case(
        When(is_archived=True, then=Value(2)), When(name__startswith=asked, then=Value(0)), default=Value(1), output_field=IntegerField()
    )
    return rows.select_related("workspace").order_by("workspace__name", "workspace", place, "name", "pk")


def _known(row: SlackChannel) -> Known:
    return Known(f"{row.workspace.team_id}:{row.channel_id}", row.name, row.workspace.name, row.members, unusable(row))


def _listing(workspaces: list[SlackWorkspace], now: datetime) -> Listing:
    busy = [workspace for workspace in workspaces if workspace.listing_wanted_at and workspace.listing_wanted_at <= now]
    listed = [workspace.listed_at for workspace in workspaces]
    trouble = next((workspace.listing_trouble for workspace in workspaces if workspace.listing_trouble), None)
    return Listing(
        is_busy=bool(busy),
        found=sum(workspace.listing_found for workspace in busy),
        listed_at=min((at for at in listed if at), default=None) if all(listed) else None,
        trouble=Because.from_json(trouble) if trouble else None,
    )
