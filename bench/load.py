"""Reports into a real server: how many it accepts, and how long until the mail about one goes out."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.bell import LOUD, QUIET, Bell, standing
from bench.processes import processor_seconds, tree
from bench.rates import Rate, quantile, rate_row
from bench.table import Row

CLIENTS = 4
REPORTS, MAILED = 600, 300
SINGLES = 100


def accepted(place: Path) -> Iterator[Row]:
    """Reports, one in a request, on SQLite."""
    with standing(place) as bell, bell.serve() as serve:
        bell.wait_for_web()
        bell.fill()
        reports(bell, serve.pid, 100, QUIET)  # warms up
        yield rate_row("reports, nobody to tell, 4 clients", reports(bell, serve.pid, REPORTS, QUIET))
        yield rate_row("reports until their mail is out, one each", reports(bell, serve.pid, MAILED, LOUD))


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


def delayed(place: Path) -> Iterator[Row]:
    """From a report to its mail, everything idle, on SQLite."""
    with standing(place) as bell, bell.serve():
        bell.wait_for_web()
        bell.fill()
        from_answer, from_request = delays(bell)
    for share, limit in ((0.5, 10), (0.99, 30)):
        found, whole = quantile(from_answer, share), quantile(from_request, share)
        name = f"report accepted → SMTP DATA, idle, p{share * 100:.0f} of {len(from_answer)}"
        yield Row(name, f"{found:.1f} ms", f"from the request on: {whole:.1f} ms", f"< {limit} ms", found < limit)


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
