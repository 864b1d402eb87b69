"""The worker: one dispatcher that owns the outbox, and lanes that send.

    settle what came back + claim what fits ─> hand to lanes ─> wait: bell | result | next due | lease to renew | signal

It never polls: the bell rings after a commit, a lane rings with a result, and the timer stands at the next due moment.
"""

import gc
import random
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from traceback import format_exc

import structlog
from django.conf import settings
from django.db import connection

from runbell.server.services import deliveries
from runbell.server.services.deliveries import Result, Turn
from runbell.server.services.parcels import Parcel
from runbell.server.services.runs import lose_runs
from runbell.server.worker.chores import DBT_CHORES, Chores
from runbell.server.worker.lanes import Clock, Connect, Lane
from runbell.server.worker.lock import held

LEASE, SHORTEST_LEASE = timedelta(seconds=30), timedelta(seconds=2)
LONGEST_WAIT = timedelta(seconds=30)  # started runs do not ring; this is how late their loss may be seen
REST = timedelta(seconds=1)  # after trouble with the database
SLACK = timedelta(seconds=1)  # so much a clock is set back without a word
BREATH = timedelta(milliseconds=20)  # when something is due and another worker holds it
TOGETHER = timedelta(milliseconds=100)
GRACE = timedelta(seconds=12)  # for what is being sent when asked to stop; `serve` waits for 15
ALREADY_RUNNING = 3

log = structlog.get_logger()


def utc_now() -> datetime:
    return datetime.now(UTC)


def run_worker(*, patience: timedelta = timedelta()) -> int:
    """Blocks until SIGTERM or SIGINT. Exit code 0, or 3 when another worker holds this SQLite home for longer than `patience`."""
    if connection.vendor != "sqlite":
        return _run()
    with held(Path(settings.RUNBELL_HOME) / "worker.lock", patience) as is_ours:
        if is_ours:
            return _run()
    sys.stderr.write(f"runbell: another worker runs in {settings.RUNBELL_HOME}; with SQLite there can be one. PostgreSQL takes several.\n")
    return ALREADY_RUNNING


def _run() -> int:
    gc.freeze()  # what was imported stays: walking through it again and again is a twentieth of the worker's time
    chores = (Chores(clock=utc_now), Chores(clock=utc_now, chores=DBT_CHORES))

    def ring() -> None:
        for each in chores:
            each.ring()

    worker = Worker(heard=ring)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    for each in chores:
        each.start()
    worker.run()
    for each in chores:
        each.stop()
    return 0


Claim = tuple[int, str]  # a delivery may be claimed anew while its parcel of before is still at hand


def _claim(parcel: Parcel) -> Claim:
    return parcel.id, parcel.claim


class Worker:
    """The dispatcher. `stop` may be called from a signal handler or another thread; everything else is its own thread's."""

    def __init__(self, *, clock: Clock = utc_now, connect: Connect | None = None, heard: Callable[[], None] | None = None) -> None:
        self._clock = clock
        self._heard = heard  # told when the bell rang
        self._connect = connect or partial(deliveries.connect, clock=clock)
        self._scale = settings.RUNBELL_TIME_SCALE
        self._lease = max(LEASE * self._scale, SHORTEST_LEASE)
        self._lanes: dict[str, Lane] = {}
        self._held: dict[Claim, Parcel] = {}  # claimed, and not settled yet
        self._leases: dict[Claim, datetime] = {}  # until when each is ours alone
        self._reported: SimpleQueue[Result] = SimpleQueue()
        self._unsettled: list[Result] = []
        self._renew_at = self._looked_at = clock()
        self._turn_by = 0.0  # monotonic; what is reported later than this calls at once
        self._stop_by: datetime | None = None
        self._is_asked_to_stop = False
        self._is_fresh = True
        self._bell: deliveries.Bell | None = None
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)

    def stop(self) -> None:
        self._is_asked_to_stop = True
        self._ring()

    def run(self) -> None:
        """Returns once everything that was in flight is settled or given back."""
        while not self._is_done():
            try:
                self._heed_stop()
                self._step()
            except Exception:
                log.error("worker.trouble", trace=format_exc())  # not log.exception, see lanes.py
                self._recover()
        self._close()

    def _step(self) -> None:
        now = self._clock()
        if self._bell is None:
            self._bell = deliveries.open_bell()
        if self._is_fresh and connection.vendor == "sqlite":
            deliveries.release_all(now=now)
        self._is_fresh = False
        self._heed_clock(now)
        self._collect(now)
        self._renew(now)  # first: what this worker still sends it must not claim anew, however late it comes
        turn = self._turn(now)
        self._hand_out(turn.parcels)
        if turn.lost_at and turn.lost_at <= now and not self._stop_by:
            lose_runs(now=now)
            return
        self._wait(self._wake_at(turn, now) - self._clock())

    def _heed_stop(self) -> None:
        if self._is_asked_to_stop and not self._stop_by:
            self._stop_by = self._clock() + GRACE
            for lane in self._lanes.values():
                lane.close()

    def _heed_clock(self, now: datetime) -> None:
        """A clock that was ahead and is set back: what it had dated would wait until it is there again."""
        back = self._looked_at - now
        if back > SLACK:
            log.warning("clock.back", seconds=back.total_seconds())
            deliveries.set_back(back, now=now, lease=self._lease)
            for lane in self._lanes.values():
                lane.set_back(back)
            self._leases = {claim: until - back for claim, until in self._leases.items()}
            self._renew_at = now
            self._stop_by = self._stop_by and self._stop_by - back
        self._looked_at = now

    def _collect(self, now: datetime) -> None:
        with suppress(Empty):
            while True:
                result = self._reported.get_nowait()
                self._unsettled.append(result)
                self._lanes[result.parcel.lane].note(result, now)

    def _turn(self, now: datetime) -> Turn:
        self._turn_by = monotonic() + TOGETHER.total_seconds()
        lease_until = now + self._lease
        turn = deliveries.turn(
            self._unsettled,
            room=lambda lane: self._lane(lane).room(now),
            now=now,
            lease_until=lease_until,
            dice=random.random,
            may_claim=self._stop_by is None,
        )
        for result in self._unsettled:
            self._held.pop(_claim(result.parcel), None)
            self._leases.pop(_claim(result.parcel), None)
        self._unsettled.clear()
        self._leases |= dict.fromkeys(map(_claim, turn.parcels), lease_until)
        return turn

    def _hand_out(self, parcels: Iterable[Parcel]) -> None:
        by_lane: dict[str, list[Parcel]] = {}
        for parcel in parcels:
            self._held[_claim(parcel)] = parcel
            by_lane.setdefault(parcel.lane, []).append(parcel)
        for name, found in by_lane.items():
            self._lane(name).take(found)

    def _lane(self, name: str) -> Lane:
        if name not in self._lanes:
            self._lanes[name] = Lane(
                name, connect=self._connect, report=self._report, is_ours=self._is_ours, clock=self._clock, scale=self._scale
            )
        return self._lanes[name]

    def _is_ours(self, parcel: Parcel) -> bool:
        """Called by lanes. No more after this process stood still for longer than a lease, as a suspended machine does."""
        return self._clock() < self._leases[_claim(parcel)]

    def _report(self, result: Result) -> None:
        """Called by lanes. While one is well filled its results wait for one another, though not for long: each turn is a commit."""
        self._reported.put(result)
        if self._lanes[result.parcel.lane].is_low or monotonic() >= self._turn_by:
            self._ring()

    def _ring(self) -> None:
        with suppress(OSError):  # full: the dispatcher is awake already; closed: it has ended
            self._mouth.send(b"!")

    def _renew(self, now: datetime) -> None:
        """In time for two failures before a lease runs out."""
        if now >= self._renew_at:
            lease_until = now + self._lease
            renewed = deliveries.renew(list(self._held.values()), lease_until=lease_until)
            self._leases |= {claim: lease_until for claim in self._held if claim in renewed}
            self._renew_at = now + self._lease / 3

    def _wake_at(self, turn: Turn, now: datetime) -> datetime:
        if self._stop_by:
            return min(self._stop_by, self._renew_at)
        opens = {name: self._lane(name).opens_at(now) for name in turn.due}
        moments = [max(at, opening, now + BREATH) for name, at in turn.due.items() if (opening := opens[name])]
        moments += [turn.lost_at] if turn.lost_at else []
        moments += [self._renew_at] if self._held else []
        return min(moments, default=now + LONGEST_WAIT)

    def _wait(self, span: timedelta) -> None:
        self._drain_ear()  # of results that came while this turn was on its way; the lane has been filled again since
        self._collect(self._clock())
        if self._is_done():
            return
        longest = TOGETHER if self._unsettled else LONGEST_WAIT * min(1.0, self._scale * 10)
        self._sleep(timedelta() if self._is_called() else min(max(span, timedelta()), longest))

    def _is_called(self) -> bool:
        """What a ring said that was heard before its time."""
        is_to_end = self._is_asked_to_stop and not self._stop_by
        return is_to_end or any(self._lanes[result.parcel.lane].is_low for result in self._unsettled)

    def _sleep(self, span: timedelta) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._ear, selectors.EVENT_READ)
            if self._bell:
                selector.register(self._bell.fileno(), selectors.EVENT_READ)
            woken = {key.fileobj for key, _ in selector.select(span.total_seconds())}
        self._drain()
        if self._heard and woken - {self._ear}:
            self._heard()

    def _drain(self) -> None:
        self._drain_ear()
        if self._bell:
            self._bell.drain()

    def _drain_ear(self) -> None:
        with suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass

    def _recover(self) -> None:
        """Fresh lines to the database; what is unsettled stays at hand."""
        self._close_bell()
        connection.close()
        self._sleep(REST)

    def _is_done(self) -> bool:
        """What a lane cannot end in time stays claimed: its lease runs out, and it is sent again."""
        if not self._stop_by:
            return False
        return self._clock() >= self._stop_by or not (self._held or self._unsettled)

    def _close_bell(self) -> None:
        bell, self._bell = self._bell, None
        if bell:
            with suppress(Exception):
                bell.close()

    def _close(self) -> None:
        self._close_bell()
        self._ear.close()
        self._mouth.close()
