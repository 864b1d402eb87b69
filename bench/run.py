"""`make bench`: what Runbell costs, each figure beside its reference, all measured in one run on one machine, on loopback.

Prints one table and writes it to bench/results/latest.md. Leaves nothing running.
"""

import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load, matrix, wrapper
from bench.bell import LOUD, QUIET, Bell, Sink
from bench.load import quantile
from bench.processes import ROOT, command_of, memory_mb, running, tree

LIMIT = 300  # seconds; an idle machine needs under two minutes
RESULTS = ROOT / "bench/results/latest.md"
PARTS = (
    ("runbell serve", "supervisor"),
    ("import worker", "worker"),
    ("import web", "web: granian's master"),
    ("import web", "web: its worker"),
)


@dataclass(frozen=True)
class Row:
    """`is_met` None: nothing was aimed at."""

    what: str
    measured: str
    reference: str = ""
    aim: str = ""
    is_met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        verdict = {True: "yes", False: "NO", None: ""}[self.is_met]
        return self.what, self.measured, self.reference, self.aim, verdict


HEAD = ("what", "measured", "reference", "aim", "met")


def main() -> int:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # set in many containers; each process below would compile everything anew
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"no end after {LIMIT} s; is the machine busy?"))
    signal.alarm(LIMIT)
    start, busy = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="runbell-bench-") as place:
        home = Path(place)
        with running([sys.executable, "-m", "bench.sink"], dict(os.environ), home / "sink.log", is_talking=True) as process:
            rows = list(measure(Bell(home, Sink(process))))
    text = f"# What Runbell costs\n\n{_machine(busy)}\n\n{table(rows)}\n"
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text)
    print(f"\n{text}\n{time.monotonic() - start:.0f} s; written to {RESULTS.relative_to(ROOT)}")
    return 0


def measure(bell: Bell) -> Iterator[Row]:
    with bell.serve() as serve:
        bell.wait_for_web()
        bell.fill()
        say("memory")
        at_rest = memory(serve.pid)
        say("the wrapper")
        yield from wrapper_rows(wrapper.measure(bell.url, bell.token, bell.base))
        say("reports")
        yield from report_rows(bell, serve.pid)
        say("delays")
        yield from delay_rows(bell)
        after = memory(serve.pid)
    say("the queue")
    yield rate_row("reports by batches of 500, with a delivery each", load.queue(bell))
    yield from mail_rows(bell)
    say("the matrix")
    with bell.web():
        bell.wait_for_web()
        yield from matrix_rows(matrix.measure(bell))
    yield from memory_rows(at_rest, after)


def wrapper_rows(ms: dict[str, float]) -> Iterator[Row]:
    bare, delay = f"python -c pass: {ms['bare']:.1f} ms", ms["up"] - ms["bare_up"]
    yield Row("runbell run -- /bin/true, http", f"{ms['http']:.1f} ms", bare, "< 80 ms", ms["http"] < 80)
    yield Row("runbell run -- /bin/true, https", f"{ms['https']:.1f} ms", bare)
    yield Row("child up later than by bare Python", f"{delay:.1f} ms", f"{ms['up']:.1f} − {ms['bare_up']:.1f} ms", "≤ 20 ms", delay <= 20)


def report_rows(bell: Bell, pid: int) -> Iterator[Row]:
    load.reports(bell, pid, 100, QUIET)  # warms up
    yield rate_row("reports, nobody to tell, 4 clients", load.reports(bell, pid, load.REPORTS, QUIET))
    yield rate_row("reports until their mail is out, one each", load.reports(bell, pid, load.MAILED, LOUD))


def rate_row(what: str, rate: load.Rate) -> Row:
    return Row(what, f"{rate.per_second:.0f}/s", f"{rate.cost_ms:.2f} ms of processor each")


def delay_rows(bell: Bell) -> Iterator[Row]:
    from_answer, from_request = load.delays(bell)
    for share, limit in ((0.5, 15), (0.99, 50)):
        found, whole = quantile(from_answer, share), quantile(from_request, share)
        name = f"report accepted → SMTP DATA, idle, p{share * 100:.0f} of {len(from_answer)}"
        yield Row(name, f"{found:.1f} ms", f"from the request on: {whole:.1f} ms", f"< {limit} ms", found < limit)


def matrix_rows(costs: matrix.Costs) -> Iterator[Row]:
    page = f"page of {matrix.JOBS:,} jobs × 4 boxes"
    yield Row(f"{page}, last byte", f"{costs.page_ms:.0f} ms", f"middle of {matrix.LOOKS}", "< 600 ms", costs.page_ms < 600)
    yield Row(f"{page}, compressed", f"{costs.page_bytes / 1000:.0f} KB", "", "≤ 250 KB", costs.page_bytes <= 250_000)
    yield Row(f"saving {matrix.BOXES:,} boxes", f"{costs.save_ms:.0f} ms", f"middle of {matrix.SAVES}", "< 300 ms", costs.save_ms < 300)


def mail_rows(bell: Bell) -> Iterator[Row]:
    say("mails")
    rate, sink_ms = load.drain(bell)
    loop, loops = load.plain_smtp(bell, 1), load.plain_smtp(bell, load.CONNECTIONS)
    yield Row("mails by one worker", f"{rate.per_second:.0f}/s")
    yield share_row("… share of a smtplib loop's rate", rate, loop, "same bytes, one kept connection")
    yield share_row(f"… share of {load.CONNECTIONS} such loops' rate", rate, loops, "in processes of their own")
    yield Row("processor time of a mail", f"{rate.cost_ms:.2f} ms", f"smtplib: {loop.cost_ms:.2f} ms", "≤ 0.7 ms", rate.cost_ms <= 0.7)
    yield Row("… of the sink, a mail", f"{sink_ms:.3f} ms", "", "< 0.1 ms", sink_ms < 0.1)


def share_row(what: str, rate: load.Rate, reference: load.Rate, how: str) -> Row:
    share = rate.per_second / reference.per_second
    return Row(what, f"{share:.2f}", f"{how}: {reference.per_second:.0f}/s", "≥ 0.3", share >= 0.3)


def memory(pid: int) -> dict[str, tuple[float, float]]:
    """RSS and PSS in MB by part of serve."""
    found: dict[str, tuple[float, float]] = {}
    for each in tree(pid):
        found[_part(each, found)] = (memory_mb(each, "Rss"), memory_mb(each, "Pss"))
    return found


def _part(pid: int, known: Container[str]) -> str:
    """Granian's worker is forked from its master and looks alike."""
    command = command_of(pid)
    return next((name for mark, name in PARTS if mark in command and name not in known), command)


def memory_rows(at_rest: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]) -> Iterator[Row]:
    for name, (rss, _) in at_rest.items():
        yield Row(f"memory at rest: {name}", f"{rss:.0f} MB", f"after the load: {after[name][0]:.0f} MB")
    rest, later = (sum(pss for _, pss in found.values()) for found in (at_rest, after))
    yield Row("memory at rest: all, shared pages once", f"{rest:.0f} MB", f"after the load: {later:.0f} MB")


def table(rows: Sequence[Row]) -> str:
    lines = [HEAD, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    rule = tuple("-" * width for width in widths)
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in [HEAD, rule, *lines[1:]]
    )


def _machine(busy: float) -> str:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return f"Commit {commit or 'unknown'}, Python {platform.python_version()}, {os.cpu_count()} cores ({_model()}), load {busy:.1f} before, SQLite, {time.strftime('%Y-%m-%d')}."


def _model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def say(what: str) -> None:
    print(f"{time.strftime('%T')} measuring {what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
