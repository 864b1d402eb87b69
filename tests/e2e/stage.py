"""A whole Runbell in processes of its own: `runbell serve` on SQLite, and a mail server that keeps a record. Linux: reads /proc."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[2]
RUNBELL = str(Path(sys.executable).parent / "runbell")
ON = ("on_cancel", "on_failure", "on_success", "on_warning")
BARE = {name: value for name, value in os.environ.items() if not name.startswith(("RUNBELL_", "DJANGO_", "DBT_"))}

Victim = Literal["worker", "serve", "everything"]


def wait_until(condition: Callable[[], object], what: str, patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def failed(key: str) -> dict[str, Any]:
    """The report of a dbt that failed."""
    return {
        "version": 1,
        "key": key,
        "state": "finished",
        "job": {"project": "shop", "environment": "Production", "name": "nightly"},
        "started_at": "2026-11-24T02:00:00Z",
        "finished_at": "2026-11-24T02:12:04Z",
        "steps": [{"index": 1, "command": "dbt build", "exit_code": 1}],
    }


@dataclass
class Server:
    """`start` and `kill` as often as wanted; the home, the address and the token stay. `env` is added to what `serve` sees."""

    home: Path
    env: dict[str, str]
    token: str = ""
    account: int = 0
    port: int = field(default_factory=lambda: free_port())
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home.with_suffix(".log")

    @property
    def _env(self) -> dict[str, str]:
        return BARE | {"RUNBELL_HOME": str(self.home), "RUNBELL_BIND": f"127.0.0.1:{self.port}"} | self.env

    def start(self) -> None:
        with self.log.open("ab") as log:
            process = subprocess.Popen([RUNBELL, "serve"], env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.process = process
        wait_until(lambda: process.poll() is not None or (self.answers() and self.worker()), "an answer of serve")
        assert process.poll() is None, f"serve ended with {process.returncode}:\n{self.log.read_text()[-4000:]}"

    def stop(self) -> int:
        """Asks it to end, and returns its exit code."""
        assert self.process
        self.process.terminate()
        return self.process.wait()

    def answers(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            urllib.request.urlopen(f"{self.url}/healthz", timeout=10).close()
            return True
        return False

    def admin(self, *words: str) -> str:
        command = [RUNBELL, "admin", *words]
        return subprocess.run(
            command, env=self._env, input="correct horse battery", capture_output=True, text=True, check=True
        ).stdout.strip()

    def furnish(self, recipients: tuple[str, ...]) -> None:
        """An account, a token, the job `nightly`, and recipients who hear of its failures."""
        self.account = int(self.admin("account", "create", "Acme", "--admin", "ada@acme.test", "--password-file", "-"))
        self.token = self.admin("token", "create", "--account", str(self.account), "--name", "ci", "--can", "report,read,notifications")
        self.call("POST", "/api/runbell/v1/runs", failed("the first"))
        account = f"/api/v2/accounts/{self.account}"
        [job] = self.call("GET", f"{account}/jobs/")["data"]
        user = self.call("GET", "/api/v2/whoami/")["data"]["user"]["id"]
        boxes: dict[str, list[int]] = {name: [] for name in ON} | {"on_failure": [job["id"]]}
        for address in recipients:
            setting = {"account_id": self.account, "user_id": user, "type": 4, "state": 1, "external_email": address, **boxes}
            self.call("POST", f"{account}/notifications/", setting)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The answer of a 2xx. Raises OSError and HTTPException: nobody is there, or it went away before it had answered."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def report(self, key: str) -> int:
        """Tells of a failed run until it is accepted, as often as it takes; returns the id of the run."""
        deadline = time.monotonic() + 120
        while (run := self._try(key)) is None:
            assert time.monotonic() < deadline, f"{key} was not accepted"
            time.sleep(0.02)
        return run

    def _try(self, key: str) -> int | None:
        try:
            return int(self.call("POST", "/api/runbell/v1/runs", failed(key))["id"])
        except urllib.error.HTTPError as error:
            with error:
                if error.code < 500:
                    raise
        except (OSError, http.client.HTTPException):
            pass  # killed, or not there yet
        return None

    def number(self, sql: str) -> int:
        """One number out of the database, read beside the server."""
        with closing(sqlite3.connect(f"file:{self.home / 'runbell.sqlite3'}?mode=ro", uri=True)) as database:
            return int(database.execute(sql).fetchone()[0])

    def sending(self) -> int:
        """Claims in flight. One of an earlier worker, given up at the start of the next, is `sending` too, but its lease is over."""
        now = "strftime('%Y-%m-%d %H:%M:%f', 'now')"
        return self.number(f"SELECT COUNT(*) FROM runbell_delivery WHERE state = 'sending' AND due_at > {now}")

    def pending(self) -> int:
        return self.number("SELECT COUNT(*) FROM runbell_delivery WHERE state IN ('queued', 'sending', 'waiting')")

    def worker(self) -> int:
        """Its process id; 0 before there is one."""
        assert self.process
        return next((pid for pid in children(self.process.pid) if b"worker(" in _read(pid, "cmdline")), 0)

    def kill(self, victim: Victim) -> int:
        """kill -9 while the worker holds claims, whose number is returned. 0: it held none, and all goes on."""
        assert self.process
        worker = self.worker()
        with frozen(worker):
            claims = self.sending()
            if not claims:
                return 0
            doomed = {"worker": [worker], "serve": [self.process.pid], "everything": family(self.process.pid)}[victim]
            for pid in doomed:
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        return claims


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Between the count and the kill nothing may move, else the count is not the one at the kill."""
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: _read(pid, "stat").rpartition(b")")[2].split()[0] == b"T", "a stopped process")
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def family(pid: int) -> list[int]:
    """The process and all below it, eldest first."""
    return [pid, *(found for child in children(pid) for found in family(child))]


def children(pid: int) -> list[int]:
    return [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]


def _read(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running(home: Path, **env: str) -> Iterator[Server]:
    """A server that has started; nothing of it is left afterwards."""
    server = Server(home, env)
    try:
        server.start()
        yield server
    finally:
        if server.process and server.process.poll() is None:
            server.stop()


@contextmanager
def sink(record: Path) -> Iterator[str]:
    """The address of a mail server in a process that no kill of ours reaches. Each mail it took is a line of the record."""
    command = [sys.executable, "-m", "tests.fakes.smtp_server", "--port", "0", "--record", str(record)]
    with subprocess.Popen(command, cwd=ROOT, env=BARE, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield f"smtp://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()  # it then ends
