"""How long until the mail about a run goes out: from the answer to its report, and from the request, to DATA at the sink."""

import pickle
import random
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.bell import LOUD, Bell, Client, standing
from bench.rates import quantile
from bench.stores import stores
from bench.table import Row

ASKED, APART = 200, 0.06  # reports whose mail is waited for, and seconds from one to the next
AIMS = {0.5: 10, 0.99: 30}  # ms, while nothing else goes on
RUN = re.compile(rb"^X-Runbell-Run: (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    run: int
    sent: float
    answered: float


def delayed(place: Path) -> Iterator[Row]:
    """From a report that was accepted to DATA at the mail server: idle, and beside half of the load that fits."""
    for store in stores():
        home = place / store.name
        home.mkdir()
        with standing(home, **store.settings()) as bell, bell.serve() as serve:
            bell.wait_for_web()
            bell.fill()
            load.told(bell, serve.pid, load.WARM)
            yield from _rows(f"{store.name}, idle", delays(bell), AIMS)
            rate = load.told(bell, serve.pid, load.REPORTS).per_second / 2
            yield from _rows(f"{store.name}, beside {rate:.0f} reports/s", delays(bell, rate), dict.fromkeys(AIMS))


def _rows(what: str, found: tuple[list[float], list[float]], aims: Mapping[float, int | None]) -> Iterator[Row]:
    from_answer, from_request = found
    for share, aim in aims.items():
        ms, whole = quantile(from_answer, share), quantile(from_request, share)
        name = f"{what}: p{share * 100:.0f} of {len(from_answer)}"
        is_met = ms < aim if aim else None
        yield Row(name, f"{ms:.1f} ms", f"from the request on: {whole:.1f} ms", f"< {aim} ms" if aim else "", is_met)


def delays(bell: Bell, beside: float = 0.0) -> tuple[list[float], list[float]]:
    """Milliseconds from the answer, and from the request, sorted; so many other reports a second come from another process, each with a mail."""
    bell.sink.reset()
    with ProcessPoolExecutor(1) as others:
        seconds = ASKED * APART + 2
        coming = others.submit(keep_coming, bell.port, bell.token, beside, seconds) if beside else None
        time.sleep(1 if beside else 0)
        asked = list(_ask(bell))
        total = len(asked) + (coming.result() if coming else 0)
    at = data_at(bell, total)
    return sorted((at[each.run] - each.answered) * 1000 for each in asked), sorted((at[each.run] - each.sent) * 1000 for each in asked)


def _ask(bell: Bell) -> Iterator[Asked]:
    client, start = bell.client(), time.monotonic()
    for number in range(ASKED):
        time.sleep(max(start + (number + random.random() / 2) * APART - time.monotonic(), 0.0))
        sent = time.monotonic()
        run = client.report(LOUD)
        yield Asked(run, sent, time.monotonic())


def data_at(bell: Bell, count: int) -> dict[int, float]:
    """Once so many mails are there: when the first about each run came."""
    path = bell.home / "mails"
    times = bell.sink.ask(f"wait {count}")["data_at"]
    bell.sink.ask(f"dump {path}")
    mails = pickle.loads(path.read_bytes())
    first: dict[int, float] = {}
    for (_, _, content), at in zip(mails, times, strict=False):
        if found := RUN.search(content):
            first.setdefault(int(found[1]), at)
    return first


def keep_coming(port: int, token: str, per_second: float, seconds: float) -> int:
    """Each client has its own times to send, and sends at once when it is late. Returns how many it were."""
    start = time.monotonic()

    def send(offset: int) -> int:
        client, times = Client(port, token), range(offset, int(per_second * seconds), load.CLIENTS)
        for number in times:
            time.sleep(max(start + number / per_second - time.monotonic(), 0.0))
            client.report(LOUD)
        return len(times)

    with ThreadPoolExecutor(load.CLIENTS) as pool:
        return sum(pool.map(send, range(load.CLIENTS)))
