"""Slack channels that boxes are set for. Who saves one first owns its configuration: it is sent through their own link to the workspace.

Another admin takes it over by saving it, through a link of their own; a notification manager edits its boxes and leaves the owner be.
"""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from runbell.core.because import Because
from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.server.db.models import Destination, SlackChannel, SlackLink, SlackWorkspace, State
from runbell.server.services import notices
from runbell.server.services.access import Actor, NotAllowed, NotThere
from runbell.server.services.decisions import SECRETS, silent_because
from runbell.server.services.decisions import SLACK as SLACK
from runbell.server.services.targets import Held


class NoLink(PermissionError):
    """Only who has linked the workspace, through a link that works, may start a Slack channel or take one over."""

    def __init__(self, workspace: SlackWorkspace) -> None:
        super().__init__(f"no live link to {workspace.team_id}")
        self.workspace = workspace


class OwnerChanged(RuntimeError):
    """The Slack channel got another owner since the form was made: saving would take it over from them, which the form did not say."""


@dataclass(frozen=True, slots=True)
class SlackTarget:
    """`mine`: the reader's own live link. `expects`: the owner's link that a form named, 0 for none; None when nothing was promised.

    `stays`: only the boxes are meant, whoever owns the configuration.
    """

    workspace: SlackWorkspace
    channel_id: str
    channel: SlackChannel | None
    destination: Destination | None
    mine: SlackLink | None
    expects: int | None = None
    stays: bool = False
    is_webhook: ClassVar[bool] = False

    @property
    def key(self) -> str:
        return f"{self.workspace.team_id}:{self.channel_id}"

    @property
    def address(self) -> str:
        if self.channel:
            return f"#{self.channel.name}"
        return self.destination.address if self.destination else self.channel_id

    @property
    def name(self) -> str:
        return self.address.removeprefix("#")

    @property
    def subject(self) -> str:
        return f"{self.address} · {self.workspace.name}" if self.workspace.name else self.address

    @property
    def revision(self) -> int:
        return self.destination.revision if self.destination else 0

    @property
    def owner(self) -> SlackLink | None:
        return self.destination.link if self.destination else None

    @property
    def silent(self) -> Because | None:
        return silent_because(self.destination) if self.destination else None

    @property
    def unusable(self) -> str:
        """Why nobody can start it: a code, empty when they can."""
        return unusable(self.channel) if self.channel else ""

    def is_own(self, actor: Actor) -> bool:
        return self.owner is not None and self.owner.member_id == actor.member.pk

    def promised(self, owner_link: int) -> "SlackTarget":
        """As a form speaks of it that named this owner."""
        return replace(self, expects=owner_link)

    def needs_link(self, actor: Actor) -> bool:
        return actor.may(Action.LINK_SLACK) and self.mine is None

    def may_edit(self, actor: Actor) -> bool:
        """Whether `require_save` lets the actor through."""
        if not actor.may(Action.SET_ANY_NOTIFICATIONS):
            return False
        if actor.may(Action.LINK_SLACK) and not self.stays:
            return self.mine is not None and not (self.unusable and self.destination is None)
        return self.destination is not None

    def takes_over(self, actor: Actor) -> bool:
        """Whether a save by this actor gives a configured Slack channel another owner."""
        return self.destination is not None and self.may_edit(actor) and actor.may(Action.LINK_SLACK) and not self.is_own(actor)

    def stored(self, actor: Actor) -> Destination | None:
        return configured(actor).filter(address_key=self.key).first()

    def require_save(self, actor: Actor) -> None:
        """Raises `NotAllowed`, `NoLink`, and `BadField` for a Slack channel that cannot be started."""
        actor.require(Action.SET_ANY_NOTIFICATIONS)
        if self.stays or not actor.may(Action.LINK_SLACK):
            if self.destination is None:
                raise NotAllowed(Action.LINK_SLACK)
        elif self.mine is None:
            raise NoLink(self.workspace)
        elif self.unusable and self.destination is None:
            raise BadField("channel", f"{self.address} is {self.unusable}")

    def hold(self, *, actor: Actor, now: datetime) -> Held:
        """Raises `OwnerChanged` beside what `require_save` does."""
        rows = configured(actor).filter(address_key=self.key).select_for_update(of=("self",))
        found = rows.first()
        if self.stays or not actor.may(Action.LINK_SLACK):
            if found is None:
                raise NotThere
            return Held(found)
        link = live_link(actor, self.workspace)
        if link is None:
            raise NoLink(self.workspace)
        destination = found or self._create(link, rows, actor, now)
        return self._owned(destination, link, actor, now, is_new=destination is not found)

    def _create(self, link: SlackLink, rows: QuerySet[Destination], actor: Actor, now: datetime) -> Destination:
        """Two first saves at once: the database lets one through, the other finds that one's."""
        made = Destination(
            account_id=actor.account_id,
            kind=SLACK,
            address=self.address,
            address_key=self.key,
            settings={"channel_id": self.channel_id},
            created_by=actor.member,
            public_id=secrets.token_urlsafe(16),
            created_at=now,
            updated_at=now,
            link=link,
        )
        try:
            with transaction.atomic():
                made.save()
        except IntegrityError:
            return rows.get()
        return made

    def _owned(self, destination: Destination, link: SlackLink, actor: Actor, now: datetime, *, is_new: bool) -> Held:
        owner = destination.link
        if owner is not None and owner.pk == link.pk:
            return Held(destination, after={"owner": name_of(link)} if is_new else {})
        if self.expects not in (None, owner.pk if owner else 0):
            raise OwnerChanged
        destination.link, destination.address = link, self.address
        # What the link before it met is over; what Slack says of the channel itself will be said again.
        destination.disabled_because, destination.refusals, destination.trouble_told_at = None, 0, None
        destination.save(update_fields=["link", "address", "disabled_because", "refusals", "trouble_told_at"])
        if owner:
            notices.tell_taken_over(destination, owner.member, actor.member, now=now)
        return Held(destination, before={"owner": name_of(owner)} if owner else {}, after={"owner": name_of(link)})


def unusable(channel: SlackChannel) -> str:
    return "gone" if channel.is_gone else "archived" if channel.is_archived else "private" if channel.is_private else ""


def name_of(link: SlackLink) -> str:
    return link.member.user.name or link.member.user.email


def configured(actor: Actor) -> QuerySet[Destination]:
    """The Slack channels of the account that somebody set boxes for."""
    related = Destination.objects.select_related("link__member__user", "link__workspace", "member__user").defer(*SECRETS)
    return related.filter(account=actor.account_id, kind=SLACK, state=State.ACTIVE)


def live_link(actor: Actor, workspace: SlackWorkspace) -> SlackLink | None:
    """The actor's own, when it works."""
    if workspace._state.adding:
        return None
    links = SlackLink.objects.select_related("member__user", "workspace").defer("workspace__token", "workspace__refresh_token")
    rows = links.filter(workspace=workspace, member=actor.member, ended_at=None)
    return rows.filter(workspace__broken_because__isnull=True).first()


def slack_target_for(actor: Actor, key: str) -> SlackTarget:
    """A configured Slack channel for everybody, another known one for who may start it. Raises `NotThere`."""
    actor.require(Action.SEE_JOBS)
    target = find_target(actor, key)
    if target.destination is None and (target.channel is None or not actor.may(Action.LINK_SLACK)):
        raise NotThere
    return target


def find_target(actor: Actor, key: str) -> SlackTarget:
    """Any Slack channel of the account's workspaces, there or not, or one that waits for its workspace. Raises `NotThere`."""
    team, _, channel_id = key.partition(":")
    if not team:
        return _waiting_target(actor, channel_id)
    workspace = SlackWorkspace.objects.defer("token", "refresh_token").filter(account=actor.account_id, team_id=team).first()
    if workspace is None:
        raise NotThere
    destination = configured(actor).filter(address_key=key).first()
    channel = SlackChannel.objects.filter(workspace=workspace, channel_id=channel_id).first()
    return SlackTarget(workspace, channel_id, channel, destination, live_link(actor, workspace))


def waiting_key(channel_id: str) -> str:
    """The `address_key` of a Slack channel whose workspace is not known here yet."""
    return f":{channel_id}"


def _waiting_target(actor: Actor, channel_id: str) -> SlackTarget:
    destination = configured(actor).filter(address_key=waiting_key(channel_id)).first()
    if destination is None:
        raise NotThere
    return SlackTarget(SlackWorkspace(account_id=actor.account_id), channel_id, None, destination, None)
