"""Mails out of a real worker, beside the same mails by smtplib."""

import pickle
import smtplib
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from bench.bell import LOUD, QUIET, Bell, standing
from bench.processes import processor_seconds, tree
from bench.rates import Rate, rate_row
from bench.table import Row

CONNECTIONS = 4
WARM, DRAINED = 100, 2_000
BATCH = 500


def mails(place: Path) -> Iterator[Row]:
    """Mails, out of a full outbox into a sink that takes everything."""
    with standing(place) as bell:
        with bell.serve():
            bell.wait_for_web()
            bell.fill()
        yield rate_row("reports by batches of 500, with a delivery each", queue(bell))
        rate, sink_ms = drain(bell)
        loop, loops = plain_smtp(bell, 1), plain_smtp(bell, CONNECTIONS)
    yield Row("mails by one worker", f"{rate.per_second:.0f}/s")
    yield share_row("… share of a smtplib loop's rate", rate, loop, "same bytes, one kept connection")
    yield share_row(f"… share of {CONNECTIONS} such loops' rate", rate, loops, "in processes of their own")
    yield Row("processor time of a mail", f"{rate.cost_ms:.2f} ms", f"smtplib: {loop.cost_ms:.2f} ms", "≤ 0.7 ms", rate.cost_ms <= 0.7)
    yield Row("… of the sink, a mail", f"{sink_ms:.3f} ms", "", "< 0.1 ms", sink_ms < 0.1)


def share_row(what: str, rate: Rate, reference: Rate, how: str) -> Row:
    share = rate.per_second / reference.per_second
    return Row(what, f"{share:.2f}", f"{how}: {reference.per_second:.0f}/s", "≥ 0.3", share >= 0.3)


def queue(bell: Bell) -> Rate:
    """Fills the outbox while no worker runs, by batches."""
    with bell.web() as web:
        bell.wait_for_web()
        client, count = bell.client(), WARM + DRAINED
        client.batch(QUIET, 1)
        pids = tree(web.pid)
        start, used = time.monotonic(), processor_seconds(pids)
        for first in range(0, count, BATCH):
            client.batch(LOUD, min(BATCH, count - first))
        return Rate.of(count, time.monotonic() - start, processor_seconds(pids) - used)


def drain(bell: Bell) -> tuple[Rate, float]:
    """One worker empties the outbox, counted from the 100th mail on; and what the sink spent on a mail, in ms."""
    bell.sink.ask("reset")
    with bell.worker() as worker:
        bell.sink.ask(f"wait {WARM}")
        used, sink = processor_seconds([worker.pid]), processor_seconds([bell.sink.pid])
        done = bell.sink.ask(f"wait {WARM + DRAINED}")["done_at"]
        used, sink = processor_seconds([worker.pid]) - used, processor_seconds([bell.sink.pid]) - sink
    return Rate.of(DRAINED, done[-1] - done[WARM - 1], used), sink / DRAINED * 1000


def plain_smtp(bell: Bell, loops: int) -> Rate:
    """The same mails by smtplib: so many processes, each one after another on a kept connection."""
    path = bell.home / "mails"
    bell.sink.ask(f"dump {path}")
    bell.sink.ask("reset")
    with ProcessPoolExecutor(loops) as pool:
        used = sum(pool.map(partial(_send_plain, path, bell.sink.port, loops), range(loops)))
    done = bell.sink.ask(f"wait {WARM + DRAINED}")["done_at"]
    return Rate.of(DRAINED, done[-1] - done[WARM - 1], used * DRAINED / (WARM + DRAINED))


def _send_plain(path: Path, port: int, loops: int, first: int) -> float:
    """Its share of the mails. Returns the processor's seconds."""
    mails = pickle.loads(path.read_bytes())[first::loops]
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        smtp.ehlo()
        used = time.process_time()
        for sender, recipient, content in mails:
            smtp.sendmail(sender, [recipient], content)
        return time.process_time() - used
