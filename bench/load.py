"""Reports into a real server, mails out of a real worker."""

import pickle
import smtplib
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.bell import LOUD, QUIET, Bell
from bench.processes import processor_seconds, tree

CLIENTS = CONNECTIONS = 4
REPORTS, MAILED = 600, 300
SINGLES = 100
WARM, DRAINED = 100, 2_000
BATCH = 500


@dataclass(frozen=True)
class Rate:
    """Of things done one after another or side by side: how many a second, and processor time of each."""

    per_second: float
    cost_ms: float

    @classmethod
    def of(cls, count: int, seconds: float, processor: float) -> "Rate":
        return cls(count / seconds, processor / count * 1000)


def reports(bell: Bell, pid: int, count: int, environment: str) -> Rate:
    """From several clients at once. With a recipient, the processor time holds each report's mail, and the clock runs until the last."""
    pids = tree(pid)
    bell.sink.ask("reset")
    start, used = time.monotonic(), processor_seconds(pids)
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda _: _send(bell, count // CLIENTS, environment), range(CLIENTS)))
    if environment == LOUD:
        bell.sink.ask(f"wait {count}")
    return Rate.of(count, time.monotonic() - start, processor_seconds(pids) - used)


def _send(bell: Bell, count: int, environment: str) -> None:
    client = bell.client()
    for _ in range(count):
        client.report(environment)


def delays(bell: Bell) -> tuple[list[float], list[float]]:
    """Milliseconds from the answer, and from the request, to DATA; one report at a time, everything idle in between."""
    client, from_answer, from_request = bell.client(), [], []
    for _ in range(SINGLES):
        bell.sink.ask("reset")
        sent = time.monotonic()
        client.report(LOUD)
        answered = time.monotonic()
        at = bell.sink.ask("wait 1")["data_at"][0]
        from_answer.append((at - answered) * 1000)
        from_request.append((at - sent) * 1000)
        time.sleep(0.03)  # the worker settles and falls asleep
    return sorted(from_answer), sorted(from_request)


def quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


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
