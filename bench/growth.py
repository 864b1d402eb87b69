"""What becomes of it all when there are a hundred times as many rules and runs.

A small installation and a large one stand side by side and are measured in turns, so that noise hits them alike. The job that is reported has
the same recipients and as many runs in both: it is the tables that have grown.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from bench import history, load
from bench.bell import LOUD, Bell, standing
from bench.copies import Filler
from bench.drains import watched
from bench.history import SMALL, TOLD, Size
from bench.matrix import Browser
from bench.rates import Rate
from bench.stores import Store, stores
from bench.table import Row

ROUNDS, REPORTS, SINGLES, LOOKS = 5, 240, 60, 5
WARM = 100  # mails
MOST = 1.3


@dataclass(frozen=True)
class Found:
    """Of one installation, in ms but for the rates; pages by name."""

    reports: list[Rate] = field(default_factory=list)
    mails: list[Rate] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    pages: dict[str, list[float]] = field(default_factory=dict)


def growth(place: Path) -> Iterator[Row]:
    """Growth: how many times as long it takes with a hundred times the rules and runs."""
    for store in stores():
        sizes = (SMALL, history.large())
        with ExitStack() as stack:
            bells = [stack.enter_context(grown(store, place / f"{store.name} {size.runs}", size)) for size in sizes]
            yield from rows(f"{store.name}, {sizes[0]} → {sizes[1]}", *measure(store, bells))


def rows(what: str, small: Found, large: Found) -> Iterator[Row]:
    yield _dearer(f"{what}: a report", "ms of processor", _costs(small.reports), _costs(large.reports))
    yield _dearer("… a report, 4 clients", "ms", _spans(small.reports), _spans(large.reports))
    yield _dearer("… a mail", "ms of processor", _costs(small.mails), _costs(large.mails))
    yield _dearer("… a mail, one worker", "ms", _spans(small.mails), _spans(large.mails))
    yield _dearer("… from a report accepted to DATA, idle", "ms", small.delays, large.delays)
    for page in small.pages:
        yield _dearer(f"… page: {page}", "ms", small.pages[page], large.pages[page], is_aim=False)


def _dearer(what: str, unit: str, small: Sequence[float], large: Sequence[float], *, is_aim: bool = True) -> Row:
    before, after = median(small[1:]), median(large[1:])
    ratio = after / before
    return Row(
        what, f"{ratio:.2f} ×", f"{before:.2f} → {after:.2f} {unit}", f"< {MOST} ×" if is_aim else "", ratio < MOST if is_aim else None
    )


def _costs(rates: Iterable[Rate]) -> list[float]:
    return [rate.cost_ms for rate in rates]


def _spans(rates: Iterable[Rate]) -> list[float]:
    """From one to the next, in ms."""
    return [1000 / rate.per_second for rate in rates]


@contextmanager
def grown(store: Store, home: Path, size: Size) -> Iterator[Bell]:
    """None of its processes runs."""
    home.mkdir()
    with standing(home, **store.settings()) as bell:
        with bell.serve():  # which settles what it sends before it ends
            bell.wait_for_web()
            bell.fill(TOLD)
            bell.client().report(LOUD)
            bell.sink.ask(f"wait {TOLD}")
        history.fill(store.filler(bell), size)
        yield bell


def measure(store: Store, bells: Sequence[Bell]) -> list[Found]:
    """Of each, in turns. The first of everything warms up."""
    found = [Found() for _ in bells]
    with ExitStack() as stack:
        webs = [stack.enter_context(bell.web()) for bell in bells]
        for bell in bells:
            bell.wait_for_web()
        for _ in range(1 + ROUNDS):
            for bell, web, each in zip(bells, webs, found, strict=True):
                each.reports.append(load.singles(bell, REPORTS, LOUD, partial(store.spent, web.pid)))
                each.mails.append(_drained(store, bell, REPORTS * TOLD))
        looked = [(Browser(bell.port), pages(store.filler(bell), bell.account)) for bell in bells]
        for _ in range(1 + LOOKS):
            for (browser, paths), each in zip(looked, found, strict=True):
                for name, path in paths.items():
                    each.pages.setdefault(name, []).append(_looked(browser, path))
        for bell in bells:
            stack.enter_context(bell.worker())
        for _ in range(1 + SINGLES):
            for bell, each in zip(bells, found, strict=True):
                each.delays.append(_delay(bell))
    return found


def _drained(store: Store, bell: Bell, count: int) -> Rate:
    """What waits, sent by one worker; counted from the `WARM`-th on."""
    bell.sink.reset()
    with bell.worker() as worker:
        return watched(bell.sink, WARM, count - WARM, partial(store.spent, worker.pid))


def _delay(bell: Bell) -> float:
    """ms from the answer to the first mail."""
    client = bell.client()
    bell.sink.reset()
    client.report(LOUD)
    answered = time.monotonic()
    at = bell.sink.ask(f"wait {TOLD}")["data_at"][0]
    time.sleep(0.03)  # the worker settles and falls asleep
    return (at - answered) * 1000


def pages(filler: Filler, account: int) -> dict[str, str]:
    """Of a job with many listeners and runs, in its environment."""
    job = filler.number("SELECT MAX(id) FROM runbell_job")
    place = filler.number(f"SELECT environment_id FROM runbell_job WHERE id = {job}")
    run = filler.number(f"SELECT MAX(id) FROM runbell_run WHERE job_id = {job}")
    own = f"/a/{account}"
    return {
        "home": f"{own}/",
        "jobs": f"{own}/settings/jobs",
        "a job": f"{own}/jobs/{job}",
        "a run": f"{own}/runs/{run}",
        "email notifications": f"{own}/settings/notifications/email?env={place}",
        "delivery log": f"{own}/deliveries",
    }


def _looked(browser: Browser, path: str) -> float:
    """ms to the last byte, on a connection of its own."""
    browser.rest()
    start = time.perf_counter()
    browser.page(path)
    return (time.perf_counter() - start) * 1000
