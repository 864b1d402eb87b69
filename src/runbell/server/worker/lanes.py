"""Lanes: one per way out, each with threads that render and send over a kept connection. They never touch the outbox.

A lane whose way is down pauses alone: what it holds goes back untried, and after the pause one parcel is sent ahead to see.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from time import monotonic
from traceback import format_exc

import structlog

from runbell.core.because import Because
from runbell.core.deliveries import Retry, Verdict
from runbell.core.fields import BadField
from runbell.server.services.deliveries import Connection, Result
from runbell.server.services.parcels import Parcel, Renderer

SENDERS = 4  # connections of one lane at most; a relay often takes 100 ms for a mail
IN_FLIGHT = 64  # claimed and not settled, of one lane: bounds what can repeat after a kill
LOW_WATER = IN_FLIGHT // 2  # what a lane still holds when the dispatcher is called: it settles and claims so many at once
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=60)
IN_A_ROW = 16  # parcels that are rendered one after another, before the first of them is sent
IDLE = 25.0  # seconds; then a connection is closed politely, before the other side loses patience

log = structlog.get_logger()  # never log.exception here: structlog may print the locals, and those hold mails and their secrets
Clock = Callable[[], datetime]
Connect = Callable[[str], Connection]
Report = Callable[[Result], None]
IsOurs = Callable[[Parcel], bool]  # whether nobody else can have claimed it meanwhile
Job = tuple[Parcel, "Payloads"]


class Lane:
    """Everything public is the dispatcher's; the threads take parcels and report results."""

    def __init__(self, name: str, *, connect: Connect, report: Report, is_ours: IsOurs, clock: Clock, scale: float) -> None:
        self.name = name
        self.in_flight = 0
        self.failures = 0
        self.paused_until: datetime | None = None
        self._scale = scale
        self._is_closed = Event()  # down or ending: what is still in the inbox goes back
        self._inbox: SimpleQueue[Job | None] = SimpleQueue()
        self._senders = [Sender(name, connect, report, is_ours, clock, self._inbox, self._is_closed) for _ in range(SENDERS)]

    def room(self, now: datetime) -> int:
        """How many more parcels it takes now."""
        if self.paused_until and now < self.paused_until:
            return 0
        return (1 if self.failures else IN_FLIGHT) - self.in_flight

    @property
    def is_low(self) -> bool:
        """Whether results of it are worth a turn. Asked by its senders too."""
        return self._inbox.qsize() <= LOW_WATER

    def opens_at(self, now: datetime) -> datetime | None:
        """When it takes parcels again; None: after the next result."""
        opens = max(now, self.paused_until or now)
        return opens if self.room(opens) > 0 else None

    def take(self, parcels: Sequence[Parcel]) -> None:
        self._is_closed.clear()
        for start in range(0, len(parcels), IN_A_ROW):
            row = parcels[start : start + IN_A_ROW]
            payloads = Payloads(row)
            for parcel in row:
                self.in_flight += 1
                self._inbox.put((parcel, payloads))

    def note(self, result: Result, now: datetime) -> None:
        """One parcel less; and whether the way is up is seen by it."""
        self.in_flight -= 1
        verdict = result.verdict
        if isinstance(verdict, Retry) and verdict.is_transport:
            self._pause(verdict, now)
        elif verdict is not None:
            if self.failures:
                log.info("lane.open", lane=self.name)
            self.failures, self.paused_until = 0, None

    def _pause(self, verdict: Retry, now: datetime) -> None:
        """Senders that fail together count as one failure."""
        if self.paused_until and now < self.paused_until:
            return
        pause = min(FIRST_PAUSE * 2 ** min(self.failures, 10), LONGEST_PAUSE) * self._scale
        self.failures += 1
        self.paused_until = now + max(pause, verdict.after or timedelta())
        log.warning("lane.paused", lane=self.name, because=verdict.because.code, until=self.paused_until.isoformat())

    def set_back(self, back: timedelta) -> None:
        """With the clock."""
        self.paused_until = self.paused_until and self.paused_until - back

    def close(self) -> None:
        """Ends when what is being sent is sent; the rest comes back untried."""
        self._is_closed.set()
        for _ in self._senders:
            self._inbox.put(None)


class Payloads:
    """Of parcels that stand one behind the other. Whoever sends the first of them renders all: alternating with sending, it costs half as much again."""

    def __init__(self, parcels: Sequence[Parcel]) -> None:
        self._parcels = parcels
        self._lock = Lock()
        self._made: dict[int, bytes | Exception] = {}

    def of(self, parcel: Parcel, renderer: Renderer) -> bytes:
        with self._lock:
            if not self._made:
                self._made = {each.id: _rendered(each, renderer) for each in self._parcels}
        made = self._made[parcel.id]
        if isinstance(made, Exception):
            raise made
        return made


def _rendered(parcel: Parcel, renderer: Renderer) -> bytes | Exception:
    """A bug in one is for whoever sends that one."""
    try:
        return renderer.payload(parcel)
    except Exception as bug:
        return bug


class Sender:
    """One thread and its connection, opened at the first parcel."""

    def __init__(
        self,
        lane: str,
        connect: Connect,
        report: Report,
        is_ours: IsOurs,
        clock: Clock,
        inbox: SimpleQueue[Job | None],
        is_closed: Event,
    ) -> None:
        self._lane, self._connect, self._report, self._is_ours, self._clock = lane, connect, report, is_ours, clock
        self._inbox, self._is_closed = inbox, is_closed
        self._renderer = Renderer()
        self._connection: Connection | None = None
        Thread(target=self._run, name=f"lane {lane}", daemon=True).start()

    def _run(self) -> None:
        for parcel, payloads in self._jobs():
            self._report(self._try(parcel, payloads))
        self._hang_up()

    def _jobs(self) -> Iterator[Job]:
        while True:
            try:
                job = self._inbox.get(timeout=IDLE if self._connection else None)
            except Empty:
                self._hang_up()
                continue
            if job is None:
                return
            yield job

    def _try(self, parcel: Parcel, payloads: Payloads) -> Result:
        if self._is_closed.is_set() or not self._is_ours(parcel):
            return Result(parcel, None, self._clock())
        at, start = self._clock(), monotonic()
        verdict = self._send(parcel, payloads)
        if isinstance(verdict, Retry) and verdict.is_transport:
            self._is_closed.set()
        return Result(parcel, verdict, at, monotonic() - start)

    def _send(self, parcel: Parcel, payloads: Payloads) -> Verdict:
        try:
            if self._connection is None:
                self._connection = self._connect(self._lane)
            return self._connection.send(parcel.settings, payloads.of(parcel, self._renderer), parcel.key)
        except BadField as bad:
            log.error("lane.settings", lane=self._lane, problem=str(bad))
            return Retry(Because("transport_settings", {"text": str(bad)}), is_transport=True)
        except Exception:
            # A bug of ours: this message climbs the ladder and dies, the others go on over a fresh connection.
            log.error("lane.bug", lane=self._lane, delivery=parcel.id, trace=format_exc())
            self._hang_up()
            return Retry(Because("internal_error"))

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            try:
                connection.close()
            except Exception:
                log.error("lane.close", lane=self._lane, trace=format_exc())
