"""kill -9 at any moment: no mail is lost, and no more come twice than were being sent.

make faults    the full form: 500 reports, 25 kills
"""

import json
import os
import signal
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.utils import parseaddr
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path

from tests.e2e.stage import BARE, RUNBELL, Server, Victim, children, running, sink, wait_until
from tests.fakes.smtp_server import SmtpServer

REPORTS = int(os.environ.get("RUNBELL_TEST_KILL_REPORTS", "60"))
ROUND = 20  # reports between two kills
RECIPIENTS = ("ada@partner.example", "bob@partner.example", "eve@partner.example")
VICTIMS: tuple[Victim, ...] = ("worker", "serve", "everything")

Address = tuple[str, str]  # the run's id as its mails say it, and the recipient


@dataclass
class Sent:
    """What the sink has on record."""

    ids: dict[Address, list[str]]

    @property
    def repeats(self) -> int:
        return sum(len(ids) - 1 for ids in self.ids.values())


def taken(record: Path) -> Sent:
    ids: dict[Address, list[str]] = defaultdict(list)
    whole = record.read_text().rpartition("\n")[0]
    for mail in map(json.loads, whole.splitlines()):
        ids[mail["run"], parseaddr(mail["to"])[1]].append(mail["message_id"])
    return Sent(ids)


def test_a_kill_loses_nothing_and_repeats_no_more_than_was_in_flight(tmp_path: Path) -> None:
    record = tmp_path / "mails"
    with sink(record) as smtp, running(tmp_path / "home", RUNBELL_SMTP_URL=smtp) as server:
        server.furnish(RECIPIENTS)
        claims: Counter[Victim] = Counter()
        runs: list[Future[int]] = []
        keys = map("cli:{}".format, count())
        with ThreadPoolExecutor(4) as pool:
            for number, victim in enumerate(islice(cycle(VICTIMS), max(REPORTS // ROUND, 1))):
                claims[victim] += kill_in_flight(server, victim, runs, keys, pool, after=7 * number % ROUND)
                server.start()
        expected = {(str(run.result()), address) for run in runs for address in RECIPIENTS}
        wait_until(lambda: not server.pending(), "the last mail")
        assert server.stop() == 0
    sent = taken(record)
    print(f"{len(runs)} reports, {len(expected)} mails, claims at kills {dict(claims)}, {sent.repeats} repeats")  # seen with -s
    assert len({run.result() for run in runs}) == len(runs) >= REPORTS
    assert set(sent.ids) == expected
    assert sent.repeats <= claims.total()
    assert {address: len(set(ids)) for address, ids in sent.ids.items()} == dict.fromkeys(expected, 1)
    assert len({ids[0] for ids in sent.ids.values()}) == len(expected)


def kill_in_flight(
    server: Server, victim: Victim, runs: list[Future[int]], keys: Iterator[str], pool: ThreadPoolExecutor, *, after: int
) -> int:
    """Sends a round of reports and kills once `after` of them are accepted and a delivery is being sent; a round without is repeated.

    Returns the claims at the kill.
    """
    while True:
        new = [pool.submit(server.report, key) for key in islice(keys, ROUND)]
        runs += new
        wait_until(partial(_are_done, new, after), f"{after} accepted reports")
        if claims := _kill(server, victim, new):
            return claims


def _are_done(reports: Sequence[Future[int]], at_least: int) -> bool:
    return sum(report.done() for report in reports) >= at_least


def _kill(server: Server, victim: Victim, reports: Sequence[Future[int]]) -> int:
    """0: all is sent, and the moment never came."""
    while server.pending() or not all(report.done() for report in reports):
        if server.sending() and (claims := server.kill(victim)):
            return claims
    return 0


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
