"""Mails out of real workers, beside what else sends mails, all into the same sink."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from tools.with_postgres import cluster

from bench import alertmanager, postfix
from bench.bell import mail_sink, standing
from bench.drains import drain, furnish
from bench.postfix import MailSink, fastest_sink
from bench.processes import ROOT, processor_seconds, running
from bench.rates import Rate, ratio_row
from bench.table import Row

WARM, COUNT = 200, 3_000
CONNECTIONS = 4
SLOW = "0.005"  # seconds that a slow sink waits before its yes
PYTHON = ROOT / ".venv-bench/bin/python"
MISSING = "no .venv-bench; make bench makes it"


def mails(place: Path) -> Iterator[Row]:
    """Mails of 8 KB, out of a full outbox, by SMTP."""
    kept, home = place / "kept", place / "sqlite"
    home.mkdir()
    with fastest_sink(place) as sink:
        with standing(home) as bell:
            furnish(bell)
            into_ours = drain(bell, bell.sink, WARM, COUNT)
            bell.sink.ask(f"dump {kept}")
            used = processor_seconds([sink.pid])
            one = drain(bell, sink, WARM, COUNT)
            sink_ms = (processor_seconds([sink.pid]) - used) / (WARM + COUNT) * 1000
        yield rate_row("Runbell, one worker on SQLite", one, 0.7)
        yield rate_row("the same into the bench's own sink", into_ours)
        yield Row("processor time of the sink, a mail", f"{sink_ms:.3f} ms", sink.name, "< 0.1 ms", sink_ms < 0.1)
        yield from references(place, kept, sink, one)
        yield from on_postgres(place, sink)


def rate_row(what: str, rate: Rate, aim: float | None = None) -> Row:
    cost = f"{rate.cost_ms:.2f} ms of processor each"
    return Row(what, f"{rate.per_second:.0f}/s", cost, f"≤ {aim} ms" if aim else "", rate.cost_ms <= aim if aim else None)


def references(place: Path, kept: Path, sink: MailSink, one: Rate) -> Iterator[Row]:
    """What else sends mails. What is not installed is told."""
    loop, loops = peer("smtplib", kept, sink), peer("smtplib", kept, sink, processes=CONNECTIONS)
    yield rate_row("smtplib, the same bytes over one kept connection", loop)
    yield rate_row(f"smtplib, the same bytes over {CONNECTIONS}, each in a process", loops)
    yield ratio_row(f"Runbell's worker ÷ the {CONNECTIONS} smtplib processes", one, loops, 0.3)
    first = pickle.loads(kept.read_bytes())[0][2]
    if postfix.program("smtp-source"):
        (place / "mail").write_bytes(first.replace(b"\r\n", b"\n"))
        limit = postfix.smtp_source(sink, place / "mail", WARM, COUNT, CONNECTIONS)
        yield rate_row(f"Postfix's smtp-source, {CONNECTIONS} kept connections: the limit", limit)
    else:
        yield Row("Postfix's smtp-source", "", postfix.MISSING)
    if PYTHON.exists():
        yield rate_row("Django's send_messages, one kept connection", peer("django", kept, sink, every=2))
        yield rate_row("Apprise, without its pauses", peer("apprise", kept, sink, every=20))
    else:
        yield Row("Django's send_messages, Apprise", "", MISSING)
    if alertmanager.is_there():
        yield from _alertmanager(place, sink, first, one)
    else:
        yield Row("Alertmanager", "", alertmanager.MISSING)


def _alertmanager(place: Path, sink: MailSink, mail: bytes, one: Rate) -> Iterator[Row]:
    rate, intake = alertmanager.mails(place, sink, mail, WARM, COUNT), alertmanager.intake_ms(place, sink, mail, COUNT)
    cost = f"{rate.cost_ms:.2f} ms of processor each, {intake:.2f} of it for taking the alert"
    yield Row("Alertmanager, a connection each, nothing on disk", f"{rate.per_second:.0f}/s", cost)
    yield ratio_row("Runbell's worker ÷ Alertmanager", one, rate, 1.5)


def on_postgres(place: Path, sink: MailSink) -> Iterator[Row]:
    """One worker and two, with fsync as PostgreSQL comes; into a sink that takes everything, and into one that waits."""
    home = place / "postgres"
    home.mkdir()
    with ExitStack() as stack:
        database = stack.enter_context(cluster(()))
        slow = stack.enter_context(mail_sink(home, "--wait", SLOW))
        bell = stack.enter_context(standing(home, RUNBELL_DATABASE_URL=database.url()))
        furnish(bell)
        one, two, one_slow, two_slow = (
            drain(bell, to, WARM, COUNT, workers=workers, database=database) for to in (sink, slow) for workers in (1, 2)
        )
    yield rate_row("Runbell, one worker on PostgreSQL", one, 0.7)
    yield rate_row("Runbell, two workers on PostgreSQL", two, 0.7)
    how = f"the processor binds: {os.cpu_count()} cores for workers, PostgreSQL and sink"
    yield ratio_row("two workers ÷ one, the sink waits for nothing", two, one, 1.3, how)
    how = f"{two_slow.per_second:.0f}/s ÷ {one_slow.per_second:.0f}/s, {CONNECTIONS} connections each"
    yield ratio_row("two workers ÷ one, the sink waits 5 ms for each mail", two_slow, one_slow, 1.8, how)


def peer(way: str, kept: Path, sink: MailSink, *, processes: int = 1, every: int = 1) -> Rate:
    """Sends what was kept, or every so-many-th of it; counted by the sink from the first fifteenth on."""
    python = PYTHON if PYTHON.exists() else Path(sys.executable)
    step = processes * every
    total = sum(len(range(first * every, WARM + COUNT, step)) for first in range(processes))
    warm = total // 15
    with ExitStack() as stack:
        words = (python, "-m", "bench.peers", way, str(sink.port), kept)
        shares = [(*words, str(first * every), str(step)) for first in range(processes)]
        started = [stack.enter_context(running(each, os.environ, kept.with_name("peers.log"), is_talking=True)) for each in shares]
        _told(started)  # ready
        sink.reset()
        for each in started:
            assert each.stdin
            each.stdin.write("go\n")
            each.stdin.flush()
        start = sink.when(warm)
        seconds = sink.when(total) - start
        used = sum(map(float, _told(started)))
    return Rate.of(total - warm, seconds, used * (total - warm) / total)


def _told(started: Sequence["subprocess.Popen[str]"]) -> list[str]:
    return [each.stdout.readline() for each in started if each.stdout]
