"""What events would tell, found without them: daily, and when somebody asks. Runs beside the lanes, and never inside a transaction.

A workspace is claimed by moving its `check_at` ahead, which holds between workers and across the calls to Slack, as no row lock could:
on SQLite that would be the lock of the whole database. So a refresh token, good for one use, is used by one worker alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import Min

from runbell.channels.slack_api import Identity, SlackApi, SlackUser, Tokens
from runbell.channels.slack_errors import SlackTrouble, TroubleKind
from runbell.core.because import Because
from runbell.core.permissions import Action
from runbell.server.db.models import SlackApp, SlackLink, SlackWorkspace
from runbell.server.services import limits
from runbell.server.services.access import Actor
from runbell.server.services.slack_apps import app_of
from runbell.server.services.slack_linking import fits
from runbell.server.services.slack_links import end_link, workspace_broke, workspace_works
from runbell.server.services.slack_tokens import (
    AGAIN,
    REACH,
    RENEW_BEFORE,
    ROTATED,
    asking,
    live_links,
    next_check,
    revoke_unused,
    share,
    sharing,
    store,
)

LEASE = timedelta(minutes=3)
REACH_EVERY = timedelta(hours=1)
AT_ONCE = 20
CHECKS_A_MINUTE = 6


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether Slack answered, when it was last asked. `because`: why not."""

    at: datetime
    because: Because | None


def run_due(now: datetime) -> datetime | None:
    """Everything that is due, and when something is again. Where an app is set it is also asked whether Slack can be reached at all."""
    for pk in list(SlackWorkspace.objects.filter(check_at__lte=now).order_by("check_at").values_list("pk", flat=True)[:AT_ONCE]):
        if SlackWorkspace.objects.filter(pk=pk, check_at__lte=now).update(check_at=now + LEASE):
            check(pk, now=now)
    last = reach()
    if _has_app() and (last is None or last.at <= now - REACH_EVERY):
        ask_reach(now=now)
    soonest: datetime | None = SlackWorkspace.objects.aggregate(at=Min("check_at"))["at"]
    return soonest


def check_now(actor: Actor, *, now: datetime) -> None:
    """For the button of the Integrations page. Raises `NotAllowed`, `TooMany`."""
    actor.require(Action.LINK_SLACK)
    limits.take(f"slack-check:{actor.account_id}", CHECKS_A_MINUTE, now=now)
    ask_reach(now=now)
    for pk in SlackWorkspace.objects.filter(account=actor.account_id).exclude(token="").values_list("pk", flat=True)[:AT_ONCE]:
        check(pk, now=now, may_renew=False)


def reach() -> Reach | None:
    """None: not asked yet."""
    found = cache.get(REACH)
    if not found:
        return None
    return Reach(datetime.fromisoformat(found["at"]), Because.from_json(found["because"]) if found["because"] else None)


def ask_reach(*, now: datetime) -> None:
    """Without a token Slack refuses, and so is there."""
    try:
        with asking(now=now) as api:
            api.auth_test()
    except SlackTrouble:
        return


def _has_app() -> bool:
    return bool(settings.RUNBELL_SLACK_CLIENT_ID) or SlackApp.objects.exists()


def check(workspace_id: int, *, now: datetime, may_renew: bool = True) -> None:
    """One workspace: its token, and whoever linked it."""
    workspace = SlackWorkspace.objects.select_related("account").get(pk=workspace_id)
    if not workspace.token or not live_links(workspace_id):
        _finish_unused(workspace, now)
        return
    try:
        if may_renew:
            _renew(workspace, now)
        _look(workspace, now)
    except SlackTrouble as trouble:
        _take_trouble(workspace, trouble, now)


def _finish_unused(workspace: SlackWorkspace, now: datetime) -> None:
    if workspace.token:
        revoke_unused(workspace.pk, now=now)
    else:
        SlackWorkspace.objects.filter(pk=workspace.pk, token="").update(check_at=None)


def _renew(workspace: SlackWorkspace, now: datetime) -> None:
    """In time before the token runs out, and written before it is used. While the old one holds, trouble only makes it try again."""
    if not workspace.refresh_token or not _is_ours_to_renew(workspace, now):
        return
    used, app = workspace.refresh_token, app_of(workspace.account_id)
    try:
        with asking(now=now) as api:
            tokens = api.refresh(workspace.client_id, app.client_secret if app.client_id == workspace.client_id else "", used)
    except SlackTrouble:
        has_run_out = workspace.token_expires_at and workspace.token_expires_at <= now
        workspace.refresh_from_db()
        if has_run_out and workspace.refresh_token == used:  # else another account was faster
            raise
        return
    _store_all(workspace, used, tokens, now)
    workspace.refresh_from_db()


def _is_ours_to_renew(workspace: SlackWorkspace, now: datetime) -> bool:
    """Of the accounts that share a token the oldest renews it for all; when it has not done so late in time, whichever comes first."""
    if not workspace.token_expires_at or workspace.token_expires_at > now + RENEW_BEFORE:
        return False
    first = sharing(workspace.team_id, workspace.client_id).values_list("pk", flat=True).first()
    return first == workspace.pk or workspace.token_expires_at <= now + RENEW_BEFORE / 2


@transaction.atomic
def _store_all(workspace: SlackWorkspace, used: str, tokens: Tokens, now: datetime) -> None:
    """In all accounts that share it, unless somebody linked anew meanwhile: theirs is the newer token."""
    rows = list(sharing(workspace.team_id, workspace.client_id).select_for_update())
    row = next((row for row in rows if row.pk == workspace.pk), None)
    if row and row.refresh_token == used:
        store(row, tokens, now=now)
        row.save(update_fields=ROTATED)
        share(row)


def _look(workspace: SlackWorkspace, now: datetime) -> None:
    links = list(SlackLink.objects.select_related("workspace__account", "member__user").filter(workspace=workspace, ended_at=None))
    with asking(workspace.token, now=now) as api:
        identity = api.auth_test()
        people = {link.pk: _person(api, link) for link in links}
    _keep(workspace, identity, links, people, now)


def _person(api: SlackApi, link: SlackLink) -> SlackUser | None:
    """None: Slack knows nobody by this id any more."""
    try:
        return api.user(link.slack_user_id)
    except SlackTrouble as trouble:
        if trouble.kind is TroubleKind.REFUSED:
            return None
        raise


@transaction.atomic
def _keep(
    workspace: SlackWorkspace, identity: Identity, links: list[SlackLink], people: Mapping[int, SlackUser | None], now: datetime
) -> None:
    """What was seen with a token that was replaced meanwhile says nothing any more."""
    row = SlackWorkspace.objects.select_for_update().get(pk=workspace.pk)
    if row.token != workspace.token:
        return
    row.name, row.url = (identity.team_name or row.name)[:200], identity.url[:300]
    if row.check_at == workspace.check_at:  # else an event asked for another look while this one was under way
        is_short = row.token_expires_at and row.token_expires_at <= now + RENEW_BEFORE
        row.check_at = now + AGAIN if is_short else next_check(row.token_expires_at, now=now)
    workspace_works(row, now=now)
    row.save()
    for link in links:
        person = people[link.pk]
        if person and fits(person):
            SlackLink.objects.filter(pk=link.pk).update(rank=person.rank, checked_at=now)
        else:
            end_link(link, lost_rank(link, now=now), now=now)


def lost_rank(link: SlackLink, *, now: datetime) -> Because:
    who = link.member.user.name or link.member.user.email
    return Because("slack_not_owner", {"who": who, "at": now.isoformat(), "need": settings.RUNBELL_SLACK_REQUIRE})


def _take_trouble(workspace: SlackWorkspace, trouble: SlackTrouble, now: datetime) -> None:
    """A way that is down says nothing of the workspace. Any other refusal of `auth.test`, or of renewing, does."""
    is_passing = trouble.kind is TroubleKind.TRANSIENT
    with transaction.atomic():
        row = SlackWorkspace.objects.select_for_update().get(pk=workspace.pk)
        if row.token != workspace.token:
            return
        row.check_at = now + max(AGAIN, trouble.retry_after or AGAIN) if is_passing else next_check(None, now=now)
        row.save(update_fields=["check_at"])
        if not is_passing:
            workspace_broke(row.pk, trouble.because, now=now, is_sure=True)
