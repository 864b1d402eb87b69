"""Reports into a real server: how many it accepts, and at what price."""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from pathlib import Path

from bench.bell import LOUD, QUIET, Bell, free_port, standing
from bench.processes import running, spent_seconds
from bench.rates import Rate, rate_row
from bench.stores import Store, stores
from bench.table import Row

CLIENTS = 4
RECIPIENTS = 3
WARM, REPORTS, MAILED = 100, 800, 300
ROUNDS = 4
BATCH, BATCHES = 500, 4
AIMS = {"SQLite": 1.6, "PostgreSQL": 2.5}  # ms of a report that comes alone
AIM_IN_A_BATCH = 0.8

Spent = Callable[[], float]
"""Processor seconds so far."""


def accepted(place: Path) -> Iterator[Row]:
    """Reports, from the request to the answer after the commit; no worker runs."""
    for store in stores():
        home = place / store.name
        home.mkdir()
        with standing(home, **store.settings()) as bell:
            with bell.serve():
                bell.wait_for_web()
                bell.fill(RECIPIENTS)
            yield from _accepted(bell, store)


def _accepted(bell: Bell, store: Store) -> Iterator[Row]:
    with bell.web() as web:
        bell.wait_for_web()

        def spent() -> float:
            return store.spent(web.pid)

        singles(bell, WARM, QUIET, spent)
        singles(bell, WARM, LOUD, spent)
        store.look_around(bell)
        yield rate_row(f"{store.name}: reports one by one, {CLIENTS} clients, nobody told", singles(bell, REPORTS, QUIET, spent))
        with _plain(bell, store) as plain:  # in turns: a machine may be slower a minute later
            pairs = [(singles(bell, REPORTS // ROUNDS, LOUD, spent), plain(REPORTS // ROUNDS)) for _ in range(ROUNDS)]
        ours, beside = (Rate.mean(*rates) for rates in zip(*pairs, strict=True))
        yield rate_row(f"{store.name}: reports one by one, {CLIENTS} clients, {RECIPIENTS} deliveries each", ours, AIMS[store.name])
        yield rate_row(f"{store.name}: the same, by a plain view of Django and Ninja", beside)
        yield Row(f"{store.name}: a report ÷ one of the plain view", f"{ours.cost_ms / beside.cost_ms:.2f} ×", "processor time")
        batches(bell, 1, LOUD, spent)
        found = batches(bell, BATCHES, LOUD, spent)
        yield rate_row(f"{store.name}: reports in batches of {BATCH}, {RECIPIENTS} deliveries each", found, AIM_IN_A_BATCH)


@contextmanager
def _plain(bell: Bell, store: Store) -> Iterator[Callable[[int], Rate]]:
    """The same reports, by `bench.plain` with a database of its own."""
    peer, home = copy(bell), bell.home / "plain"
    peer.port = free_port()
    home.mkdir()
    words = (sys.executable, "-m", "bench.plain.serve", str(peer.port), bell.token, str(RECIPIENTS))
    with running(words, {**bell.base, "RUNBELL_HOME": str(home), **store.settings()}, bell.home / "server.log") as web:
        peer.wait_for_web()
        singles(peer, WARM, LOUD, lambda: 0)
        yield lambda count: singles(peer, count, LOUD, lambda: store.spent(web.pid))


def singles(bell: Bell, count: int, environment: str, spent: Spent) -> Rate:
    """From several clients at once."""
    start, used = time.monotonic(), spent()
    send_all(bell, count, environment)
    return Rate.of(count, time.monotonic() - start, spent() - used)


def batches(bell: Bell, count: int, environment: str, spent: Spent) -> Rate:
    """One after another. Of a report."""
    client = bell.client()
    start, used = time.monotonic(), spent()
    for _ in range(count):
        client.batch(environment, BATCH)
    return Rate.of(count * BATCH, time.monotonic() - start, spent() - used)


def told(bell: Bell, pid: int, count: int) -> Rate:
    """Reports with a recipient: the processor time holds each one's mail, and the clock runs until the last."""
    bell.sink.reset()
    start, used = time.monotonic(), spent_seconds(pid)
    send_all(bell, count, LOUD)
    bell.sink.ask(f"wait {count}")
    return Rate.of(count, time.monotonic() - start, spent_seconds(pid) - used)


def send_all(bell: Bell, count: int, environment: str) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda _: _send(bell, count // CLIENTS, environment), range(CLIENTS)))


def _send(bell: Bell, count: int, environment: str) -> None:
    client = bell.client()
    for _ in range(count):
        client.report(environment)
