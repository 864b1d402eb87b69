"""Destinations that refuse: counted, switched off after three in a row or by one word that is final, told of once, set right by a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from runbell.core.because import Because
from runbell.core.deliveries import REFUSALS, Dead, DeliveryState, Ends, Retry, Sent, Verdict, refusals_after
from runbell.core.permissions import Action
from runbell.server.db.models import Destination, State
from runbell.server.db.models.deliveries import Purpose
from runbell.server.services import audit, notices
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.decisions import address_of
from runbell.server.services.slack_links import workspace_broke

EMAIL = "email"
CHANGED = ("refusals", "disabled_because", "trouble_told_at", "updated_at")


@dataclass(frozen=True, slots=True)
class Ending:
    """A try that says something of its destination: refused, given up, or taken again after trouble. `because`: why it was given up."""

    destination_id: int
    delivery_id: int
    purpose: str
    verdict: Verdict
    state: DeliveryState
    because: Because | None
    at: datetime

    @property
    def is_news(self) -> bool:
        """Whether somebody waited for this message in vain. Who sent a test looks at it; a notice must not breed notices."""
        return self.state is DeliveryState.DEAD and self.purpose in (Purpose.RUN, Purpose.DIGEST)

    @property
    def breaks_workspace(self) -> bool:
        """Whatever is sent with the same token meets the same: one piece of news for all."""
        return isinstance(self.verdict, Retry | Dead) and self.verdict.ends is Ends.INSTALLATION

    @property
    def is_outage(self) -> bool:
        """Given up because the way was down all the time: no address is at fault."""
        return isinstance(self.verdict, Retry) and self.verdict.is_transport


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """An address that nothing is sent to, because it refused. `id` is its destination's."""

    id: int
    member_id: int | None
    address: str
    because: Because
    may_lift: bool


def judge(endings: Sequence[Ending], *, now: datetime) -> None:
    """In the transaction that settles them. Nothing is asked of the database while there is no trouble."""
    if not endings:
        return
    rows = Destination.objects.select_for_update(of=("self",)).select_related("account", "member__user", "link__member__user")
    rows = rows.defer("secret")
    destinations = list(rows.filter(pk__in={ending.destination_id for ending in endings}).order_by("pk"))
    for destination in destinations:
        own = sorted((ending for ending in endings if ending.destination_id == destination.pk), key=lambda ending: ending.at)
        _count(destination, own, now)
        _tell(destination, own, now)
    Destination.objects.bulk_update(destinations, CHANGED)
    for workspace_id, because in _broken(endings, destinations).items():
        workspace_broke(workspace_id, because, now=now)


def _broken(endings: Sequence[Ending], destinations: Sequence[Destination]) -> dict[int, Because]:
    workspaces = {destination.pk: destination.link.workspace_id for destination in destinations if destination.link}
    ends = [ending for ending in endings if ending.breaks_workspace and ending.destination_id in workspaces]
    return {workspaces[ending.destination_id]: ending.verdict.because for ending in ends if not isinstance(ending.verdict, Sent)}


def _count(destination: Destination, endings: Sequence[Ending], now: datetime) -> None:
    """A message that is taken ends the row and the trouble; what is switched off stays so until a person says otherwise."""
    for ending in endings:
        destination.refusals = min(refusals_after(destination.refusals, ending.verdict), 32_767)
        if isinstance(ending.verdict, Sent):
            destination.trouble_told_at = None
        if isinstance(ending.verdict, Dead) and not destination.disabled_because and _is_last(ending.verdict, destination.refusals):
            destination.disabled_because, destination.updated_at = ending.verdict.because.to_json(), now


def _is_last(verdict: Dead, refusals: int) -> bool:
    return refusals >= REFUSALS or verdict.ends is Ends.DESTINATION


def _tell(destination: Destination, endings: Sequence[Ending], now: datetime) -> None:
    news = [ending for ending in endings if ending.is_news]
    for outage in [ending for ending in news if ending.is_outage][:1]:
        notices.tell_outage(destination.account, outage.because, now=now)
    own = [ending for ending in news if not (ending.is_outage or ending.breaks_workspace)]
    if own and not destination.trouble_told_at and isinstance(endings[-1].verdict, Dead | Retry):
        notices.tell_trouble(destination, own[0].delivery_id, now=now)
        destination.trouble_told_at = now


@transaction.atomic
def lift(actor: Actor, destination_id: int, *, now: datetime) -> str:
    """Sends there again, with a clean record. Returns the address. Raises `NotThere` and `NotAllowed`."""
    rows = Destination.objects.select_for_update(of=("self",)).select_related("member__user")
    destination = rows.filter(account=actor.account_id, pk=destination_id, state=State.ACTIVE).first()
    is_own = destination is not None and destination.member_id == actor.member.pk
    actor.require(Action.SET_OWN_NOTIFICATIONS if is_own else Action.SET_ANY_NOTIFICATIONS)
    if destination is None:
        raise NotThere
    before = destination.disabled_because
    if before:
        destination.disabled_because, destination.refusals, destination.trouble_told_at, destination.updated_at = None, 0, None, now
        destination.save(update_fields=CHANGED)
        audit.record(
            account=actor.member.account,
            actor=actor,
            action="notifications.lift",
            subject=address_of(destination),
            now=now,
            before={"because": before},
        )
    return address_of(destination)


def switched_off(actor: Actor) -> tuple[SwitchedOff, ...]:
    """One query, own first. Who sets only their own address sees only that."""
    rows = Destination.objects.filter(account=actor.account_id, kind=EMAIL, state=State.ACTIVE, disabled_because__isnull=False)
    if not actor.may(Action.SET_ANY_NOTIFICATIONS):
        rows = rows.filter(member=actor.member)
    found = sorted(rows.select_related("member__user"), key=lambda row: (row.member_id != actor.member.pk, address_of(row)))
    may_lift = actor.may(Action.SET_OWN_NOTIFICATIONS)
    return tuple(
        SwitchedOff(row.pk, row.member_id, address_of(row), Because.from_json(row.disabled_because or {}), may_lift) for row in found
    )
