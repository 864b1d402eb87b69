"""Mails out of real workers, beside what else sends mails, all into the same sink."""

import os
import pickle
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tools.with_postgres import cluster

from bench import alertmanager, postfix
from bench.bell import Bell, mail_sink, standing
from bench.beside import MISSING, PYTHON, peer
from bench.drains import drain, furnish
from bench.postfix import MailSink, fastest_sink
from bench.processes import processor_seconds
from bench.rates import Rate, rate_row, ratio_row
from bench.table import Row

WARM, COUNT = 200, 3_000
CONNECTIONS = 4
SLOW = "0.005"  # seconds that a slow sink waits before its yes


def mails(place: Path) -> Iterator[Row]:
    """Mails of 8 KB, out of a full outbox, by SMTP."""
    kept, home = place / "kept", place / "sqlite"
    home.mkdir()
    with fastest_sink(place) as sink:
        with standing(home) as bell:
            furnish(bell)
            into_ours, our_ms = weighed(bell, bell.sink)
            bell.sink.ask(f"dump {kept}")
            one, sink_ms = weighed(bell, sink)
            beside = list(references(bell, place, kept, sink, one))
        yield rate_row("Runbell, one worker on SQLite", one, 0.7)
        yield rate_row("Runbell, the same into the bench's own sink", into_ours)
        yield Row(
            f"processor time of {sink.name}, a mail", f"{sink_ms:.3f} ms", f"the bench's own: {our_ms:.3f} ms", "< 0.1 ms", sink_ms < 0.1
        )
        yield from on_postgres(place, sink)
        yield from beside


def weighed(bell: Bell, sink: MailSink) -> tuple[Rate, float]:
    """One worker's rate, and what the sink spent on a mail, in ms."""
    before = processor_seconds([sink.pid])
    rate = drain(bell, sink, WARM, COUNT)
    return rate, (processor_seconds([sink.pid]) - before) / (WARM + COUNT) * 1000


def references(bell: Bell, place: Path, kept: Path, sink: MailSink, one: Rate) -> Iterator[Row]:
    """What else sends mails. What is not installed is told.

    Whoever is compared with Runbell's worker is measured between two times of it: a machine may be slower a minute later.
    """
    loop, loops = peer("smtplib", kept, WARM + COUNT, sink), peer("smtplib", kept, WARM + COUNT, sink, processes=CONNECTIONS)
    again = drain(bell, sink, WARM, COUNT)
    yield rate_row("smtplib, the same bytes over one kept connection", loop)
    yield rate_row(f"smtplib, the same bytes over {CONNECTIONS}, each in a process", loops)
    yield ratio_row(f"Runbell's worker ÷ the {CONNECTIONS} smtplib processes", Rate.mean(one, again), loops, 0.3)
    first = pickle.loads(kept.read_bytes())[0][2]
    if alertmanager.is_there():
        yield from _alertmanager(bell, place, sink, first, again)
    else:
        yield Row("Alertmanager", "", alertmanager.MISSING)
    if postfix.program("smtp-source"):
        (place / "mail").write_bytes(first.replace(b"\r\n", b"\n"))
        limit = postfix.smtp_source(sink, place / "mail", WARM, COUNT, CONNECTIONS)
        yield rate_row(f"Postfix's smtp-source, {CONNECTIONS} kept connections: the limit", limit)
    else:
        yield Row("Postfix's smtp-source", "", postfix.MISSING)
    if PYTHON.exists():
        yield rate_row("Django's send_messages, one kept connection", peer("django", kept, WARM + COUNT, sink, every=2))
        yield rate_row("Apprise, without its pauses", peer("apprise", kept, WARM + COUNT, sink, every=20))
    else:
        yield Row("Django's send_messages, Apprise", "", MISSING)


def _alertmanager(bell: Bell, place: Path, sink: MailSink, mail: bytes, before: Rate) -> Iterator[Row]:
    rate, intake = alertmanager.mails(place, sink, mail, WARM, COUNT), alertmanager.intake_ms(place, sink, mail, COUNT)
    ours = Rate.mean(before, drain(bell, sink, WARM, COUNT))
    cost = f"{rate.cost_ms:.2f} ms of processor each, {intake:.2f} of it for taking the alert"
    yield Row("Alertmanager, a connection each, nothing on disk", f"{rate.per_second:.0f}/s", cost)
    yield ratio_row("Runbell's worker ÷ Alertmanager", ours, rate, 1.5)


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
