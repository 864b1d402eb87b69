"""Slack channels that an import brought before anybody linked their workspace: kept with their boxes, silent, and adopted by a link.

imported ──> waiting: its key has no workspace ──the Slack channel is seen in a linked workspace──> sent through that workspace's link
"""

from datetime import datetime

from django.db.models import F

from runbell.server.db.models import Destination, Rule, SlackChannel, SlackLink, SlackWorkspace, State
from runbell.server.services import audit
from runbell.server.services.rules import clear_rules
from runbell.server.services.slack_targets import SLACK, name_of, waiting_key

THROUGH = "Slack"


def adopt_waiting(workspace: SlackWorkspace, *, now: datetime) -> None:
    """Those that are public Slack channels of this workspace go to its oldest living link. Call it in a transaction."""
    rows = Destination.objects.filter(account=workspace.account_id, kind=SLACK, state=State.ACTIVE, link=None)
    waiting = {row.settings["channel_id"]: row for row in rows.filter(address_key__startswith=waiting_key(""))}
    link = SlackLink.objects.select_related("member__user").filter(workspace=workspace, ended_at=None).order_by("linked_at", "pk").first()
    if not waiting or link is None:
        return
    there = SlackChannel.objects.filter(
        workspace=workspace, channel_id__in=list(waiting), is_gone=False, is_archived=False, is_private=False
    )
    for channel in there.order_by("pk"):
        _adopt(waiting[channel.channel_id], channel, link, now)


def _adopt(waiting: Destination, channel: SlackChannel, link: SlackLink, now: datetime) -> None:
    key = f"{channel.workspace.team_id}:{channel.channel_id}"
    known = Destination.objects.filter(account=waiting.account_id, kind=SLACK, state=State.ACTIVE, address_key=key).first()
    if known:
        _merge(waiting, known, now)
    else:
        _save(waiting, now, address_key=key, address=f"#{channel.name}", link=link)
    audit.record(
        account=waiting.account,
        actor=None,
        action="slack.take_over",
        subject=f"#{channel.name} · {channel.workspace.name}",
        now=now,
        after={"owner": name_of(known.link if known and known.link else link), "through": THROUGH},
    )


def _merge(waiting: Destination, known: Destination, now: datetime) -> None:
    """Somebody configured it by hand meanwhile: its owner stays, and the boxes add up."""
    rules = waiting.rules.values_list("job", "environment", "outcome", "set_by", "set_at")
    Rule.objects.bulk_create(
        [
            Rule(destination=known, job_id=job, environment_id=environment, outcome=outcome, set_by_id=set_by, set_at=set_at)
            for job, environment, outcome, set_by, set_at in rules
        ],
        ignore_conflicts=True,
    )
    clear_rules(waiting)
    _save(waiting, now, state=State.DELETED)
    _save(known, now)


def _save(destination: Destination, now: datetime, **fields: object) -> None:
    Destination.objects.filter(pk=destination.pk).update(revision=F("revision") + 1, updated_at=now, **fields)
