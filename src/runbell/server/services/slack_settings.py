"""Slack channels through the dbt Admin API (type 2): the rights and links that the page asks for.

Who sends the owner's `user_id` edits the boxes; an admin who sends their own, or none, takes the Slack channel over.
"""

from dataclasses import replace
from datetime import datetime

from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.server.db.models import Destination
from runbell.server.services.access import Actor
from runbell.server.services.slack_lookup import NotFound, resolve
from runbell.server.services.slack_targets import OwnerChanged, SlackTarget, find_target
from runbell.server.services.targets import Held

WHY = {
    "not_an_id": "must be the id of a Slack channel, like C07ABCDEF",
    "not_linked": "is of no workspace that is linked here",
    "unknown": "is no public Slack channel of a workspace that is linked here",
    "private": "is private; only public Slack channels can be chosen",
    "archived": "is archived",
    "gone": "is no longer in Slack",
    "trouble": "could not be looked up in Slack; try again",
}


def startable(actor: Actor, channel_id: str, name: str, *, user_id: int | None, now: datetime) -> SlackTarget | None:
    """None for one that is configured already. Slack is asked about one that is not known here, so no transaction may be open.

    Raises `NotAllowed`, `NoLink` and `BadField`.
    """
    actor.require(Action.LINK_SLACK)
    if user_id not in (None, actor.member.user_id):
        raise BadField("user_id", f"must be {actor.member.user_id}, whom this token acts as: it is sent through their link")
    try:
        target = find_target(actor, resolve(actor, channel_id, now=now))
    except NotFound as missing:
        raise BadField("slack_channel_id", WHY[missing.code]) from None
    if name and name.removeprefix("#") != target.name:
        raise BadField("slack_channel_name", f"is {target.address} in Slack")
    target.require_save(actor)
    return None if target.destination else replace(target, expects=0)


def start(target: SlackTarget, *, actor: Actor, now: datetime) -> Destination | None:
    """In the caller's transaction. None when somebody was faster."""
    try:
        held = target.hold(actor=actor, now=now)
    except OwnerChanged:
        return None
    return held.destination if held.after else None


def hold_saved(destination: Destination, user_id: int | None, *, actor: Actor, now: datetime) -> Held:
    """In the caller's transaction. Raises `NotAllowed`, `NoLink`, and `BadField` for an owner who is neither the present one nor the actor."""
    owner = destination.link.member.user_id if destination.link else None
    if user_id not in (None, owner, actor.member.user_id):
        raise BadField("user_id", f"must be {owner}, the owner, or {actor.member.user_id}, whom this token acts as and who takes it over")
    is_owners = user_id is not None and user_id == owner != actor.member.user_id
    target = replace(find_target(actor, destination.address_key), stays=is_owners)
    target.require_save(actor)
    return target.hold(actor=actor, now=now)
