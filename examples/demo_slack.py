"""A fake Slack beside the demo (`make demo SLACK=1`): linking, choosing Slack channels and reading messages without a Slack account."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Slack:
    url: str
    settings: dict[str, str]  # of the server that is to use it
    process: "subprocess.Popen[str]"

    def way(self, runbell: str, account: int) -> str:
        """What to do next, for the terminal."""
        return (
            f"This Slack is a fake, on this machine alone: {self.url}\n"
            f"  1. {runbell}/a/{account}/settings/integrations › OAuth › Slack › Link\n"
            "  2. workspace acme, then ada@acme.example with ada-password, then Allow\n"
            f"  3. {runbell}/a/{account}/settings/notifications/slack › pick a Slack channel, Edit, Save\n"
            f"  4. Enter here runs the next job; its message is at {self.url}\n"
        )


def start(python: Path, port: int, events: str) -> Slack:
    """It ends with this process: its standard input ends then."""
    words = [str(python), "-m", "tests.fakes.slack", "--port", str(port), "--events", events]
    env = {name: value for name, value in os.environ.items() if not name.startswith("RUNBELL_")}
    process = subprocess.Popen(words, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout
    said = json.loads(process.stdout.readline())
    return Slack(said["url"], said["settings"], process)


def end(slack: Slack, stop: Callable[["subprocess.Popen[Any]"], None]) -> None:
    assert slack.process.stdin
    assert slack.process.stdout
    slack.process.stdin.close()
    stop(slack.process)
    slack.process.stdout.close()
