"""What the Integrations page shows: who linked what, how it is, and what is missing before anybody can link."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from runbell.core.because import Because
from runbell.core.permissions import Action
from runbell.server.db.models import Destination, SlackLink
from runbell.server.services.access import Actor
from runbell.server.services.pages import initials
from runbell.server.services.slack_apps import App, app_of, events_url, is_public, manifest
from runbell.server.services.slack_checks import Reach, reach
from runbell.server.services.slack_events import heard_at
from runbell.server.services.slack_links import configured


@dataclass(frozen=True, slots=True)
class LinkLine:
    """One link: the living ones, and ended ones whose Slack channels nobody took over. `because`: why nothing goes through it."""

    id: int
    workspace: str
    who: str
    initials: str
    is_own: bool
    is_live: bool
    rank: str
    linked_at: datetime
    channels: tuple[tuple[str, str], ...]
    checked_at: datetime | None
    because: Because | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class SlackState:
    """`has_url`: an address to which Slack lets people come back. `is_trying`: it is loopback, which Slack reaches never."""

    app: App
    links: tuple[LinkLine, ...]
    url: str
    has_url: bool
    is_trying: bool
    manifest: str
    reach: Reach | None
    heard_at: datetime | None
    need: str

    @property
    def is_ready(self) -> bool:
        return self.app.is_whole and self.has_url

    @property
    def client_id_end(self) -> str:
        return self.app.client_id[-4:]


def slack_state(actor: Actor) -> SlackState:
    actor.require(Action.LINK_SLACK)
    app, url = app_of(actor.account_id), settings.RUNBELL_PUBLIC_URL
    return SlackState(
        app=app,
        links=_links(actor),
        url=url,
        has_url=is_public(url),
        is_trying=is_public(url) and not events_url(),
        manifest=manifest(),
        reach=reach(),
        heard_at=heard_at(actor.account_id, is_own=app.is_own),
        need=settings.RUNBELL_SLACK_REQUIRE,
    )


def _links(actor: Actor) -> tuple[LinkLine, ...]:
    """One's own first, then the living ones."""
    rows = SlackLink.objects.filter(workspace__account=actor.account_id).select_related("workspace", "member__user")
    channels: dict[int, list[Destination]] = {}
    for row in configured(actor.account_id).order_by("address", "pk"):
        channels.setdefault(row.link_id or 0, []).append(row)
    lines = [_line(link, channels.get(link.pk, []), actor) for link in rows if link.ended_at is None or link.pk in channels]
    return tuple(sorted(lines, key=lambda line: (not line.is_live, not line.is_own, line.workspace.casefold(), line.id)))


def _line(link: SlackLink, channels: list[Destination], actor: Actor) -> LinkLine:
    user, workspace = link.member.user, link.workspace
    because, since = (link.ended_because, link.ended_at) if link.ended_at else (workspace.broken_because, workspace.broken_at)
    return LinkLine(
        id=link.pk,
        workspace=workspace.name,
        who=user.name or user.email,
        initials=initials(user.name, user.email),
        is_own=link.member_id == actor.member.pk,
        is_live=link.ended_at is None,
        rank=link.rank,
        linked_at=link.linked_at,
        channels=tuple((row.address_key, row.address.removeprefix("#")) for row in channels),
        checked_at=workspace.checked_at,
        because=Because.from_json(because) if because else None,
        since=since,
    )
