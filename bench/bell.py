"""A Runbell of the bench's own: a home, an account, a token, one job nobody hears of and one with one recipient; and the sink."""

import json
import os
import random
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from bench.processes import BIN, ROOT, running

PASSWORD = "correct horse battery 7"  # of the admin, ada@acme.test
PATIENCE = 60.0  # seconds until something that should happen is given up
JOB = "nightly build"
QUIET, LOUD = "Quiet", "Production"  # environments: without and with a recipient
LOG = "02:12:04  Completed with 1 error.\n" * 40
MESSAGE = 'Database Error in model stg_payments\n  column "amount_{}" does not exist\n  LINE 12: amount_{} / 100 as amount'


def report(environment: str, job: str = JOB) -> dict[str, Any]:
    """A failed run of one step, as small as most are. It has just ended, and no two are alike: nothing can be worded once for all."""
    message = MESSAGE.format(*[uuid.uuid4().hex[:5]] * 2)
    node = {"unique_id": "model.shop.stg_payments", "status": "error", "name": "stg_payments", "resource_type": "model", "message": message}
    finished = datetime.now(UTC) - timedelta(seconds=random.uniform(1, 60))
    started = finished - timedelta(seconds=random.uniform(600, 900))
    times = {"started_at": started.isoformat(), "finished_at": finished.isoformat()}
    counts = {"passed": random.randint(200, 300), "failed": 1, "skipped": random.randint(200, 300)}
    return {
        "key": f"bench:{uuid.uuid4()}",
        "state": "finished",
        "job": {"project": "shop", "environment": environment, "name": job},
        "log_end": LOG,
        "steps": [{"index": 1, "command": "dbt build", "exit_code": 1, "counts": counts, "nodes": [node], **times}],
        **times,
    }


class Sink:
    """The bench's end of bench.sink."""

    name = "the bench's own sink"

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.pid, self._process = process.pid, process
        self.port = int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()

    def ask(self, words: str) -> dict[str, list[float]]:
        assert self._process.stdin
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()
        answer: dict[str, list[float]] = json.loads(self._answer())
        return answer

    def reset(self) -> None:
        self.ask("reset")

    def when(self, count: int) -> float:
        """Waits for so many mails since the reset; when the last of them was taken, by the monotonic clock."""
        return self.ask(f"wait {count}")["done_at"][count - 1]


class Client:
    """One kept connection."""

    def __init__(self, port: int, token: str) -> None:
        self._http = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: object = None) -> Any:
        self._http.request(method, path, json.dumps(body).encode() if body else None, self._headers)
        answer = self._http.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
        return json.loads(text)

    def report(self, environment: str) -> int:
        """The run's id."""
        return int(self.ask("POST", "/api/runbell/v1/runs", report(environment))["id"])

    def batch(self, environment: str, count: int) -> None:
        self.batch_of(environment, [JOB] * count)

    def batch_of(self, environment: str, jobs: Sequence[str]) -> None:
        """A report of each job."""
        self.ask("POST", "/api/runbell/v1/runs:batch", {"reports": [report(environment, job) for job in jobs]})


class Bell:
    """`serve`, `web` and `worker` are processes to be entered; the account is made once `serve` has migrated.

    `more` are settings beside or instead of the bench's own, such as RUNBELL_DATABASE_URL.
    """

    def __init__(self, home: Path, sink: Sink, more: Mapping[str, str] | None = None) -> None:
        self.home, self.sink, self.port, self.token, self.account = home, sink, free_port(), "", 0
        self.url = f"http://127.0.0.1:{self.port}"
        self.base = {name: value for name, value in os.environ.items() if not name.startswith(("RUNBELL_", "DBT_", "DJANGO_"))}
        self.env = {
            **self.base,
            "RUNBELL_HOME": str(home),
            "RUNBELL_BIND": f"127.0.0.1:{self.port}",
            "RUNBELL_SMTP_URL": f"smtp://127.0.0.1:{sink.port}",
            "RUNBELL_MAIL_DIGEST_AFTER": "0",
            "DJANGO_SETTINGS_MODULE": "runbell.server.settings",
            **(more or {}),
        }

    def aim(self, port: int) -> None:
        """Mails go to another sink from now on."""
        self.env["RUNBELL_SMTP_URL"] = f"smtp://127.0.0.1:{port}"

    def serve(self) -> AbstractContextManager["subprocess.Popen[str]"]:
        return self._start([BIN / "runbell", "serve"])

    def worker(self) -> AbstractContextManager["subprocess.Popen[str]"]:
        return self._start([BIN / "runbell", "worker"])

    def web(self) -> AbstractContextManager["subprocess.Popen[str]"]:
        return self._start([BIN / "python", "-c", f"from runbell.server.serve import web; web({os.getpid()})"])

    def _start(self, words: Sequence[str | Path]) -> AbstractContextManager["subprocess.Popen[str]"]:
        return running(words, self.env, self.home / "server.log")

    def client(self) -> Client:
        return Client(self.port, self.token)

    def wait_for_web(self) -> None:
        end = time.monotonic() + PATIENCE
        while not is_open(self.port):
            if time.monotonic() > end:
                raise TimeoutError((self.home / "server.log").read_text()[-2000:])
            time.sleep(0.05)

    def fill(self, recipients: int = 1) -> None:
        """The account, and so many outside who hear of every failure in LOUD: external addresses get no digests."""
        self.account = int(self._admin("account", "create", "Acme", "--admin", "ada@acme.test", "--password-file", "-"))
        self.token = self._admin("token", "create", "--account", str(self.account), "--name", "bench", "--can", "report,read,notifications")
        client, path = self.client(), f"/api/v2/accounts/{self.account}"
        client.report(QUIET)
        client.report(LOUD)
        ids = {found["name"]: found["id"] for found in client.ask("GET", f"{path}/environments/")["data"]}
        rule: Mapping[str, object] = {"on_failure": [ids[LOUD]]}
        whom = {"account_id": self.account, "type": 4, "state": 1, "runbell_environments": rule}
        for number in range(recipients):
            client.ask("POST", f"{path}/notifications/", {**whom, "external_email": f"grace{number or ''}@example.com"})

    def _admin(self, *words: str) -> str:
        done = subprocess.run(
            [BIN / "runbell", "admin", *words],
            env=self.env,
            cwd=ROOT,
            input=PASSWORD,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()


@contextmanager
def mail_sink(place: Path, *options: str) -> Iterator[Sink]:
    with running([sys.executable, "-m", "bench.sink", *options], dict(os.environ), place / "sink.log", is_talking=True) as process:
        yield Sink(process)


@contextmanager
def standing(place: Path, **more: str) -> Iterator[Bell]:
    """A Runbell with a sink of its own; `place` is its home and takes the logs. None of its processes has started."""
    with mail_sink(place) as sink:
        yield Bell(place, sink, more)


def free_port() -> int:
    """Below the ephemeral range: there, a client that asks whether somebody listens may connect to itself."""
    while is_open(port := random.randrange(20_000, 30_000)):
        pass
    return port


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
