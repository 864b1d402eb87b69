"""What happens to a delivery: the verdict of one try, the retry ladder, and the only function that says the next state.

queued ─claim─> sending ─Sent─> sent
   ^               ├──Retry──> waiting (due_at) ─claim─> sending
   └ lease expired ┤
                   └──Dead───> dead (because)        suppressed: never queued, receipt only
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from runbell.core.because import Because

LADDER = tuple(timedelta(seconds=s) for s in (0, 5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400))
"""Wait before try n (product promise): at once, 5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 2 h, 4 h, then dead."""
JITTER = 0.2
MAX_AGE = timedelta(hours=24)
REFUSALS = 3
"""So often in a row must a destination be refused before nothing more is sent to it: one answer may be the other side's mistake."""


class DeliveryState(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"
    SUPPRESSED = "suppressed"  # was queued, and the reason to send went away before it was sent
    FOLDED = "folded"  # told within a digest


PENDING = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.WAITING)


class Ends(StrEnum):
    """How far a refusal reaches beyond its message."""

    NOTHING = "nothing"
    DESTINATION = "destination"  # an archived Slack channel
    INSTALLATION = "installation"  # a revoked token: everything that is sent through it


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider took it. `provider_id` is what the provider calls it."""

    provider_id: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now. `after` is the provider's own wish.

    `is_transport`: the way itself is down, so the lane pauses. `is_busy`: this one destination is to be left alone for `after`, and the
    others are not. Neither uses up an attempt. `is_lost`: the message went out and no answer came, so it may have arrived; a provider
    that cannot tell repeats apart gets it once more at most.
    """

    because: Because
    after: timedelta | None = None
    is_transport: bool = False
    is_busy: bool = False
    is_lost: bool = False
    ends: Ends = Ends.NOTHING  # until somebody renews it: a token that ran out


@dataclass(frozen=True, slots=True)
class Dead:
    """Never. `is_refusal`: the destination itself is at fault, not this message. `ends`: what is of no use any more by this one answer."""

    because: Because
    is_refusal: bool = False
    ends: Ends = Ends.NOTHING


Verdict = Sent | Retry | Dead


def refusals_after(row: int, verdict: Verdict) -> int:
    """How many refusals of one destination there are in a row. What says nothing about the destination neither counts nor ends it."""
    if isinstance(verdict, Sent):
        return 0
    return row + (isinstance(verdict, Dead) and verdict.is_refusal)


def fair_share(room: int, waiting: Sequence[int], chance: float) -> dict[int, int]:
    """Places for each who waits, as equal as can be; `chance` in [0, 1) says who gets what does not divide."""
    start = int(chance * len(waiting))
    each, rest = divmod(room, max(len(waiting), 1))
    shares = {who: each + (place < rest) for place, who in enumerate((*waiting[start:], *waiting[:start]))}
    return {who: share for who, share in shares.items() if share}


@dataclass(frozen=True, slots=True)
class NextStep:
    """The state after a try. `due_at` is set when waiting; `because` when there is something to say."""

    state: DeliveryState
    due_at: datetime | None = None
    because: Because | None = None
    counts_as_attempt: bool = True


def next_step(
    verdict: Verdict,
    *,
    attempts: int,
    created_at: datetime,
    now: datetime,
    chance: float,
    scale: float = 1.0,
    max_age: timedelta = MAX_AGE,
    was_lost: bool = False,
) -> NextStep:
    """The state after try number `attempts` (from 1). `chance` in [0, 1) is the caller's dice; `scale` shrinks time in tests.

    `was_lost`: the answer to an earlier try was.
    """
    if isinstance(verdict, Sent):
        return NextStep(DeliveryState.SENT)
    if isinstance(verdict, Dead):
        return NextStep(DeliveryState.DEAD, because=verdict.because)
    if verdict.is_lost and was_lost:
        return NextStep(DeliveryState.DEAD, because=Because("answer_lost", {"last": verdict.because.to_json()}))
    if now - created_at >= max_age * scale:
        return NextStep(DeliveryState.DEAD, because=Because("too_old", {"last": verdict.because.to_json()}))
    is_free = verdict.is_transport or verdict.is_busy
    if not is_free and attempts >= len(LADDER):
        return NextStep(DeliveryState.DEAD, because=Because("tries_used_up", {"last": verdict.because.to_json()}))
    rung = timedelta() if verdict.is_busy else LADDER[min(attempts, len(LADDER) - 1)]
    wait = max(rung * scale * (1 - JITTER + 2 * JITTER * chance), verdict.after or timedelta())
    due_at = min(now + wait, created_at + max_age * scale)  # a provider that wishes for next week gets one last try today
    return NextStep(DeliveryState.WAITING, due_at, verdict.because, counts_as_attempt=not is_free)
