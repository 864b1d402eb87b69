"""Runs real dbt jobs under Runbell and shows the mails about them: `make demo`, or `make demo ONCE=1` to end by itself.

`make demo SLACK=1` has a fake Slack beside it, on this machine alone, to try linking and Slack channels with.

    dbt build ──► runbell run ──► the server ──► its mailbox ──► this terminal

Four jobs of `examples/shop` end in the four ways a job can end. ada@acme.test has a rule for each, so four mails arrive; each is
checked for the outcome, the job, dbt's own error text and a link that opens the run. All of it lives in one directory under
`var`, which is gone afterwards, and so is every process. Exit code: 0 when all is well, else 1.
"""

import argparse
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from types import FrameType
from typing import Any

import demo_slack
from demo_checks import Browser, api, has_pending, mails, problems, read_database_of, words_of_dbt
from demo_jobs import JOBS, Job

ROOT = Path(__file__).resolve().parent.parent
SERVER, BESIDE_DBT = ROOT / ".venv/bin", ROOT / ".venv-dbt/bin"
ADA = "ada@acme.test"
PATIENCE = 180.0  # seconds until something that should happen is given up; most take well under five
RULE = "─" * 78


class Trouble(Exception):
    """What went wrong, as a sentence."""


def main() -> int:
    made = argparse.ArgumentParser(description="Real dbt jobs, and the mails about them.")
    made.add_argument("--once", action="store_true", help="end when the jobs have run, instead of serving on")
    made.add_argument("--slack", action="store_true", help="with a fake Slack beside it")
    made.add_argument("--without", choices=[job.outcome for job in JOBS], help="leave one rule out: its mail must then be missing")
    options = made.parse_args()
    signal.signal(signal.SIGTERM, end)
    try:
        with demo(is_once=options.once, has_slack=options.slack) as shop:
            return tell(shop, options.without, is_once=options.once)
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def tell(shop: "Shop", without: str | None, *, is_once: bool) -> int:
    """The story from an empty server to the last mail."""
    say(f"A first run of each job, so that there is something to make rules about ({len(JOBS)} × dbt seed).")
    for job in JOBS:
        shop.run(job, ("dbt seed",), (0,))
    chosen = [job for job in JOBS if job.outcome != without]
    shop.set_rules(chosen)
    say(f"{ADA} now hears of: " + ", ".join(f"{job.name} when {job.outcome}" for job in chosen) + ".")
    wrong = [f"{job.name}: {problem}" for job in JOBS for problem in shop.play(job)]
    say(f"\n{RULE}")
    say("\n".join(wrong) or f"All {len(JOBS)} mails arrived, and each says the right thing.")
    if not is_once:
        shop.serve_on()
    return int(bool(wrong))


@contextmanager
def demo(*, is_once: bool, has_slack: bool = False) -> Iterator["Shop"]:
    """A server of its own with the account Acme in it. Afterwards nothing is left."""
    (ROOT / "var").mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="demo-", dir=ROOT / "var"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        shop = Shop(home, free_port(0 if is_once else 8484), stack)
        if has_slack:
            shop.start_slack(free_port(0 if is_once else 8485))
        shop.open()
        yield shop


class Shop:
    def __init__(self, home: Path, port: int, stack: ExitStack) -> None:
        self.home, self.stack = home, stack
        self.url = f"http://127.0.0.1:{port}"
        self.password = secrets.token_urlsafe(12)
        self.slack: demo_slack.Slack | None = None
        self.browser = Browser(ADA, self.password)
        base = {name: value for name, value in os.environ.items() if not name.startswith(("RUNBELL_", "DBT_", "DJANGO_", "VIRTUAL_ENV"))}
        self.server_env = {**base, "RUNBELL_HOME": str(home / "server"), "RUNBELL_BIND": f"127.0.0.1:{port}"}
        self.dbt_env = {
            **base,
            "PATH": f"{BESIDE_DBT}:{base.get('PATH', os.defpath)}",
            "RUNBELL_URL": self.url,
            "RUNBELL_WAIT": "30",
            "RUNBELL_SPOOL_DIR": str(home / "spool"),
            "SHOP_DUCKDB": str(home / "shop.duckdb"),
            "DBT_TARGET_PATH": str(home / "target"),
            "DBT_LOG_PATH": str(home / "logs"),
        }

    def start_slack(self, port: int) -> None:
        self.slack = demo_slack.start(SERVER / "python", port, f"{self.url}/integrations/slack/events")
        self.stack.callback(demo_slack.end, self.slack, stop)
        self.server_env |= self.slack.settings
        say(f"Beside it: a fake Slack, on this machine alone: {self.slack.url}")

    def open(self) -> None:
        say("Starting runbell serve, on SQLite and with its built-in mailbox.")
        self.server = self.start([SERVER / "runbell", "serve"], self.server_env, self.home / "server.log")
        self.wait_until(lambda: Browser.answers(f"{self.url}/api/runbell/v1/check"), "the server does not answer")
        self.account = int(self.admin("account", "create", "Acme", "--admin", ADA, "--password-file", "-"))
        self.token = self.admin("token", "create", "--account", str(self.account), "--name", "demo", "--can", "report,read,notifications")
        self.dbt_env["RUNBELL_TOKEN"] = self.token
        say(f"{self.url}   sign in as {ADA} with {self.password}")
        read_database_of(self.server_env)

    def admin(self, *words: str) -> str:
        done = subprocess.run(
            [SERVER / "runbell", "admin", *words], env=self.server_env, input=self.password, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Trouble(f"runbell admin {' '.join(words[:2])}: {done.stderr.strip()}")
        return done.stdout.strip()

    def set_rules(self, jobs: Sequence[Job]) -> None:
        """One setting of the member's own address, as the dbt platform's API and its Terraform provider make it."""
        account = f"{self.url}/api/v2/accounts/{self.account}"
        ids = {job["name"]: job["id"] for job in api("GET", f"{account}/jobs/", self.token)}
        user = api("GET", f"{self.url}/api/v2/whoami/", self.token)["user"]["id"]
        boxes = {job.on: [ids[job.name]] if job in jobs else [] for job in JOBS}
        api("POST", f"{account}/notifications/", self.token, {"account_id": self.account, "type": 1, "user_id": user, "state": 1, **boxes})

    def play(self, job: Job) -> list[str]:
        """Runs a job and shows its mail; returns what is wrong with it."""
        say(f"\n{RULE}")
        seen = len(mails())
        self.run(job, job.steps, job.exit_codes, interrupt_at=job.interrupt_at, is_shown=True)
        self.wait_until(lambda: not has_pending(), f"a mail about {job.name} is still waiting")
        arrived = mails()[seen:]
        for mail in arrived:
            print(f"\nTo:      {mail.recipient}\nSubject: {mail.subject}\n\n{mail.text}", flush=True)
        if len(arrived) != 1:
            return [f"{len(arrived)} mails arrived instead of one", *self.said_by_runbell()]
        said = words_of_dbt(self.home / "target/run_results.json") if job.says else ()
        return list(problems(arrived[0], job, said, self.browser, self.url))

    def said_by_runbell(self) -> list[str]:
        """It speaks only when something is amiss."""
        return [line for line in (self.home / "dbt.out").read_text(errors="replace").splitlines() if line.startswith("runbell: ")]

    def run(self, job: Job, steps: Sequence[str], exit_codes: Sequence[int], *, interrupt_at: str = "", is_shown: bool = False) -> None:
        words = command(job, steps)
        if is_shown:
            say(f"$ {' '.join(map(quoted, words))}")
        out, log = self.home / "dbt.out", self.home / "logs/dbt.log"
        known = log.stat().st_size if log.exists() else 0
        process = self.start([BESIDE_DBT / words[0], *words[1:]], self.dbt_env, out)
        if interrupt_at:
            self.wait_until(lambda: interrupt_at.encode() in log.read_bytes()[known:], f"{job.name} does not start")
            say("^C")
            process.send_signal(signal.SIGINT)
        self.wait_until(lambda: process.poll() is not None, f"{job.name} does not end")
        if process.returncode not in exit_codes:
            raise Trouble(f"{shlex.join(words)} ended with {process.returncode}:\n{tail(out)}")

    def start(self, words: Sequence[str | Path], env: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
        """In a session of its own: Ctrl-C reaches this process alone, which then ends the others in order."""
        with log.open("ab") as file:
            process = subprocess.Popen(
                words, env=env, cwd=ROOT / "examples/shop", stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
        self.stack.callback(stop, process)
        return process

    def wait_until(self, is_so: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + PATIENCE
        while not is_so():
            if self.server.poll() is not None:
                raise Trouble(f"runbell serve ended with {self.server.returncode}:\n{tail(self.home / 'server.log')}")
            if time.monotonic() > end:
                raise Trouble(otherwise)
            time.sleep(0.1)

    def serve_on(self) -> None:
        say(f"\n{self.url}\n{ADA}\n{self.password}\n")
        if self.slack:
            say(self.slack.way(self.url, self.account))
        say("Enter runs the next job, Ctrl-C ends it.")
        try:
            for job, _ in zip(cycle(JOBS), sys.stdin, strict=False):
                self.run(job, job.steps, job.exit_codes, interrupt_at=job.interrupt_at, is_shown=True)
            self.server.wait()
        except KeyboardInterrupt:
            print()
        else:
            raise Trouble("runbell serve ended by itself")


def command(job: Job, steps: Sequence[str]) -> list[str]:
    words = ["runbell", "run", "--job", job.name, "--environment", "Production"]
    if len(steps) == 1:
        return [*words, "--", *shlex.split(steps[0])]
    return [*words, *(word for step in steps for word in ("--step", step))]


def quoted(word: str) -> str:
    """As a person would type it; shlex alone makes a thicket of an apostrophe."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)


def stop(process: "subprocess.Popen[Any]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port(0)
        return int(probe.getsockname()[1])


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-25:])


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
