"""Mail servers and Slack that refuse, are slow, hang up and answer garbage, or are away for as long as Runbell tries: each message
arrives, or is dead and somebody is told.

One server on each database goes through all of it, at five thousand times the speed of time.
"""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.conftest import LONG, Database, database_of
from tests.e2e.counts import Count, Counts, Mails, expected, mails_in
from tests.e2e.processes import free_port, frozen, wait_until
from tests.e2e.stage import BARE, ROOT, Server, running
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.faults import Fault
from tests.fakes.smtp_server import DROP, HOLD, SmtpServer

RECIPIENTS = ("ada@partner.example", "bob@partner.example")
ADMIN = "ada@acme.test"  # hears of messages that are dead
REPORTS = 2  # during each fault
LOST_ANSWERS = 2  # each makes a repeat
BACKLOG = 15
TRIES = 9
DEAD = "SELECT COUNT(*) FROM runbell_delivery WHERE state = 'dead' AND purpose = 'run' AND run_id >= {run} AND lane LIKE '{lane}%'"
UNTRIED = """
    SELECT d.run_id, a.address FROM runbell_delivery d JOIN runbell_destination a ON a.id = d.destination_id
    WHERE d.state = 'queued' AND d.last_because IS NULL AND d.lane = 'email'"""


@dataclass
class Stage:
    server: Server
    smtp: SmtpServer
    slack: FakeSlack
    record: Path

    def report(self, name: str, count: int = REPORTS) -> list[int]:
        return [self.server.report(f"cli:{name}-{number}") for number in range(count)]

    def settle(self, what: str) -> None:
        wait_until(lambda: not self.server.pending(), what)

    def posted(self) -> Counter[int]:
        return Counter(run for post in self.slack.posts for run in post.runs)

    def posts_of(self, runs: list[int], *, dead: int = 0, in_flight: int = 0) -> Counts:
        seen = Counter({run: told for run, told in self.posted().items() if run in runs})
        return Counts(len(runs), len(seen), dead, len(runs) - len(seen) - dead, seen.total() - len(seen), in_flight)

    def mails_of(self, runs: list[int], *, dead: int = 0, in_flight: int = 0) -> Counts:
        wanted = expected(runs, RECIPIENTS)
        mails = mails_in(self.record)
        mails.assert_told_apart()
        ours = Mails({address: ids for address, ids in mails.ids.items() if address in wanted})
        return ours.against(wanted, dead=dead, in_flight=in_flight)

    def dead(self, first: int, lane: str) -> int:
        return self.server.number(DEAD.format(run=first, lane=lane))


@contextmanager
def staged(folder: Path, database: Database, *, scale: float) -> Iterator[Stage]:
    record = folder / "mails"
    with FakeSlack(scale=1 / scale) as slack, SmtpServer(record=record) as smtp:
        settings = {"RUNBELL_SLACK_DIGEST_AFTER": "0", "RUNBELL_SMTP_URL": smtp.url, **slack.settings}
        with running(folder / "home", **scaled(scale), **settings, **database.env) as server:
            server.furnish(RECIPIENTS)
            link(server, slack)
            yield Stage(server, smtp, slack, record)
            assert server.stop() == 0


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=LONG)])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stage"), database_of(request), scale=0.0002) as made:
        yield made


def scaled(by: float) -> dict[str, str]:
    """Nothing is too old."""
    return {"RUNBELL_TIME_SCALE": str(by), "RUNBELL_MAX_AGE": "100000h"}


def link(server: Server, slack: FakeSlack) -> None:
    wanted = {"team": slack.acme.id, "token": slack.install(), "channels": [channel.id for channel in slack.acme.add_channels(1)]}
    env = BARE | {"RUNBELL_HOME": str(server.home)} | server.env
    subprocess.run([sys.executable, "-m", "tests.e2e.slack_stage"], cwd=ROOT, env=env, input=json.dumps(wanted), text=True, check=True)


def told_admin(smtp: SmtpServer) -> int:
    return sum(mail.recipients == (ADMIN,) for mail in smtp.mails)


SMTP_FAULTS = {
    "refuses at the door": ("connect", "554 5.3.2 not today"),
    "refuses the sender for now": ("mail", "451 4.3.0 later"),
    "refuses the recipient for now": ("rcpt", "450 4.2.0 greylisted"),
    "refuses the message for now": ("message", "452 4.3.1 no room"),
    "is slow": ("data", HOLD),
    "hangs up at once": ("connect", DROP),
    "hangs up in the middle": ("data", DROP),
    "greets with garbage": ("connect", "\x00\x17 what?"),
    "answers with garbage": ("rcpt", "<html>no</html>"),
    "goes down": ("mail", "421 4.3.2 going down"),
}


def test_a_mail_server_in_every_kind_of_trouble_gets_each_mail_once(stage: Stage, counted: Count) -> None:
    smtp, runs = stage.smtp, list[int]()
    for name, (point, reply) in SMTP_FAULTS.items():
        told = smtp.said[reply]
        smtp.always(point, reply)
        if point == "connect":
            smtp.drop_connections()  # those that are kept know nothing of it
        runs += stage.report(name)
        wait_until(lambda: smtp.said[reply] > told, f"a mail server that {name}")  # noqa: B023
        smtp.usually(point)
        stage.settle(f"the mails after one that {name}")
    smtp.say("message", *[DROP] * LOST_ANSWERS)
    runs += stage.report("lost answer")
    stage.settle("the last mail")
    counted(counts := stage.mails_of(runs, in_flight=LOST_ANSWERS))
    assert (counts.lost, counts.dead, counts.repeated) == (0, 0, LOST_ANSWERS)


SLACK_FAULTS: dict[str, Callable[[FakeSlack], Fault]] = {
    "is busy": lambda slack: slack.busy(1, times=None),
    "is broken": lambda slack: slack.broken(times=None),
    "answers garbage": lambda slack: slack.broken(200, times=None),
    "is slow": lambda slack: slack.slow(0.3, times=None),
    "hangs up": lambda slack: slack.cut(),  # once: what went out without an answer is sent once more and not again
    "has an error of its own": lambda slack: slack.refuse("internal_error", times=None),
}


def test_a_slack_in_every_kind_of_trouble_gets_each_message_once(stage: Stage, counted: Count) -> None:
    slack, runs = stage.slack, list[int]()
    for name, begin in SLACK_FAULTS.items():
        calls, fault = len(slack.called("chat.postMessage")), begin(slack)
        runs += stage.report(f"slack {name}")
        wait_until(lambda: len(slack.called("chat.postMessage")) > calls, f"a Slack that {name}")  # noqa: B023
        fault.lift()
        stage.settle(f"the messages after one that {name}")
    slack.lose()
    runs += stage.report("slack lost answer")
    stage.settle("the last message")
    counted(counts := stage.posts_of(runs, in_flight=1))
    assert (counts.lost, counts.dead, counts.repeated) == (0, 0, 1)


def test_what_is_refused_on_the_whole_ladder_is_dead_and_an_admin_is_told(stage: Stage, counted: Count) -> None:
    """By Slack, and by the mail server for one of two addresses."""
    refused, other = RECIPIENTS
    stage.smtp.refuse(refused, "451 4.3.0 later")
    fault = stage.slack.refuse("internal_error", times=None)
    told, calls = told_admin(stage.smtp), len(stage.slack.called("chat.postMessage"))
    tried = stage.smtp.commands.count(f"RCPT TO:<{refused}>")
    runs = stage.report("ladder")
    stage.settle("the end of the ladder")
    wait_until(lambda: told_admin(stage.smtp) >= told + 2, "mails about the trouble")
    stage.smtp.accept(refused)
    fault.lift()
    assert stage.smtp.commands.count(f"RCPT TO:<{refused}>") - tried == TRIES * len(runs)
    assert len(stage.slack.called("chat.postMessage")) - calls == TRIES * len(runs)
    dead, unposted = stage.dead(runs[0], "email"), stage.dead(runs[0], "slack")
    mails, posts = stage.mails_of(runs, dead=dead), stage.posts_of(runs, dead=unposted)
    counted(mails)
    counted(posts)
    assert (dead, unposted) == (len(runs), len(runs))
    assert (mails.lost, mails.repeated, mails.sent, posts.lost, posts.sent) == (0, 0, len(runs), 0, 0)
    assert expected(runs, [other]) <= mails_in(stage.record).ids.keys()


@LONG
def test_while_nobody_answers_mails_wait_die_of_age_and_admins_hear_of_it_afterwards(
    tmp_path: Path, database: Database, counted: Count
) -> None:
    record, port = tmp_path / "mails", free_port()
    env = {"RUNBELL_TIME_SCALE": "0.001", "RUNBELL_MAX_AGE": "1h", "RUNBELL_SMTP_URL": f"smtp://127.0.0.1:{port}", **database.env}
    with running(tmp_path / "home", **env) as server:
        server.furnish(RECIPIENTS)
        runs = [server.report(f"cli:{number}") for number in range(REPORTS)]
        dead = len(expected(runs, RECIPIENTS))
        wait_until(lambda: server.number(DEAD.format(run=0, lane="email")) == dead, "deliveries that are too old")
        with SmtpServer(port=port, record=record) as smtp:
            wait_until(lambda: told_admin(smtp), "a mail about the trouble")
            runs.append(server.report("cli:after"))
            wait_until(lambda: not server.pending(), "the mails afterwards")
            assert server.stop() == 0
    mails = mails_in(record)
    counted(counts := mails.against(expected(runs, RECIPIENTS), dead=dead))
    assert (counts.lost, counts.repeated) == (0, 0)
    assert mails.ids.keys() == expected(runs[-1:], RECIPIENTS)


@LONG
def test_a_backlog_goes_out_by_age_and_the_other_way_goes_on_meanwhile(tmp_path: Path, database: Database, counted: Count) -> None:
    with staged(tmp_path, database, scale=0.1) as stage:
        stage.smtp.always("connect", DROP)
        runs = stage.report("backlog", BACKLOG)
        wait_until(lambda: set(stage.posted()) == set(runs), "Slack, while no mail goes out")
        assert stage.smtp.mails == []
        with frozen(stage.server.worker()):
            untried = {(str(run), address) for run, address in stage.server.rows(UNTRIED)}
            stage.smtp.usually("connect")
        stage.settle("the backlog of mails")
        fault = stage.slack.broken(times=None)
        late = stage.report("late")
        wait_until(lambda: stage.mails_of(late).lost == 0, "mails, while Slack is away")
        assert set(stage.posted()) == set(runs)
        fault.lift()
        stage.settle("the backlog of Slack")
    mails, posts = stage.mails_of(runs + late), stage.posts_of(runs + late)
    counted(mails)
    counted(posts)
    assert (mails.lost, mails.repeated, posts.lost, posts.repeated) == (0, 0, 0, 0)
    assert len(untried) >= BACKLOG // 3
    # In each conversation: what comes of several at a time is the machine's.
    for told in in_sessions(stage.smtp, untried).values():
        assert told == sorted(told)


def in_sessions(smtp: SmtpServer, wanted: set[tuple[str, str]]) -> dict[int, list[int]]:
    """The runs in the order in which they were told."""
    told: dict[int, list[int]] = defaultdict(list)
    for mail in smtp.mails:
        run = mail.headers.get("X-Runbell-Run", "")
        if (run, mail.recipients[0]) in wanted:
            told[mail.session].append(int(run))
    return told
