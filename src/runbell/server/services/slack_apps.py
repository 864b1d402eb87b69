"""The Slack app that an account links through: its own, else the one of the environment. Its secrets go in and never come out."""

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from runbell.core.fields import CONTROL, BadField
from runbell.core.permissions import Action
from runbell.server.db.models import SlackApp
from runbell.server.services import audit
from runbell.server.services.access import Actor

SCOPES = ("channels:read", "chat:write", "chat:write.public", "users:read", "team:read")
EVENTS = (
    *("app_uninstalled", "tokens_revoked", "channel_rename", "channel_archive", "channel_unarchive", "channel_deleted"),
    "user_change",
)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_SECRET = 200


@dataclass(frozen=True, slots=True)
class App:
    """What is known of an app. `is_own`: the account set it; else it is the environment's, whose parts may be empty."""

    client_id: str
    client_secret: str = field(repr=False)
    signing_secret: str = field(repr=False)
    is_own: bool

    @property
    def is_whole(self) -> bool:
        """Enough to link with. Events need the signing secret beside."""
        return bool(self.client_id and self.client_secret)


def app_of(account_id: int) -> App:
    own = SlackApp.objects.filter(account=account_id).first()
    if own:
        return App(own.client_id, own.client_secret, own.signing_secret, is_own=True)
    return App(settings.RUNBELL_SLACK_CLIENT_ID, settings.RUNBELL_SLACK_CLIENT_SECRET, settings.RUNBELL_SLACK_SIGNING_SECRET, is_own=False)


@transaction.atomic
def save_app(actor: Actor, *, client_id: str, client_secret: str, signing_secret: str, now: datetime) -> None:
    """An empty secret stays as it is, unless the app is another. Raises `NotAllowed`, and `BadField` naming the field."""
    actor.require(Action.LINK_SLACK)
    client_id, client_secret, signing_secret = (
        _clean("client_id", client_id),
        _clean("client_secret", client_secret),
        _clean("signing_secret", signing_secret),
    )
    app = SlackApp.objects.select_for_update().filter(account=actor.account_id).first() or SlackApp(account_id=actor.account_id)
    before = app.client_id
    if not client_id:
        raise BadField("client_id", "is required")
    if client_id != before:
        app.client_secret = app.signing_secret = ""
    app.client_id = client_id
    app.client_secret = client_secret or app.client_secret
    app.signing_secret = signing_secret or app.signing_secret
    if not app.client_secret:
        raise BadField("client_secret", "is required")
    app.updated_by, app.updated_at = actor.member, now
    app.save()
    said = [name for name, value in (("client_secret", client_secret), ("signing_secret", signing_secret)) if value]
    audit.record(
        account=actor.member.account,
        actor=actor,
        action="slack.app",
        subject=client_id,
        now=now,
        before={"client_id": before} if before else {},
        after={"client_id": client_id, "secrets_set": said},
    )


@transaction.atomic
def forget_app(actor: Actor, *, now: datetime) -> None:
    """Back to the environment's. Workspaces linked through the app go on with the tokens they have."""
    actor.require(Action.LINK_SLACK)
    app = SlackApp.objects.select_for_update().filter(account=actor.account_id).first()
    if app:
        app.delete()
        audit.record(account=actor.member.account, actor=actor, action="slack.app_forget", subject=app.client_id, now=now)


def _clean(name: str, raw: str) -> str:
    value = raw.strip()
    if len(value) > MAX_SECRET or CONTROL.search(value) or " " in value:
        raise BadField(name, f"must be one word of at most {MAX_SECRET} characters")
    return value


def is_public(url: str) -> bool:
    """Whether Slack lets people come back there: https, or loopback for trying."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in LOOPBACK


def callback_url() -> str:
    return f"{settings.RUNBELL_PUBLIC_URL}/integrations/slack/callback"


def events_url() -> str:
    """Empty where Slack can never reach us: it sends events to https alone."""
    url = settings.RUNBELL_PUBLIC_URL
    return f"{url}/integrations/slack/events" if url.startswith("https://") else ""


def manifest() -> str:
    """Ready to paste at api.slack.com/apps › From a manifest (https://docs.slack.dev/reference/app-manifest)."""
    lines = [
        "display_information:",
        "  name: Runbell",
        "  description: Tells you how your dbt jobs ended",
        "features:",
        "  bot_user:",
        "    display_name: Runbell",
        "    always_online: true",
        "oauth_config:",
        "  redirect_urls:",
        f"    - {callback_url()}",
        "  scopes:",
        "    bot:",
        *(f"      - {scope}" for scope in SCOPES),
        "settings:",
        *_events(),
        "  org_deploy_enabled: false",
        "  socket_mode_enabled: false",
        "  token_rotation_enabled: false",
    ]
    return "\n".join(lines)


def _events() -> list[str]:
    url = events_url()
    if not url:
        return []
    return ["  event_subscriptions:", f"    request_url: {url}", "    bot_events:", *(f"      - {event}" for event in EVENTS)]
