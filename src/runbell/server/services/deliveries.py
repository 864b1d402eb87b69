"""Deliveries on their way: claimed, sent by a lane, settled. Nothing is sent inside a transaction.

turn ─claim─> Parcel ─(lane: open, send)─> Result ─turn─> `finish` says the new state, and no other line does
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from runbell.channels.base import Connection as Connection
from runbell.channels.registry import channel
from runbell.core.deliveries import PENDING, DeliveryState, Ends, NextStep, Retry, Sent, Verdict, fair_share, next_step
from runbell.server.db import outbox
from runbell.server.db.bell import Bell as Bell
from runbell.server.db.bell import open_bell as open_bell
from runbell.server.db.models import Delivery
from runbell.server.db.models.deliveries import LOST, Purpose
from runbell.server.services.bounces import Ending, judge
from runbell.server.services.digests import fold
from runbell.server.services.mailbox import MailboxConnection
from runbell.server.services.pacing import hold, hold_back, let_go, take_turns
from runbell.server.services.parcels import Parcel, load_parcels, transport
from runbell.server.services.withdrawals import withdraw as withdraw

Dice = Callable[[], float]
Due = Mapping[str, Mapping[int, datetime]]
NOTICE_MAX_AGE = timedelta(days=30)
"""News of trouble waits for the end of it: while the mail server is down, nothing else could tell."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a parcel. `verdict` None: it was given back untried. `took` in seconds."""

    parcel: Parcel
    verdict: Verdict | None
    at: datetime
    took: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """`due`: by lane, when there is work again. `lost_at`: when the next started run is to be given up."""

    parcels: Sequence[Parcel] = ()
    due: Mapping[str, datetime] = field(default_factory=dict)
    lost_at: datetime | None = None


@transaction.atomic
def turn(
    results: Sequence[Result], *, room: Callable[[str], int], now: datetime, lease_until: datetime, dice: Dice, may_claim: bool = True
) -> Turn:
    """Settles everything at hand and claims what fits, in one commit. `room` says how many more a lane takes."""
    _settle(results, now, dice)
    due = outbox.next_due()
    quotas = _quotas(due, room, now, dice) if may_claim else {}
    if not quotas:
        return _turn((), due)
    parcels = load_parcels(outbox.claim(quotas, now=now, lease_until=lease_until), now=now)
    dropped = [_move(parcel, NextStep(DeliveryState.SUPPRESSED, because=parcel.suppressed), now) for parcel in parcels if parcel.suppressed]
    live = [parcel for parcel in parcels if not parcel.suppressed]
    folding = fold(live, now=now)
    moving = [parcel for parcel in live if parcel.id not in folding.ended and parcel.id not in folding.later]
    ready, paced = take_turns(moving, now=now, lease_until=lease_until)
    later = {**folding.later, **paced}
    outbox.settle([*dropped, *(_put_back(parcel, later[parcel.id]) for parcel in parcels if parcel.id in later)])
    return _turn(ready, outbox.next_due())


def _quotas(due: Due, room: Callable[[str], int], now: datetime, dice: Dice) -> dict[outbox.Head, int]:
    """The room of each lane, shared out among the accounts that have something due in it."""
    waiting = {
        lane: [account for account, at in accounts.items() if at <= now] for lane, accounts in due.items() if lane != outbox.LOST_RUNS
    }
    shares = {lane: fair_share(max(room(lane), 0), accounts, dice()) for lane, accounts in waiting.items() if accounts}
    return {(lane, account): share for lane, found in shares.items() for account, share in found.items()}


def _turn(parcels: Sequence[Parcel], due: Due) -> Turn:
    first = {lane: min(accounts.values()) for lane, accounts in due.items()}
    lost_at = first.pop(outbox.LOST_RUNS, None)
    return Turn(parcels, first, lost_at)


def _settle(results: Sequence[Result], now: datetime, dice: Dice) -> None:
    moves = {result.parcel.id: finish(result, now=now, chance=dice()) for result in results}
    settled = outbox.settle(list(moves.values()))
    ended = [result for result in results if result.parcel.id in settled]
    let_go(((result.parcel, result.verdict, result.at + timedelta(seconds=result.took)) for result in ended), now=now)
    outbox.log([_try(result, verdict) for result in ended if (verdict := result.verdict) and _is_attempt(verdict)])
    judge([ending for result in ended if (ending := _ending(result, moves[result.parcel.id]))], now=now)


def finish(result: Result, *, now: datetime, chance: float) -> outbox.Move:
    """The one place where a delivery gets a new state. A parcel given back is as it was before its claim, and due by its age."""
    parcel, verdict = result.parcel, result.verdict
    if verdict is None:
        return _put_back(parcel, min(parcel.created_at, now))
    step = next_step(
        verdict,
        attempts=parcel.attempts + 1,
        created_at=parcel.created_at,
        now=now,
        chance=chance,
        scale=settings.RUNBELL_TIME_SCALE,
        max_age=NOTICE_MAX_AGE if parcel.purpose == Purpose.NOTICE else settings.RUNBELL_MAX_AGE,
        was_lost=parcel.was_lost,
    )
    return _move(parcel, step, now, verdict.provider_id if isinstance(verdict, Sent) else "")


def _put_back(parcel: Parcel, due_at: datetime) -> outbox.Move:
    return outbox.Move(parcel.id, parcel.claim, _untried(parcel), due_at, parcel.attempts, parcel.last_because)


def _untried(parcel: Parcel) -> DeliveryState:
    return DeliveryState.WAITING if parcel.last_because else DeliveryState.QUEUED


def _move(parcel: Parcel, step: NextStep, now: datetime, provider_id: str = "") -> outbox.Move:
    return outbox.Move(
        id=parcel.id,
        claim=parcel.claim,
        state=step.state,
        due_at=step.due_at or now,
        attempts=parcel.attempts + (step.counts_as_attempt and step.state is not DeliveryState.SUPPRESSED),
        last_because=step.because,
        provider_id=provider_id[:200],
        settled_at=None if step.state in PENDING else now,
    )


def _is_attempt(verdict: Verdict) -> bool:
    return not (isinstance(verdict, Retry) and (verdict.is_transport or verdict.is_busy))


def _try(result: Result, verdict: Verdict) -> outbox.Try:
    return outbox.Try(
        delivery_id=result.parcel.id,
        at=result.at,
        took=result.took,
        verdict=LOST if isinstance(verdict, Retry) and verdict.is_lost else type(verdict).__name__.lower(),
        because=None if isinstance(verdict, Sent) else verdict.because,
        provider_id=verdict.provider_id[:200] if isinstance(verdict, Sent) else "",
    )


def _ending(result: Result, move: outbox.Move) -> Ending | None:
    """None as long as it says nothing about the destination: the way of nearly every message."""
    parcel, verdict = result.parcel, result.verdict
    if verdict is None or parcel.destination_id is None:
        return None
    is_told = isinstance(verdict, Sent) and parcel.has_trouble
    is_over = isinstance(verdict, Retry) and verdict.ends is not Ends.NOTHING
    if not (is_told or is_over or move.state is DeliveryState.DEAD):
        return None
    return Ending(parcel.destination_id, parcel.id, parcel.purpose, verdict, move.state, move.last_because, result.at)


def renew(parcels: Sequence[Parcel], *, lease_until: datetime) -> set[tuple[int, str]]:
    """The ids and claims of those that are still ours."""
    renewed = outbox.renew({parcel.id: parcel.claim for parcel in parcels}, lease_until=lease_until)
    ours = [parcel for parcel in parcels if (parcel.id, parcel.claim) in renewed]
    hold(ours, lease_until=lease_until)
    return renewed


@transaction.atomic
def set_back(back: timedelta, *, now: datetime, lease: timedelta) -> None:
    """The clock was ahead by so much: what it dated comes when it should have come. No lease of a right clock is longer than `lease`."""
    ahead = Delivery.objects.filter(state__in=PENDING, due_at__gt=now)
    ahead.exclude(state=DeliveryState.SENDING).update(due_at=F("due_at") - back)
    ahead.filter(state=DeliveryState.SENDING, due_at__gt=now + lease).update(due_at=now + lease)
    hold_back(back, now=now, lease=lease)


def release_all(*, now: datetime) -> None:
    """What a worker that died had claimed is due. Only under the lock that makes this the one worker."""
    outbox.release_all(now=now)


def connect(lane: str, *, clock: Callable[[], datetime]) -> Connection:
    """The way out of a lane, whose name begins with its channel's kind. Without a relay, mail goes to the mailbox."""
    kind = lane.partition(":")[0]
    if kind == "email" and not settings.RUNBELL_SMTP_URL:
        return MailboxConnection(clock)
    return channel(kind).connect(transport())
