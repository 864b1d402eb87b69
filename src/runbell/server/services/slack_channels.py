"""The Slack channels of a workspace, as Slack lists them: kept here, so that thousands can be searched while somebody types.

    wanted ──> page ──> page ──> … ──> listed; wanted again in a day
                 └── Slack says wait ──> goes on at the same page when that is over

Each page is a transaction of its own with the progress in it. A worker that dies begins anew.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Min, Q, QuerySet

from runbell.channels.slack_api import ChannelFact, SlackApi
from runbell.channels.slack_errors import SlackTrouble, TroubleKind
from runbell.core.permissions import Action
from runbell.server.db import bell
from runbell.server.db.models import Destination, SlackChannel, SlackWorkspace, State
from runbell.server.services.access import Actor
from runbell.server.services.slack_forgetting import forget_removed
from runbell.server.services.slack_targets import SLACK
from runbell.server.services.slack_waiting import adopt_waiting

LIST_EVERY = timedelta(days=1)
TRY_AGAIN = timedelta(minutes=5)
CLAIMED = timedelta(minutes=15)  # how long other workers leave a listing alone; one that died begins anew after it
AT_MOST_EVERY = timedelta(seconds=30)  # however often the button is pressed
LOOKED_AFTER = 50  # configured Slack channels that were not listed, asked for one by one

_cursors: dict[int, str] = {}  # where to go on, by workspace; lost with the worker, which costs no more than a listing from the start


def want_listing(actor: Actor, *, now: datetime) -> None:
    """Asks the worker for a fresh list of every workspace that works. Raises `NotAllowed`."""
    actor.require(Action.LINK_SLACK)
    rows = _working().filter(account=actor.account_id).filter(Q(listed_at=None) | Q(listed_at__lt=now - AT_MOST_EVERY))
    with transaction.atomic():
        if rows.filter(Q(listing_wanted_at=None) | Q(listing_wanted_at__gt=now)).update(listing_wanted_at=now, listing_trouble=None):
            transaction.on_commit(bell.ring)


def run_due(now: datetime) -> datetime | None:
    """Lists what is due, and says when something is again."""
    for workspace_id in _working().filter(listing_wanted_at__lte=now).values_list("pk", flat=True):
        claimed = SlackWorkspace.objects.filter(pk=workspace_id, listing_wanted_at__lte=now)
        if claimed.update(listing_wanted_at=now + CLAIMED):
            refresh(workspace_id, now)
    due: datetime | None = _working().aggregate(at=Min("listing_wanted_at"))["at"]
    return min(filter(None, (due, forget_removed(now))), default=None)  # which is due on the same thread


def refresh(workspace_id: int, now: datetime) -> None:
    """All pages, or as many as Slack gives before it asks to wait. Trouble is stored, for the page to word."""
    workspace = _working().filter(pk=workspace_id).first()
    if workspace is None:
        return
    api = SlackApi(settings.RUNBELL_SLACK_API_URL, workspace.token)
    try:
        _list_all(api, workspace, now)
        _look_after(api, workspace, now)
    except SlackTrouble as trouble:
        _put_off(workspace, trouble, now)
    else:
        _finish(workspace, now)
    finally:
        api.close()


def store(workspace: SlackWorkspace, facts: Sequence[ChannelFact], now: datetime) -> None:
    """What Slack says of these, over what was known; configured ones are called by their new names. Call it in a transaction."""
    rows = [
        SlackChannel(
            workspace=workspace,
            channel_id=fact.id,
            name=fact.name[:100],
            members=fact.members,
            is_archived=fact.is_archived,
            is_private=fact.is_private,
            seen_at=now,
        )
        for fact in {fact.id: fact for fact in facts if fact.id}.values()
    ]
    changed = ["name", "members", "is_archived", "is_private", "is_gone", "seen_at"]
    SlackChannel.objects.bulk_create(rows, update_conflicts=True, unique_fields=["workspace", "channel_id"], update_fields=changed)
    names = {f"{workspace.team_id}:{fact.id}": f"#{fact.name}" for fact in facts}
    for destination in _configured(workspace):
        name = names.get(destination.address_key)
        if name and name != destination.address:
            Destination.objects.filter(pk=destination.pk).update(address=name)
    adopt_waiting(workspace, now=now)


def _working() -> QuerySet[SlackWorkspace]:
    """Those that somebody is linked to, with a token that Slack takes."""
    return SlackWorkspace.objects.filter(links__ended_at=None, links__isnull=False, broken_because__isnull=True).distinct()


def _configured(workspace: SlackWorkspace) -> QuerySet[Destination]:
    rows = Destination.objects.filter(account=workspace.account_id, kind=SLACK, state=State.ACTIVE)
    return rows.filter(address_key__startswith=f"{workspace.team_id}:")


def _list_all(api: SlackApi, workspace: SlackWorkspace, now: datetime) -> None:
    cursor = _cursors.get(workspace.pk, "")
    if not cursor:
        workspace.listing_started_at, workspace.listing_found, workspace.listing_trouble = now, 0, None
        workspace.save(update_fields=["listing_started_at", "listing_found", "listing_trouble"])
    while True:
        page = api.channels(cursor)
        with transaction.atomic():
            store(workspace, page.channels, now)
            workspace.listing_found += len(page.channels)
            workspace.listing_trouble = None
            workspace.save(update_fields=["listing_started_at", "listing_found", "listing_trouble"])
        cursor = page.next_cursor
        if not cursor:
            _cursors.pop(workspace.pk, None)
            return
        _cursors[workspace.pk] = cursor


def _look_after(api: SlackApi, workspace: SlackWorkspace, now: datetime) -> None:
    """Why configured ones were not listed: archived, made private or gone. The others are not worth a call each."""
    started = workspace.listing_started_at or now
    ids = {destination.address_key.partition(":")[2] for destination in _configured(workspace)}
    missing = SlackChannel.objects.filter(workspace=workspace, channel_id__in=ids, seen_at__lt=started)
    for row in missing[:LOOKED_AFTER]:
        try:
            fact = api.channel(row.channel_id)
        except SlackTrouble as trouble:
            if trouble.kind is not TroubleKind.CHANNEL:
                raise
            continue
        store(workspace, [fact], now)


def _finish(workspace: SlackWorkspace, now: datetime) -> None:
    started = workspace.listing_started_at or now
    with transaction.atomic():
        SlackChannel.objects.filter(workspace=workspace, seen_at__lt=started, is_gone=False).update(is_gone=True)
        SlackWorkspace.objects.filter(pk=workspace.pk).update(listed_at=now, listing_wanted_at=now + LIST_EVERY, listing_trouble=None)


def _put_off(workspace: SlackWorkspace, trouble: SlackTrouble, now: datetime) -> None:
    if trouble.kind is not TroubleKind.TRANSIENT:
        _cursors.pop(workspace.pk, None)  # it may be what was refused
    wait = LIST_EVERY if trouble.kind is TroubleKind.INSTALLATION else trouble.retry_after or TRY_AGAIN
    rows = SlackWorkspace.objects.filter(pk=workspace.pk)
    rows.update(listing_wanted_at=now + wait, listing_trouble=trouble.because.to_json())
