"""A full outbox, and the workers that empty it into a sink."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from tools.with_postgres import Cluster

from bench.bell import LOUD, PATIENCE, QUIET, Bell
from bench.postfix import MailSink
from bench.processes import processor_seconds, spent_seconds
from bench.rates import Rate

BATCH = 500
AT_THE_GATE = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%SKIP LOCKED%'"


def furnish(bell: Bell) -> None:
    """The account, on an empty database."""
    with bell.serve():
        bell.wait_for_web()
        bell.fill()


def queue(bell: Bell, count: int) -> None:
    """So many mails, while no worker runs."""
    with bell.web():
        bell.wait_for_web()
        client = bell.client()
        client.batch(QUIET, 1)
        for first in range(0, count, BATCH):
            client.batch(LOUD, min(BATCH, count - first))


def drain(bell: Bell, sink: MailSink, warm: int, count: int, *, workers: int = 1, database: Cluster | None = None) -> Rate:
    """Counted from the `warm`-th mail on. The processor time is that of the workers, and of PostgreSQL."""
    bell.aim(sink.port)
    queue(bell, warm + count)
    sink.reset()
    with ExitStack() as stack:
        with gate(database, workers):
            pids = [stack.enter_context(bell.worker()).pid for _ in range(workers)]
        return watched(sink, warm, count, lambda: processor_seconds(pids) + database_seconds(database))


@contextmanager
def gate(database: Cluster | None, workers: int) -> Iterator[None]:
    """On PostgreSQL the workers that start within stand before the outbox until all are there, so that none works alone."""
    if not database:
        yield
        return
    with psycopg.connect(database.url()) as ours, psycopg.connect(database.url(), autocommit=True) as watch:
        ours.execute("LOCK TABLE runbell_delivery IN EXCLUSIVE MODE")
        yield
        end = time.monotonic() + PATIENCE
        while (watch.execute(AT_THE_GATE).fetchone() or (0,))[0] < workers:
            if time.monotonic() > end:
                raise TimeoutError("the workers did not come to the outbox")
            time.sleep(0.05)


def watched(sink: MailSink, warm: int, count: int, used: Callable[[], float]) -> Rate:
    """`used`: the processor's seconds so far."""
    start = sink.when(warm)
    before = used()
    end = sink.when(warm + count)
    return Rate.of(count, end - start, used() - before)


def database_seconds(database: Cluster | None) -> float:
    return spent_seconds(database.process.pid) if database and database.process else 0.0
