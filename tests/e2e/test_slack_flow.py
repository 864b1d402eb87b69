"""Many runs for many Slack channels at once, over a Slack that lets one message a second into each. Times are a tenth.

make slack    the full form: 20 Slack channels, 50 runs
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.e2e.processes import wait_until
from tests.e2e.stage import BARE, ROOT, Server, running, sink
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.world import Channel

CHANNELS, RUNS = (int(size) for size in os.environ.get("RUNBELL_TEST_SLACK_SIZE", "5x10").split("x"))
SCALE = 0.1
PACE = 1.0 * SCALE
MAILED = "ada@partner.example"


@dataclass
class Stage:
    slack: FakeSlack
    server: Server
    channels: list[Channel]
    mails: Path

    def report(self) -> set[int]:
        """All at once; the runs' ids."""
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(self.server.report, (f"cli:{number}" for number in range(RUNS))))
        assert len(found) == RUNS
        return found

    def mailed(self) -> set[int]:
        whole = self.mails.read_text().rpartition("\n")[0] if self.mails.exists() else ""
        return {int(json.loads(line)["run"]) for line in whole.splitlines()}

    def told(self, channel: Channel) -> Counter[int]:
        """How many messages in this Slack channel name each run."""
        return Counter(run for post in self.slack.posts_in(channel) for run in post.runs)

    def is_done(self) -> bool:
        return self.server.pending() == 0


@contextmanager
def stage(folder: Path, *, digest_after: int) -> Iterator[Stage]:
    mails = folder / "mails"
    with FakeSlack(scale=1 / SCALE) as slack, sink(mails) as smtp:
        env = {
            "RUNBELL_TIME_SCALE": str(SCALE),
            "RUNBELL_LOG_LEVEL": "debug",  # no level may tell a token
            "RUNBELL_SLACK_DIGEST_AFTER": str(digest_after),
            "RUNBELL_SMTP_URL": smtp,
            **slack.settings,
        }
        with running(folder / "home", **env) as server:
            server.furnish((MAILED,))
            channels = slack.acme.add_channels(CHANNELS)
            link(server, slack, channels)
            yield Stage(slack, server, channels, mails)
            assert server.stop() == 0


def link(server: Server, slack: FakeSlack, channels: list[Channel]) -> None:
    wanted = {"team": slack.acme.id, "token": slack.install(), "channels": [channel.id for channel in channels]}
    env = BARE | {"RUNBELL_HOME": str(server.home)} | server.env
    subprocess.run([sys.executable, "-m", "tests.e2e.slack_stage"], cwd=ROOT, env=env, input=json.dumps(wanted), text=True, check=True)


def assert_paced(on: Stage) -> None:
    """No message into one Slack channel came too early, and Slack never had to say so."""
    for channel in on.channels:
        gaps = [after.at - before.at for before, after in pairwise(on.slack.posts_in(channel))]
        assert min(gaps, default=PACE) >= PACE
    assert "ratelimited" not in {call.word for call in on.slack.called("chat.postMessage")}


def test_with_digests_off_every_run_has_its_message_and_each_channel_its_pace(tmp_path: Path) -> None:
    with stage(tmp_path, digest_after=0) as on:
        runs = on.report()
        wait_until(on.is_done, "the last message")
    assert [on.told(channel) for channel in on.channels] == [Counter(runs)] * CHANNELS
    assert len(on.slack.posts) == CHANNELS * RUNS
    assert on.mailed() >= runs
    assert_paced(on)


def test_with_digests_on_every_run_is_in_exactly_one_message(tmp_path: Path) -> None:
    with stage(tmp_path, digest_after=3) as on:
        runs = on.report()
        wait_until(on.is_done, "the last message")
    assert [on.told(channel) for channel in on.channels] == [Counter(runs)] * CHANNELS
    assert len(on.slack.posts) < CHANNELS * RUNS
    assert_paced(on)


def test_while_one_channel_is_busy_everything_else_arrives(tmp_path: Path) -> None:
    with stage(tmp_path, digest_after=0) as on:
        busy, *others = on.channels
        fault = on.slack.busy(1, busy, times=None)
        runs = on.report()
        wait_until(lambda: all(on.told(channel) == Counter(runs) for channel in others), "what goes to the other Slack channels")
        wait_until(lambda: on.mailed() >= runs, "the mails")
        assert not on.slack.posts_in(busy)
        fault.lift()
        wait_until(on.is_done, "what goes to the Slack channel that was busy")
    assert on.told(busy) == Counter(runs)
    refused = [call.at for call in on.slack.called("chat.postMessage") if call.word == "ratelimited"]
    assert refused
    assert min((after - before for before, after in pairwise(refused)), default=1) >= 1
