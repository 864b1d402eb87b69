"""Several workers, a database that goes away, more reports than ever: on the way nothing is lost, and without a kill nothing repeats."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import psycopg
import pytest
from tests.e2e.conftest import LONG, Database
from tests.e2e.counts import Count, expected, mails_in
from tests.e2e.processes import frozen, wait_until
from tests.e2e.stage import RUNBELL, Server, reporters, running, sink
from tests.fakes.smtp_server import HOLD, SmtpServer

RECIPIENTS = ("ada@partner.example", "bob@partner.example", "eve@partner.example")
BURST = int(os.environ.get("RUNBELL_TEST_BURST", "300"))
BATCH = 25
OUTAGES = int(os.environ.get("RUNBELL_TEST_OUTAGES", "1"))
SEED = int(os.environ.get("RUNBELL_TEST_SEED", "1"))
SCALE = "0.1"  # a lease of three seconds
IN_TRANSACTION = """
    SELECT COUNT(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND state <> 'idle'"""
SENDERS = 4  # conversations of one worker with a mail server at a time


@LONG
def test_two_workers_after_the_same_expired_lease(tmp_path: Path, on_postgres: Database, counted: Count) -> None:
    """Each message is taken by one of them. The one that stood still sends no more when it wakes than it was in the middle of."""
    record = tmp_path / "mails"
    with (
        SmtpServer(record=record) as smtp,
        running(tmp_path / "home", RUNBELL_SMTP_URL=smtp.url, RUNBELL_TIME_SCALE=SCALE, **on_postgres.env) as server,
        reporters() as pool,
    ):
        server.furnish(RECIPIENTS)
        smtp.always("data", HOLD)
        runs = list(pool.map(server.report, (f"cli:{number}" for number in range(20))))
        wait_until(lambda: smtp.said[HOLD], "a conversation")
        with standing_still(server):
            smtp.usually("data")
            with worker(server), worker(server):
                wait_until(lambda: not server.pending(), "what the one that stands still had claimed")
            assert mails_in(record).repeated == 0
        runs.append(server.report("cli:after"))
        wait_until(lambda: not server.pending(), "the last mail")
        assert server.stop() == 0
    mails = mails_in(record)
    counted(counts := mails.against(promised := expected(runs, RECIPIENTS), in_flight=SENDERS))
    assert mails.ids.keys() == promised
    assert counts.repeated <= SENDERS
    mails.assert_told_apart()


@contextmanager
def standing_still(server: Server) -> Iterator[None]:
    """Between two transactions: in the midst of one it would keep the others from its rows until PostgreSQL gives its connection up."""
    while True:
        with frozen(server.worker()):
            if not server.number(IN_TRANSACTION):
                yield
                return


@contextmanager
def worker(server: Server) -> "Iterator[subprocess.Popen[bytes]]":
    with server.log.open("ab") as log, subprocess.Popen([RUNBELL, "worker"], env=server.environ, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_a_database_that_drops_its_connections_or_restarts_costs_no_message(tmp_path: Path, on_postgres: Database, counted: Count) -> None:
    record, dice = tmp_path / "mails", Random(SEED)
    with (
        sink(record) as smtp,
        running(tmp_path / "home", RUNBELL_SMTP_URL=smtp, RUNBELL_TIME_SCALE=SCALE, **on_postgres.env) as server,
        reporters() as pool,
    ):
        server.furnish(RECIPIENTS)
        process, pids, reports = server.process, server.worker(), []
        for number in range(OUTAGES):
            reports += [pool.submit(server.report, f"cli:{number}-{each}") for each in range(30)]
            wait_until(lambda: sum(report.done() for report in reports) >= len(reports) - dice.randrange(5, 25), "some reports")  # noqa: B023
            drop_connections(on_postgres)
            wait_until(lambda: sum(report.done() for report in reports) >= len(reports) - 4, "more reports")  # noqa: B023
            restart(on_postgres)
        runs = [report.result() for report in reports]
        wait_until(lambda: not server.pending(), "the last mail")
        assert (server.process, server.worker()) == (process, pids)
        assert server.stop() == 0
    mails = mails_in(record)
    counted(counts := mails.against(promised := expected(runs, RECIPIENTS)))
    assert mails.ids.keys() == promised
    assert counts.repeated == 0


def drop_connections(database: Database) -> None:
    with psycopg.connect(database.env["RUNBELL_DATABASE_URL"]) as connection:
        sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        assert len(connection.execute(sql).fetchall()) >= 2  # web and worker


def restart(database: Database) -> None:
    """As a failover looks to its clients: every connection ends, and for a moment nobody answers."""
    assert database.cluster
    database.cluster.stop(signal.SIGINT)
    database.cluster.start()


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=LONG)], indirect=True)
def test_a_burst_is_accepted_and_told_whole(tmp_path: Path, database: Database, counted: Count) -> None:
    record = tmp_path / "mails"
    with sink(record) as smtp, running(tmp_path / "home", RUNBELL_SMTP_URL=smtp, **database.env) as server, reporters() as pool:
        server.furnish(RECIPIENTS[:1])
        batches = [[f"cli:{number}" for number in range(first, min(first + BATCH, BURST))] for first in range(0, BURST, BATCH)]
        began = time.monotonic()
        runs = [run for batch in pool.map(server.report_batch, batches) for run in batch]
        accepted = time.monotonic()
        wait_until(lambda: not server.pending(), "the last mail", patience=600)
        ended = time.monotonic()
        assert server.stop() == 0
    mails = mails_in(record)
    print(f"\n{BURST} reports in {accepted - began:.0f} s, the last mail {ended - accepted:.0f} s later")
    counted(counts := mails.against(promised := expected(runs, RECIPIENTS[:1])))
    assert len(set(runs)) == BURST
    assert mails.ids.keys() == promised
    assert counts.repeated == 0
