"""The pace of a destination: at most one message on its way, and the next not before its channel's pace has passed since the answer.

`held_until` is the lease of the one on its way, so that a crash frees the destination together with the delivery; `next_at` is the next
slot. Both are columns, and the rows are locked: all workers share them.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F

from runbell.channels.registry import channel
from runbell.core.deliveries import Retry, Verdict
from runbell.server.db import paces
from runbell.server.db.models import Destination
from runbell.server.services.parcels import Parcel


def pace_of(parcel: Parcel) -> timedelta:
    """Nothing for what has no destination, such as a mail to reset a password."""
    return channel(parcel.kind).pace * settings.RUNBELL_TIME_SCALE if parcel.destination_id else timedelta()


def take_turns(parcels: Sequence[Parcel], *, now: datetime, lease_until: datetime) -> tuple[list[Parcel], dict[int, datetime]]:
    """What may go out now, and when each of the others is due again. Two statements, none when nothing here is paced."""
    lines: dict[int, list[Parcel]] = defaultdict(list)
    for parcel in parcels:
        if parcel.destination_id and pace_of(parcel):
            lines[parcel.destination_id].append(parcel)
    if not lines:
        return list(parcels), {}
    # What another worker has locked is on its way there: skipped, and asked again after a pace.
    found = {slot.destination_id: slot for slot in paces.lock(lines)}
    free = {pk for pk, slot in found.items() if is_free(slot, now)}
    paces.hold(free, until=lease_until)
    later = {parcel.id: at for pk, line in lines.items() for parcel, at in _later(line, found.get(pk), now, is_free=pk in free)}
    return [parcel for parcel in parcels if parcel.id not in later], later


def is_free(slot: paces.Slot, now: datetime) -> bool:
    return all(at is None or at <= now for at in (slot.next_at, slot.held_until))


def _later(line: list[Parcel], seen: paces.Slot | None, now: datetime, *, is_free: bool) -> Iterable[tuple[Parcel, datetime]]:
    """Oldest first, a pace apart, from the next slot on as far as it is known."""
    pace = pace_of(line[0])
    slot = now + pace if is_free or seen is None or _is_held(seen, now) else seen.next_at or now
    waiting = line[1:] if is_free else line
    return [(parcel, slot + place * pace) for place, parcel in enumerate(waiting)]


def _is_held(slot: paces.Slot, now: datetime) -> bool:
    return slot.held_until is not None and slot.held_until > now


def let_go(ended: Iterable[tuple[Parcel, Verdict | None, datetime]], *, now: datetime) -> None:
    """After a try that was answered at a moment. What came back untried leaves the slot as it was. One statement, or none."""
    paces.let_go(
        {
            parcel.destination_id: _next_slot(parcel, verdict, at, now)
            for parcel, verdict, at in ended
            if parcel.destination_id and pace_of(parcel)
        }
    )


def _next_slot(parcel: Parcel, verdict: Verdict | None, at: datetime, now: datetime) -> datetime:
    """A wish counts from `now`, as in `next_step`: what was told to wait is due at the slot, and then the oldest goes first."""
    slot = at + pace_of(parcel) if verdict else at
    wish = verdict.after if isinstance(verdict, Retry) and verdict.is_busy else None
    return max(slot, now + wish) if wish else slot


def hold(parcels: Iterable[Parcel], *, lease_until: datetime) -> None:
    """As long as their leases."""
    paced = {parcel.destination_id for parcel in parcels if parcel.destination_id and pace_of(parcel)}
    paces.hold(paced, until=lease_until)


def hold_back(back: timedelta, *, now: datetime, lease: timedelta) -> None:
    """With a clock that is set back."""
    Destination.objects.filter(next_at__gt=now).update(next_at=F("next_at") - back)
    Destination.objects.filter(held_until__gt=now + lease).update(held_until=now + lease)
