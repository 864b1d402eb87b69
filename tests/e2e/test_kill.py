"""kill -9 at any moment: no mail is lost, and no more come twice than were being sent.

make faults    the full form: 50 kills on each database
"""

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path
from random import Random

from tests.e2e.conftest import Database
from tests.e2e.counts import Count, expected, mails_in
from tests.e2e.processes import children, family, kill, wait_until
from tests.e2e.stage import BARE, RUNBELL, Server, Victim, reporters, running, sink
from tests.fakes.smtp_server import SmtpServer
from tools.with_postgres import Cluster

ROUNDS = int(os.environ.get("RUNBELL_TEST_KILL_ROUNDS", "5"))
SEED = int(os.environ.get("RUNBELL_TEST_SEED", "1"))
ROUND = 20  # reports around a kill
RECIPIENTS = ("ada@partner.example", "bob@partner.example", "eve@partner.example")
VICTIMS: tuple[Victim, ...] = ("worker", "web", "serve", "everything")
# A worker that is gone is followed by one that may send at once on SQLite; on PostgreSQL its leases run out, here after three seconds.
SCALE = "0.1"

Kill = Callable[[], int]


@dataclass
class Load:
    """Reports, four at a time; each is told again until it is accepted."""

    server: Server
    pool: ThreadPoolExecutor
    runs: list[Future[int]] = field(default_factory=list)
    keys: "count[int]" = field(default_factory=count)

    def more(self, reports: int = ROUND) -> list[Future[int]]:
        new = [self.pool.submit(self.server.report, f"cli:{number}") for number in islice(self.keys, reports)]
        self.runs += new
        return new

    def accepted(self) -> set[int]:
        return {run.result() for run in self.runs}


def test_a_kill_loses_nothing_and_repeats_no_more_than_was_in_flight(tmp_path: Path, database: Database, counted: Count) -> None:
    record, dice = tmp_path / "mails", Random(SEED)
    env = {"RUNBELL_TIME_SCALE": SCALE, **database.env}
    with sink(record) as smtp, running(tmp_path / "home", RUNBELL_SMTP_URL=smtp, **env) as server, reporters() as pool:
        server.furnish(RECIPIENTS)
        kills: list[Kill] = [partial(kill_and_start, server, victim) for victim in VICTIMS]
        if database.cluster:
            kills.append(partial(crash, database.cluster, server))
        load = Load(server, pool)
        in_flight = sum(in_the_middle(load, kill, after=dice.randrange(ROUND)) for kill in islice(cycle(kills), ROUNDS))
        promised = expected(load.accepted(), RECIPIENTS)
        wait_until(lambda: not server.pending(), "the last mail")
        assert server.stop() == 0
    mails = mails_in(record)
    counted(counts := mails.against(promised, in_flight=in_flight))
    assert len(load.accepted()) == len(load.runs) >= ROUNDS * ROUND
    assert (counts.lost, mails.ids.keys() - promised) == (0, set())
    assert counts.repeated <= in_flight
    mails.assert_told_apart()


def in_the_middle(load: Load, kill: Kill, *, after: int) -> int:
    """Kills once so many of a round of reports are accepted and a delivery is being sent; a round without is repeated.

    Returns the claims at the kill.
    """
    while True:
        new = load.more()
        wait_until(partial(_are_done, new, after), f"{after} accepted reports")
        while load.server.pending() or not _are_done(new, ROUND):
            if load.server.sending() and (claims := kill()):
                return claims


def _are_done(reports: Sequence[Future[int]], at_least: int) -> bool:
    return sum(report.done() for report in reports) >= at_least


def kill_and_start(server: Server, victim: Victim) -> int:
    if claims := server.kill(victim):
        server.start()
    return claims


def crash(cluster: Cluster, server: Server) -> int:
    """PostgreSQL dies with all its processes, and comes back; nobody tells the server."""
    assert cluster.process
    with server.caught() as claims:
        if claims:
            kill(family(cluster.process.pid))
    if claims:
        cluster.process.wait()
        cluster.start()
    return claims


def test_a_job_that_dies_with_its_wrapper_is_told_as_failed(tmp_path: Path) -> None:
    scaled = {"RUNBELL_TIME_SCALE": "0.001", "RUNBELL_LOST_RUN_AFTER": "50m"}  # three seconds
    with SmtpServer() as smtp, running(tmp_path / "home", RUNBELL_SMTP_URL=smtp.url, **scaled) as server:
        server.furnish(RECIPIENTS)
        started_run_dies(server, tmp_path)
        mails = smtp.wait_for(len(RECIPIENTS), timeout=60)
        run = server.number("SELECT id FROM runbell_run WHERE job_id = 1 ORDER BY id DESC")
        assert server.stop() == 0
    assert {mail.recipients for mail in mails} == {(address,) for address in RECIPIENTS}
    for mail in smtp.mails:
        assert (mail.headers["X-Runbell-Run"], mail.headers["X-Runbell-Outcome"]) == (str(run), "failed")
        text = message_from_bytes(mail.content, policy=policy.default).get_body(("plain",))
        assert text
        assert "No end was reported" in " ".join(text.get_content().split())
    assert len(smtp.mails) == len(RECIPIENTS)


def started_run_dies(server: Server, folder: Path) -> None:
    """`runbell run` has told of the start; then it and its child are gone without a word."""
    words = ["--project", "shop", "--environment", "Production", "--job", "nightly", "--", "sleep", "600"]
    env = BARE | {"RUNBELL_URL": server.url, "RUNBELL_TOKEN": server.token, "RUNBELL_SPOOL_DIR": str(folder / "spool")}
    with subprocess.Popen([RUNBELL, "run", *words], cwd=folder, env=env, stderr=subprocess.DEVNULL) as wrapper:
        try:
            wait_until(lambda: server.number("SELECT COUNT(*) FROM runbell_run") == 2, "a started run")
        finally:
            doomed = [wrapper.pid, *children(wrapper.pid)]
            for pid in doomed:
                os.kill(pid, signal.SIGKILL)
    assert len(doomed) == 2
