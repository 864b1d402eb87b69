"""Ten thousand runs at once, three mails about each."""

import time
from collections.abc import Iterator
from pathlib import Path

from bench.bell import LOUD, Bell, standing
from bench.load import BATCH, RECIPIENTS
from bench.processes import command_of, peak_memory_mb, tree
from bench.stores import stores
from bench.table import Row

RUNS = 10_000
MOST_SECONDS, MOST_MB = 60, 150


def burst(place: Path) -> Iterator[Row]:
    """10,000 failed runs at once, of which three people outside are told, by one worker."""
    for store in stores():
        home = place / store.name
        home.mkdir()
        with standing(home, **store.settings()) as bell, bell.serve() as serve:
            bell.wait_for_web()
            bell.fill(RECIPIENTS)
            accepting, out = _burst(bell)
            peak = peak_memory_mb(worker_of(serve.pid))
        told, mails = f"{RUNS / accepting:.0f} reports/s in batches of {BATCH}", RUNS * RECIPIENTS
        yield Row(f"{store.name}: {RUNS:,} runs accepted", f"{accepting:.1f} s", told)
        rate = f"{mails / (accepting + out):.0f} mails/s from the first report on"
        yield Row(
            f"{store.name}: last of {mails:,} mails out, after the last report",
            f"{out:.1f} s",
            rate,
            f"< {MOST_SECONDS} s",
            out < MOST_SECONDS,
        )
        yield Row(f"{store.name}: most memory of the worker", f"{peak:.0f} MB", "", f"< {MOST_MB} MB", peak < MOST_MB)


def _burst(bell: Bell) -> tuple[float, float]:
    """Seconds until the last report was accepted, and from there to the last mail."""
    client = bell.client()
    bell.sink.reset()
    start = time.monotonic()
    for _ in range(RUNS // BATCH):
        client.batch(LOUD, BATCH)
    accepted = time.monotonic()
    done = bell.sink.ask(f"wait {RUNS * RECIPIENTS}")["done_at"]
    return accepted - start, done[-1] - accepted


def worker_of(serve: int) -> int:
    return next(pid for pid in tree(serve) if "import worker" in command_of(pid))
