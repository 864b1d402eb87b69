"""A whole Runbell in processes of its own: `runbell serve` on SQLite or PostgreSQL, and a mail server that keeps a record."""

import http.client
import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psycopg
from tests import quiet
from tests.e2e.processes import children, family, free_port, frozen, kill, read, wait_until
from tests.e2e.tables import lay_in_postgres, lay_in_sqlite

ROOT = Path(__file__).parents[2]
RUNBELL = str(Path(sys.executable).parent / "runbell")
ON = ("on_cancel", "on_failure", "on_success", "on_warning")
# Without compiled modules a start costs three times as much.
UNWANTED = ("RUNBELL_", "DJANGO_", "DBT_", "PYTHONDONTWRITEBYTECODE")
BARE = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}

Victim = Literal["worker", "web", "serve", "everything"]


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


@contextmanager
def reporters() -> Iterator[ThreadPoolExecutor]:
    """Four at a time. When something else fails, those that have not begun are called off."""
    pool = ThreadPoolExecutor(4)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass
class Server:
    """`start` and `kill` as often as wanted; the home, the address and the token stay. `env` is added to what `serve` sees.

    `wrap` goes before the command.
    """

    home: Path
    env: dict[str, str]
    token: str = ""
    account: int = 0
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None
    wrap: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home.with_suffix(".log")

    @property
    def environ(self) -> dict[str, str]:
        own = {"RUNBELL_HOME": str(self.home), "RUNBELL_BIND": f"127.0.0.1:{self.port}", "RUNBELL_MAIL_DIGEST_AFTER": "0"}
        return BARE | own | self.env

    def start(self) -> None:
        with self.log.open("ab") as log:
            process = subprocess.Popen([*self.wrap, RUNBELL, "serve"], env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
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
            command, env=self.environ, input="correct horse battery", capture_output=True, text=True, check=True
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
        return int(self.patiently("runs", failed(key))["id"])

    def report_batch(self, keys: Iterable[str]) -> list[int]:
        """In one request, as CI systems send them."""
        answer = self.patiently("runs:batch", {"reports": [failed(key) for key in keys]})
        return [int(result["id"]) for result in answer["results"]]

    def patiently(self, name: str, body: dict[str, Any]) -> Any:
        deadline = time.monotonic() + 300
        while (answer := self._try(name, body)) is None:
            assert time.monotonic() < deadline, f"not accepted: {body}"
            time.sleep(0.02)
        return answer

    def _try(self, name: str, body: dict[str, Any]) -> Any:
        try:
            return self.call("POST", f"/api/runbell/v1/{name}", body)
        except urllib.error.HTTPError as error:
            with error:
                if error.code < 500:
                    raise
        except (OSError, http.client.HTTPException):
            pass  # killed, or not there yet
        return None

    def number(self, sql: str) -> int:
        return int(self.rows(sql)[0][0])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Out of the database, read beside the server."""
        if url := self.env.get("RUNBELL_DATABASE_URL"):
            with psycopg.connect(url) as database:
                return database.execute(sql.encode()).fetchall()
        with closing(sqlite3.connect(f"file:{self.home / 'runbell.sqlite3'}?mode=ro", uri=True)) as lite:
            return lite.execute(sql).fetchall()

    def sending(self) -> int:
        """Claims in flight. One of an earlier worker, given up at the start of the next, is `sending` too, but its lease is over."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") + ("+00" if "RUNBELL_DATABASE_URL" in self.env else "")
        return self.number(f"SELECT COUNT(*) FROM runbell_delivery WHERE state = 'sending' AND due_at > '{now}'")

    def pending(self) -> int:
        return self.number("SELECT COUNT(*) FROM runbell_delivery WHERE state IN ('queued', 'sending', 'waiting')")

    def worker(self) -> int:
        """Its process id; 0 before there is one."""
        assert self.process
        return next((pid for pid in children(self.process.pid) if b"worker(" in read(pid, "cmdline")), 0)

    def web(self) -> list[int]:
        """granian and its own worker."""
        assert self.process
        return [found for pid in children(self.process.pid) if b"web(" in read(pid, "cmdline") for found in family(pid)]

    def kill(self, victim: Victim) -> int:
        """kill -9 while the worker holds claims, whose number is returned. 0: it held none, and all goes on."""
        assert self.process
        everything, worker = family(self.process.pid), self.worker()
        doomed = {"worker": [worker], "web": self.web(), "serve": [self.process.pid], "everything": everything}[victim]
        with self.caught() as claims:
            if claims:
                kill(doomed)
        if claims:
            self.process.wait()
        return claims

    @contextmanager
    def caught(self) -> Iterator[int]:
        """The claims in flight. None comes or goes within the block, for the worker stands still."""
        with frozen(self.worker()):
            yield self.sending()


def lay(server: Server) -> None:
    """Before its first start."""
    if url := server.env.get("RUNBELL_DATABASE_URL"):
        lay_in_postgres(url, migrate)
    else:
        lay_in_sqlite(server.home, migrate)


def migrate(env: dict[str, str]) -> None:
    subprocess.run([RUNBELL, "migrate"], env=BARE | env, check=True, capture_output=True)


@contextmanager
def running(home: Path, **env: str) -> Iterator[Server]:
    """A server that has started; nothing of it is left afterwards. Its tables were there: see tables.py."""
    server = Server(home, env)
    lay(server)
    try:
        server.start()
        yield server
    finally:
        if server.process and server.process.poll() is None:
            server.stop()
    quiet.check_files(server.home, server.log)
    quiet.check_served_database(server.home / "runbell.sqlite3", env.get("RUNBELL_DATABASE_URL", ""))
    quiet.settle()


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
