"""Tokens of Slack workspaces: asked with, needed or not, renewed and taken back. No transaction is open while Slack is asked."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import QuerySet

from runbell.channels.slack_api import SlackApi, Tokens
from runbell.channels.slack_errors import SlackTrouble, TroubleKind
from runbell.core.because import Because
from runbell.server.db.models import SlackLink, SlackWorkspace

CHECK_EVERY = timedelta(days=1)
RENEW_BEFORE = timedelta(hours=2)  # of 12; as slack_sdk's TokenRotator does
AGAIN = timedelta(minutes=5)  # after trouble on the way
WAY_DOWN = ("slack_unreachable", "slack_tls", "slack_silent", "slack_no_answer", "slack_http")
REACH = "runbell.slack.reach"
ROTATED = ("token", "refresh_token", "token_expires_at", "scopes")


@contextmanager
def asking(token: str = "", *, now: datetime) -> Iterator[SlackApi]:
    """Slack's Web API for a few calls; whether it could be reached is noted for the Integrations page."""
    with closing(SlackApi(settings.RUNBELL_SLACK_API_URL, token)) as api:
        try:
            yield api
        except SlackTrouble as trouble:
            note_reach(trouble.because if trouble.because.code in WAY_DOWN else None, now=now)
            raise
    note_reach(None, now=now)


def note_reach(because: Because | None, *, now: datetime) -> None:
    cache.set(REACH, {"because": because.to_json() if because else None, "at": now.isoformat()}, timeout=None)


def live_links(workspace_id: int) -> bool:
    return SlackLink.objects.filter(workspace=workspace_id, ended_at=None).exists()


def is_needed(team_id: str, client_id: str) -> bool:
    """Whether anybody's link lives on a token of this app in this workspace. There is one for all accounts that share the app."""
    rows = SlackLink.objects.filter(workspace__team_id=team_id, workspace__client_id=client_id, ended_at=None)
    return rows.exclude(workspace__token="").exists()


def sharing(team_id: str, client_id: str) -> QuerySet[SlackWorkspace]:
    """One row per account that lives on this installation. Whoever holds more than one of them holds them in the order of their ids."""
    return SlackWorkspace.objects.filter(team_id=team_id, client_id=client_id).exclude(token="").order_by("pk")


def share(workspace: SlackWorkspace) -> None:
    """Gives other accounts the token just saved here. With rotation two may live at a time, and a third ends the oldest
    (https://docs.slack.dev/authentication/using-token-rotation): were each account to renew one of its own, they would end one another's.
    """
    if workspace.refresh_token:
        others = sharing(workspace.team_id, workspace.client_id).exclude(pk=workspace.pk)
        others.update(**{name: getattr(workspace, name) for name in ROTATED})


def next_check(expires_at: datetime | None, *, now: datetime) -> datetime:
    """Daily, and in time for a token that runs out."""
    daily = now + CHECK_EVERY
    return min(daily, max(expires_at - RENEW_BEFORE, now + AGAIN)) if expires_at else daily


def store(workspace: SlackWorkspace, tokens: Tokens, *, now: datetime) -> None:
    """Into the row, for the caller to save under its lock."""
    workspace.token, workspace.refresh_token = tokens.token, tokens.refresh_token
    workspace.token_expires_at = now + timedelta(seconds=tokens.expires_in) if tokens.expires_in else None
    workspace.scopes = list(tokens.scopes) or workspace.scopes
    workspace.check_at = next_check(workspace.token_expires_at, now=now)


def take_back(tokens: Tokens, *, team_id: str, client_id: str, now: datetime) -> None:
    """Revokes what was just given and will not be kept. Without rotation that would end the installation for all who need it
    (https://docs.slack.dev/reference/methods/auth.revoke), so then it stays. Trouble on the way leaves a token that nobody knows.
    """
    if tokens.refresh_token or not is_needed(team_id, client_id):
        try:
            with asking(tokens.token, now=now) as api:
                api.revoke()
        except SlackTrouble:
            return


def revoke_unused(workspace_id: int, *, now: datetime) -> None:
    """After the last link went. While Slack cannot be asked the token stays in its row, and the worker asks again."""
    workspace = SlackWorkspace.objects.get(pk=workspace_id)
    if not workspace.token or live_links(workspace_id):
        return
    if not is_needed(workspace.team_id, workspace.client_id):
        try:
            with asking(workspace.token, now=now) as api:
                api.revoke()
        except SlackTrouble as trouble:
            if trouble.kind is TroubleKind.TRANSIENT:
                return
    _forget(workspace_id, workspace.token, now)


@transaction.atomic
def _forget(workspace_id: int, token: str, now: datetime) -> None:
    """Unless somebody linked meanwhile: then a token that was the same all along is looked at again at once."""
    workspace = SlackWorkspace.objects.select_for_update().get(pk=workspace_id)
    if live_links(workspace_id):
        workspace.check_at = now
    elif workspace.token == token:
        workspace.token = workspace.refresh_token = ""
        workspace.token_expires_at = workspace.check_at = None
    workspace.save(update_fields=["token", "refresh_token", "token_expires_at", "check_at"])
