"""The demo notices a mail that does not come. That it ends with 0 when all four come is for `make demo ONCE=1` to show."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_rule_left_out_is_noticed_and_nothing_is_left_behind() -> None:
    words = [sys.executable, str(ROOT / "examples/demo.py"), "--once", "--without", "failed"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        told, _ = process.communicate()
    finally:
        process.terminate()  # not kill: it ends its own children
        process.wait()
    assert process.returncode == 1, told
    problems = told.rpartition("─\n")[2].split("\n")
    assert problems == ["weekly revenue: 0 mails arrived instead of one", ""]
    assert re.findall(r"^Subject: (\w+)", told, re.MULTILINE) == ["SUCCEEDED", "WARNED", "CANCELED"]
    assert not is_open(int(told.partition("http://127.0.0.1:")[2].split()[0]))


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.long
def test_the_command_of_the_how_to_starts_a_fake_slack_beside_it() -> None:
    [command] = re.findall(r"^    (make .*)$", (ROOT / "docs/howto/slack.md").read_text(), re.MULTILINE)
    process = subprocess.Popen(
        [*shlex.split(command), "ONCE=1"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        told, _ = process.communicate()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # make ends its own children only when it is told so as a group
        process.wait()
    assert process.returncode == 0, told
    fake = re.search(r"a fake Slack, on this machine alone: http://127\.0\.0\.1:(\d+)", told)
    assert fake, told
    assert not is_open(int(fake[1]))
