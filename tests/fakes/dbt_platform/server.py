"""The Admin API of one account, and its webhooks. Strict: only documented paths, a token that is known, order and range as documented.

    with FakeDbt() as dbt:
        run = dbt.world.add_run("failed")
        body, signature = dbt.event(run, "job.run.errored")

Faults: `faults` are answered one by one instead of what was asked (an int is a status, a float seconds of Retry-After with 429,
"hang" says nothing until the end, "html" is somebody's page); `hangs` holds for every question; `endless` never ends a listing;
`forbidden` are things the token has no right to.
"""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.dbt_platform.world import CANCELLED, ERROR, RUNNING, SUCCESS, FakeRun, World, stamp

TOKEN, SECRET = "dbtc_fake_token", "fake-webhook-secret"
CODES = {"job.run.started": (RUNNING, "Running"), "job.run.completed": (SUCCESS, "Success"), "job.run.errored": (ERROR, "Errored")}
EVENTS = tuple(CODES)


class FakeDbt:
    def __init__(self, *, port: int = 0) -> None:
        self.world, self.token, self.secret = World(), TOKEN, SECRET
        self.faults: list[int | float | str] = []
        self.hangs = self.endless = False
        self.forbidden: set[str] = set()
        self.asked: list[str] = []
        self._port, self._sent = port, 0

    def __enter__(self) -> "FakeDbt":
        self.released = threading.Event()
        self.http = _Server(("127.0.0.1", self._port), _Handler)
        self.http.fake = self
        self._thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.released.set()
        self.http.shutdown()
        self._thread.join()
        self.http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def event(self, run: FakeRun, kind: str, **changes: Any) -> tuple[bytes, str]:
        """The raw body and its signature. There is none for a cancelled run, as with the real one."""
        assert run.code != CANCELLED or kind == "job.run.started"
        self._sent += 1
        code, word = (run.code, {SUCCESS: "Success", ERROR: "Errored"}[run.code]) if kind == "job.run.completed" else CODES[kind]
        environment, job_name = self.world.jobs[run.job]
        project, environment_name = self.world.environments[environment]
        data: dict[str, Any] = {
            "jobId": str(run.job),
            "jobName": job_name,
            "runId": str(run.id),
            "environmentId": str(environment),
            "environmentName": environment_name,
            "dbtVersion": "1.11.16",
            "projectName": self.world.projects[project],
            "projectId": str(project),
            "runStatus": word,
            "runStatusCode": code,
            "runStatusMessage": "None",
            "runReason": "scheduled",
            "runStartedAt": stamp(run.started_at),
        }
        if run.finished_at and kind != "job.run.started":
            data["runFinishedAt" if kind == "job.run.completed" else "runErroredAt"] = stamp(run.finished_at)
        body = {
            "accountId": self.world.account,
            "webhookId": "wsu_12345abcde",
            "eventId": f"wev_{run.id}_{self._sent}",
            "timestamp": stamp(run.finished_at or run.started_at).replace("Z", "123Z"),
            "eventType": kind,
            "webhookName": "Runbell",
            "data": data,
        } | changes
        raw = json.dumps(body).encode()
        return raw, self.sign(raw)

    def sign(self, raw: bytes) -> str:
        return hmac.new(self.secret.encode(), raw, hashlib.sha256).hexdigest()

    def asked_for(self, part: str) -> list[str]:
        return [path for path in self.asked if part in path]


class _Server(ThreadingHTTPServer):
    fake: FakeDbt
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    _answers = True

    def do_GET(self) -> None:
        self._heard(self._answer)

    def do_POST(self) -> None:
        """`lost`: done, and no answer."""
        self.body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        fake = self.server.fake
        if fake.faults[:1] == ["lost"]:
            fake.faults.pop(0)
            self._answers = False
        self._heard(self._act)

    def _heard(self, answer: Callable[[World], None]) -> None:
        fake = self.server.fake
        fake.asked.append(self.path if self.command == "GET" else f"POST {self.path}")
        fault = "hang" if fake.hangs else fake.faults.pop(0) if fake.faults else None
        if fault == "hang":
            fake.released.wait(20)
            self.close_connection = True
        elif fault == "html":
            self._say(200, b"<html>sign in</html>", kind="text/html")
        elif isinstance(fault, float):
            self._fail(429, "Rate limit exceeded", {"Retry-After": str(int(fault))})
        elif fault is not None:
            self._fail(int(fault), "scripted")
        elif self.headers.get("Authorization") not in (f"Token {fake.token}", f"Bearer {fake.token}"):
            self._fail(401, "Invalid token.")
        else:
            answer(fake.world)

    def _act(self, world: World) -> None:
        """Start, cancel and retry, as documented: a cause is required, and what has ended cannot be cancelled."""
        words = [word for word in urlsplit(self.path).path.split("/") if word]
        assert words[:4] == ["api", "v2", "accounts", str(world.account)], self.path
        match words[4:]:
            case ["jobs", job, "run" | "rerun"] if int(job) in world.jobs:
                if not self.body.get("cause") and words[-1] == "run":
                    self._fail(400, "cause: This field is required.")
                    return
                self._data("acts", world.run_json(world.add_run("running", job=int(job), said=self.body.get("cause")), whole=False))
            case ["runs", run_id, "retry"] if int(run_id) in world.runs:
                self._data("acts", world.run_json(world.add_run("running", job=world.runs[int(run_id)].job), whole=False))
            case ["runs", run_id, "cancel"] if int(run_id) in world.runs:
                run = world.runs[int(run_id)]
                if run.finished_at:
                    self._fail(400, "The run has ended already.")
                    return
                run.code, run.finished_at = CANCELLED, datetime.now(UTC)
                self._data("acts", world.run_json(run, whole=False))
            case _:
                self._fail(404, "Not found.")

    def _answer(self, world: World) -> None:
        parts, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
        words = [word for word in parts.path.split("/") if word]
        if words[:1] != ["api"] or words[2:3] != ["accounts"] or words[3:4] != [str(world.account)]:
            self._fail(404, "Not found.")
            return
        match words[1], words[4:]:
            case "v2", []:
                self._data("account", {"id": world.account, "name": "Acme", "state": 1})
            case "v2", ["runs"]:
                self._runs(world, query)
            case "v2", ["runs", run_id]:
                run = world.runs.get(int(run_id))
                whole = "run_steps" in query.get("include_related", [""])[0]
                self._data("runs", world.run_json(run, whole=whole) if run else None)
            case "v2", ["runs", run_id, "artifacts"]:
                self._data("artifacts", ["run_results.json"] if int(run_id) in world.runs else None)
            case "v2", ["runs", run_id, "artifacts", name]:
                self._artifact(world.runs.get(int(run_id)), name, int(query["step"][0]))
            case "v3", ["projects"]:
                self._list("projects", [{"id": key, "name": name, "state": 1} for key, name in world.projects.items()], query)
            case "v3", ["environments"]:
                rows = [{"id": key, "project_id": project, "name": name, "state": 1} for key, (project, name) in world.environments.items()]
                self._list("environments", rows, query)
            case "v2", ["jobs"]:
                rows = [{"id": key, "environment_id": place, "name": name, "state": 1} for key, (place, name) in world.jobs.items()]
                self._list("jobs", rows, query)
            case "v3", ["users"]:
                self._list("users", list(world.users.values()), query)
            case "v2", ["notifications"]:
                self._list("notifications", list(world.settings.values()), query)
            case _:
                self._fail(404, "Not found.")

    def _runs(self, world: World, query: dict[str, list[str]]) -> None:
        runs = list(world.runs.values())
        if "finished_at__range" in query:
            since, until = (datetime.fromisoformat(text) for text in json.loads(query["finished_at__range"][0]))
            runs = [run for run in runs if run.finished_at and since <= run.finished_at <= until]
        order = query.get("order_by", ["id"])[0]
        runs.sort(key=lambda run: run.finished_at if "finished_at" in order else run.id, reverse=order.startswith("-"))  # type: ignore[arg-type, return-value]
        self._list("runs", [world.run_json(run, whole=False) for run in runs], query)

    def _artifact(self, run: FakeRun | None, name: str, step: int) -> None:
        found = run.artifact(name, step) if run else None
        if "artifacts" in self.server.fake.forbidden:
            self._fail(403, "You do not have permission to read artifacts.")
        elif found is None:
            self._fail(404, "The requested artifact was not found.")
        else:
            self._say(200, found)

    def _list(self, what: str, rows: list[dict[str, Any]], query: dict[str, list[str]]) -> None:
        limit, offset = int(query.get("limit", ["100"])[0]), int(query.get("offset", ["0"])[0])
        assert limit <= 100, "the API takes no more"
        page = rows[offset : offset + limit]
        if self.server.fake.endless and rows:
            page = [rows[0] | {"id": offset + number + 1, "state": 2} for number in range(limit)]
        extra = {"filters": {"limit": limit, "offset": offset}, "pagination": {"count": len(page), "total_count": len(rows)}}
        self._data(what, page, extra)

    def _data(self, what: str, data: Any, extra: dict[str, Any] | None = None) -> None:
        if what in self.server.fake.forbidden:
            self._fail(403, f"You do not have permission to read {what}.")
        elif data is None:
            self._fail(404, "Not found.")
        else:
            status = {"code": 200, "is_success": True, "user_message": "Success!", "developer_message": ""}
            self._say(200, json.dumps({"status": status, "data": data} | ({"extra": extra} if extra else {})).encode())

    def _fail(self, code: int, message: str, headers: dict[str, str] | None = None) -> None:
        status = {"code": code, "is_success": False, "user_message": message, "developer_message": ""}
        self._say(code, json.dumps({"status": status, "data": None}).encode(), headers)

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None, kind: str = "application/json") -> None:
        if not self._answers:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
