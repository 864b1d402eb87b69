"""Linking a Slack workspace: to Slack's page, back with a code, and the code for a token (https://docs.slack.dev/authentication/installing-with-oauth).

Whoever comes back must be who left: the state is a secret of the session, of which the session holds the SHA-256 alone.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from runbell.channels.slack_api import Installation, SlackUser
from runbell.channels.slack_errors import SlackTrouble, because_of
from runbell.core.because import Because
from runbell.core.permissions import Action
from runbell.server.db import bell
from runbell.server.db.models import Account, Member, SlackLink, SlackWorkspace
from runbell.server.services import audit
from runbell.server.services.access import Actor
from runbell.server.services.slack_apps import SCOPES, App, app_of, callback_url, is_public
from runbell.server.services.slack_links import configured, workspace_works
from runbell.server.services.slack_tokens import asking, share, store, take_back

RANKS = {
    "owner": ("primary_owner", "owner"),
    "admin": ("primary_owner", "owner", "admin"),
    "any": ("primary_owner", "owner", "admin", "member"),
}


class Refused(Exception):
    """Nothing was linked, and why."""

    def __init__(self, because: Because) -> None:
        super().__init__(because.code)
        self.because = because


@dataclass(frozen=True, slots=True)
class Linked:
    """`revived`: Slack channels that were silent and are not any more."""

    workspace: str
    revived: int


def digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def begin_link(actor: Actor) -> tuple[str, str]:
    """The URL of Slack's page, and the state to expect. Raises `NotAllowed`, and `Refused` when the server is not ready for it."""
    actor.require(Action.LINK_SLACK)
    app, state = _ready_app(actor), secrets.token_urlsafe(32)
    asked = {"client_id": app.client_id, "scope": ",".join(SCOPES), "redirect_uri": callback_url(), "state": state}
    return f"{settings.RUNBELL_SLACK_URL}/oauth/v2/authorize?{urlencode(asked)}", state


def _ready_app(actor: Actor) -> App:
    app = app_of(actor.account_id)
    if not (app.is_whole and is_public(settings.RUNBELL_PUBLIC_URL)):
        raise Refused(Because("slack_not_ready"))
    return app


def turned_back(word: str) -> Because:
    """What Slack's page sends back instead of a code. There `access_denied` is a person's no."""
    return Because("slack_cancelled") if word in ("access_denied", "") else because_of(word)


def finish_link(actor: Actor, code: str, *, now: datetime) -> Linked:
    """The state was checked. Raises `NotAllowed`, and `Refused`; then nothing is kept, neither here nor, if it can be reached, at Slack."""
    actor.require(Action.LINK_SLACK)
    app = _ready_app(actor)
    installed = _exchange(app, code, now)
    try:
        person = _person(installed, now)
        return _keep(actor, app, installed, person, now)
    except Exception:
        take_back(installed.tokens, team_id=installed.team_id, client_id=app.client_id, now=now)
        raise


def _exchange(app: App, code: str, now: datetime) -> Installation:
    try:
        with asking(now=now) as api:
            return api.access(app.client_id, app.client_secret, code, callback_url())
    except SlackTrouble as trouble:
        because = trouble.because
    raise Refused(because)  # out here: the trouble's own frames hold the code


def _person(installed: Installation, now: datetime) -> SlackUser:
    """Who allowed it, when they are what RUNBELL_SLACK_REQUIRE asks for. The bot's token may ask about people."""
    if installed.is_enterprise_install or not installed.team_id:
        raise Refused(Because("slack_cannot_install_an_org_installed_app"))
    try:
        with asking(installed.tokens.token, now=now) as api:
            person = api.user(installed.user_id)
    except SlackTrouble as trouble:
        raise Refused(trouble.because) from None
    if not fits(person):
        needed = {"workspace": installed.team_name, "need": settings.RUNBELL_SLACK_REQUIRE}
        raise Refused(Because("slack_owner_needed", needed))
    return person


def fits(person: SlackUser) -> bool:
    return not (person.is_deleted or person.is_bot or person.is_guest) and person.rank in RANKS[settings.RUNBELL_SLACK_REQUIRE]


@transaction.atomic
def _keep(actor: Actor, app: App, installed: Installation, person: SlackUser, now: datetime) -> Linked:
    """Who links goes one by one in an account, and is asked again whether they still may."""
    account = Account.objects.select_for_update(no_key=True).get(pk=actor.account_id)
    Actor(Member.objects.get(pk=actor.member.pk, is_active=True)).require(Action.LINK_SLACK)
    rows = SlackWorkspace.objects.select_for_update().filter(Q(account=account) | Q(client_id=app.client_id), team_id=installed.team_id)
    known = next((row for row in rows.order_by("pk") if row.account_id == account.pk), None)
    workspace = known or SlackWorkspace(account=account, team_id=installed.team_id, created_at=now)
    silent = _silent(workspace, actor.member)
    workspace.name, workspace.enterprise_id = installed.team_name[:200], installed.enterprise_id
    workspace.client_id, workspace.bot_user_id = app.client_id, installed.bot_user_id
    workspace.listing_wanted_at = now
    store(workspace, installed.tokens, now=now)
    workspace_works(workspace, now=now)
    workspace.save()
    share(workspace)
    SlackLink.objects.update_or_create(
        workspace=workspace,
        member=actor.member,
        defaults={
            "slack_user_id": person.id,
            "rank": person.rank,
            "linked_at": now,
            "checked_at": now,
            "ended_at": None,
            "ended_because": None,
            "told_at": None,
        },
    )
    after = {"rank": person.rank} | ({"revived": silent} if silent else {})
    audit.record(account=account, actor=actor, action="slack.link", subject=workspace.name, now=now, after=after)
    transaction.on_commit(bell.ring)
    return Linked(workspace.name, silent)


def _silent(workspace: SlackWorkspace, member: Member) -> int:
    """How many Slack channels this link brings back: the member's own, and those of every living link when the workspace was broken."""
    if workspace._state.adding:
        return 0
    rows = configured(workspace.account_id).filter(link__workspace=workspace)
    if workspace.broken_because:
        return rows.filter(Q(link__member=member) | Q(link__ended_at=None)).count()
    return rows.filter(link__member=member, link__ended_at__isnull=False).count()
