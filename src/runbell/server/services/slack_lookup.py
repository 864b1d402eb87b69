"""A Slack channel by its ID or a link to it. Slack is asked about one that is not known here."""

import re
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from runbell.channels.slack_api import ChannelFact, SlackApi
from runbell.channels.slack_errors import SlackTrouble, TroubleKind
from runbell.core.because import Because
from runbell.core.permissions import Action
from runbell.server.db.models import SlackChannel, SlackWorkspace
from runbell.server.services.access import Actor
from runbell.server.services.slack_channels import store
from runbell.server.services.slack_targets import unusable

ID = re.compile(r"[CG][A-Z0-9]{6,20}")
WAIT = 5.0  # seconds that a person waits for Slack


class NotFound(LookupError):
    """`code`: what was wrong with an ID or a link; `name` is the workspace or the Slack channel it is about."""

    def __init__(self, code: str, name: str = "", because: Because | None = None) -> None:
        super().__init__(code)
        self.code, self.name, self.because = code, name, because


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
    workspaces = list(linked(actor))
    if host in ("", "app.slack.com", "app.slack-gov.com"):
        meant = [workspace for workspace in workspaces if f"/{workspace.team_id}/" in text] or workspaces
    else:
        meant = [workspace for workspace in workspaces if urlsplit(workspace.url).hostname in (host, None)]
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


def linked(actor: Actor) -> QuerySet[SlackWorkspace]:
    """Workspaces that somebody is linked to and that work."""
    rows = SlackWorkspace.objects.filter(account=actor.account_id, links__ended_at=None, links__isnull=False)
    return rows.filter(broken_because__isnull=True).distinct().order_by("name", "pk").defer("token", "refresh_token")
