"""Links of admins to Slack workspaces, and their ends.

    linked ──Unlink · no longer an owner · no longer an admin here──> ended ──links again──> linked
      └ the workspace can break and work again beside: app removed, token revoked

Rules are kept whatever ends. A Slack channel is silent while its owner's link has ended or its workspace is broken; another admin with a
living link takes it over by saving it. Nothing here asks Slack: that is for slack_tokens.py and slack_checks.py, outside transactions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet

from runbell.core.because import Because
from runbell.core.permissions import Action
from runbell.server.db import bell
from runbell.server.db.models import Account, Delivery, Destination, Environment, Member, Rule, SlackLink, SlackWorkspace, State
from runbell.server.services import audit, notices
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.slack_tokens import revoke_unused
from runbell.server.services.withdrawals import withdraw

TAKEN_BACK = ("slack_account_inactive", "slack_token_revoked")  # the token is dead for good
THROUGH = "Slack"
TOLD_AGAIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ChannelLine:
    """A configured Slack channel. `owner`: who its link belongs to; `can_take`: the reader's own link reaches it."""

    name: str
    workspace: str
    owner: str
    rules: int
    environments: tuple[str, ...]
    can_take: bool


@dataclass(frozen=True, slots=True)
class Unlinking:
    """What the end of a link silences, and what goes on in the same workspace."""

    workspace: str
    silent: tuple[ChannelLine, ...]
    goes_on: tuple[ChannelLine, ...]
    is_last: bool  # nobody else links the workspace


def unlinking(actor: Actor, link_id: int) -> Unlinking:
    """Changes nothing. Raises `NotThere` for anything but a living link of one's own."""
    actor.require(Action.LINK_SLACK)
    link = _own(actor, link_id).select_related("workspace").first()
    if link is None:
        raise NotThere
    goes_on = configured(link.workspace.account_id).filter(link__workspace=link.workspace_id, link__ended_at=None).exclude(link=link)
    return Unlinking(
        link.workspace.name,
        channel_lines(configured(link.workspace.account_id).filter(link=link)),
        channel_lines(goes_on),
        is_last=not SlackLink.objects.filter(workspace=link.workspace_id, ended_at=None).exclude(pk=link_id).exists(),
    )


def unlink(actor: Actor, link_id: int, *, now: datetime) -> str:
    """Ends one's own link; the name of its workspace. The last one takes the token along, at once or as soon as Slack can be asked."""
    actor.require(Action.LINK_SLACK)
    with transaction.atomic():
        link = _own(actor, link_id).select_for_update(of=("self",)).select_related("workspace").first()
        if link is None:
            raise NotThere
        _end([link], Because("slack_unlinked", {"who": _name(actor.member), "at": now.isoformat()}), now)
        audit.record(account=_account(link), actor=actor, action="slack.unlink", subject=link.workspace.name, now=now)
    revoke_unused(link.workspace_id, now=now)
    return link.workspace.name


def end_links_of(member: Member, because: Because, *, now: datetime, actor: Actor | None = None) -> None:
    """As by Unlink, in the caller's transaction; the worker revokes what nobody needs."""
    links = list(SlackLink.objects.select_for_update(of=("self",)).select_related("workspace").filter(member=member, ended_at=None))
    _end(links, because, now)
    for link in links:
        _record_end(link, because, actor, now)


def end_link(link: SlackLink, because: Because, *, now: datetime) -> None:
    """Seen from Slack's side, in the caller's transaction. One that has ended stays as it ended."""
    if link.ended_at is None:
        _tell([link], because, now)
        _end([link], because, now)
        _record_end(link, because, None, now)


def leave(actor: Actor, member: Member, *, now: datetime, take_over: bool = False) -> None:
    """`member` ceases to be an admin here, in the caller's transaction."""
    if take_over and actor.member.pk != member.pk:
        hand_over(actor, member, now=now)
    end_links_of(member, Because("slack_no_admin", {"who": _name(member), "at": now.isoformat()}), now=now, actor=actor)


def workspace_broke(workspace_id: int, because: Because, *, now: datetime, is_sure: bool = False) -> None:
    """Nothing can be sent through any link of it, in the caller's transaction. A token that only ran out is renewed first.

    `is_sure`: the token of now was refused. Else the worker tries it at once: what was heard may be about the one before somebody
    linked anew, and then the workspace works again without anybody's doing.
    """
    workspace = SlackWorkspace.objects.select_for_update().get(pk=workspace_id)
    if workspace.token and not is_sure:
        workspace.check_at = now
        transaction.on_commit(bell.ring)
    elif because.code in TAKEN_BACK:
        workspace.token = workspace.refresh_token = ""
        workspace.token_expires_at = workspace.check_at = None
    is_news = workspace.broken_because is None
    if not (because.code == "slack_token_expired" and workspace.refresh_token and not is_sure):
        workspace.broken_because = because.to_json()
        workspace.broken_at = workspace.broken_at or now
        _silence(workspace, because, is_news, now)
    workspace.save(update_fields=["broken_because", "broken_at", "token", "refresh_token", "token_expires_at", "check_at"])


def _silence(workspace: SlackWorkspace, because: Because, is_news: bool, now: datetime) -> None:
    withdraw(Delivery.objects.filter(destination__link__workspace=workspace), because, now=now)
    if is_news:
        links = SlackLink.objects.filter(workspace=workspace, ended_at=None)
        _tell(links.select_related("workspace", "member__user", "member__account"), because, now)
        after = {"because": because.to_json(), "through": THROUGH}
        audit.record(account=workspace.account, actor=None, action="slack.break", subject=workspace.name, now=now, after=after)


def workspace_works(workspace: SlackWorkspace, *, now: datetime) -> None:
    """Into the row, for the caller to save under its lock."""
    workspace.checked_at, workspace.broken_because, workspace.broken_at = now, None, None


def would_silence(actor: Actor, member_id: int) -> tuple[ChannelLine, ...]:
    """The Slack channels that go silent when this member ceases to be an admin here."""
    return channel_lines(configured(actor.account_id).filter(link__member=member_id, link__ended_at=None), reader=actor.member)


def hand_over(actor: Actor, member: Member, *, now: datetime) -> int:
    """What `member` configured goes on through the actor's links, as far as those reach; how many. In the caller's transaction."""
    actor.require(Action.LINK_SLACK)
    mine = dict(SlackLink.objects.filter(member=actor.member, ended_at=None).values_list("workspace", "pk"))
    theirs = Destination.objects.select_for_update(of=("self",)).select_related("link__workspace").order_by("pk")
    taken = [
        destination
        for destination in theirs.filter(account=actor.account_id, state=State.ACTIVE, link__member=member)
        if destination.link and destination.link.workspace_id in mine
    ]
    for destination in taken:
        assert destination.link is not None
        destination.link_id, destination.updated_at = mine[destination.link.workspace_id], now
        destination.revision += 1
        destination.save(update_fields=["link", "revision", "updated_at"])
        audit.record(
            account=actor.member.account,
            actor=actor,
            action="slack.take_over",
            subject=f"{destination.address} · {destination.link.workspace.name}",
            now=now,
            before={"owner": _name(member)},
            after={"owner": _name(actor.member)},
        )
    return len(taken)


def channel_lines(rows: QuerySet[Destination], *, reader: Member | None = None) -> tuple[ChannelLine, ...]:
    """Three queries, however many there are."""
    found = list(rows.select_related("link__workspace", "link__member__user").annotate(n=Count("rules")).order_by("address", "pk"))
    reach = set(SlackLink.objects.filter(member=reader, ended_at=None).values_list("workspace", flat=True)) if reader else set()
    places = _environments(found)
    return tuple(
        ChannelLine(
            name=row.address.removeprefix("#"),
            workspace=row.link.workspace.name,
            owner=_name(row.link.member),
            rules=row.n,
            environments=places.get(row.pk, ()),
            can_take=row.link.workspace_id in reach and row.link.member_id != (reader.pk if reader else None),
        )
        for row in found
        if row.link
    )


def _environments(destinations: Sequence[Destination]) -> dict[int, tuple[str, ...]]:
    ids = [destination.pk for destination in destinations]
    pairs = set(Environment.objects.filter(rules__destination__in=ids).values_list("rules__destination", "name"))
    pairs |= set(Environment.objects.filter(jobs__rules__destination__in=ids).values_list("jobs__rules__destination", "name"))
    names: dict[int, tuple[str, ...]] = {}
    for destination_id, name in sorted(pairs):
        names[destination_id] = (*names.get(destination_id, ()), name)
    return names


def configured(account_id: int) -> QuerySet[Destination]:
    """Slack channels that something was chosen for."""
    chosen = Exists(Rule.objects.filter(destination=OuterRef("pk")))
    return Destination.objects.filter(chosen, account=account_id, state=State.ACTIVE, link__isnull=False)


def _own(actor: Actor, link_id: int) -> QuerySet[SlackLink]:
    return SlackLink.objects.filter(pk=link_id, member=actor.member, workspace__account=actor.account_id, ended_at=None)


def _end(links: Iterable[SlackLink], because: Because, now: datetime) -> None:
    for link in links:
        link.ended_at, link.ended_because = now, because.to_json()
        link.save(update_fields=["ended_at", "ended_because"])
        withdraw(Delivery.objects.filter(destination__link=link), because, now=now)
        # The worker revokes a token that nobody needs now, when whoever ended the link does not, or cannot.
        SlackWorkspace.objects.filter(pk=link.workspace_id).exclude(token="").update(check_at=now)
        transaction.on_commit(bell.ring)


def _tell(links: Iterable[SlackLink], because: Because, now: datetime) -> None:
    """Whoever's Slack channels are silent now, by mail: once for a trouble, and once a day at most however often it comes and goes."""
    for link in links:
        names = [row.address for row in configured(link.workspace.account_id).filter(link=link).order_by("address")]
        if names and (link.told_at is None or link.told_at <= now - TOLD_AGAIN):
            notices.tell_slack_stopped(link.member, link.workspace.name, names, because, now=now)
            SlackLink.objects.filter(pk=link.pk).update(told_at=now)


def _record_end(link: SlackLink, because: Because, actor: Actor | None, now: datetime) -> None:
    through = {} if actor else {"through": THROUGH}
    after = {"because": because.to_json(), "owner": _name(link.member), **through}
    audit.record(account=_account(link), actor=actor, action="slack.link_end", subject=link.workspace.name, now=now, after=after)


def _account(link: SlackLink) -> Account:
    return link.workspace.account


def _name(member: Member) -> str:
    return member.user.name or member.user.email
