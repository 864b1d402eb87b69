"""A real HTTP server on 127.0.0.1 that plays Runbell's native API and remembers what it was told.

    with FakeRunbell() as server:
        ...                        # tell the command server.url and server.token
        server.finished[0]["outcome"]

`server.mode` says how it behaves from now on: "fine"; "hang" (takes the request and never answers); "drop" (hangs up);
"garbage" (does not speak HTTP); or an HTTP status as a number, with `server.body` as its answer.
"""

import json
import ssl
import threading
import zlib
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

TOKEN = "rb_12345678_abcdefghijklmnopqrstuvwxyz012345"


@dataclass
class Recorded:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class FakeRunbell:
    token: str = TOKEN
    mode: str | int = "fine"
    body: Any = None
    requests: list[Recorded] = field(default_factory=list)
    permissions: tuple[str, ...] = ("report", "read")
    put: tuple[int, Any] = (201, {"created": True})  # the answer to every artifact
    tls: ssl.SSLContext | None = None

    def __enter__(self) -> "FakeRunbell":
        self.released = threading.Event()
        self.seen = threading.Condition()
        self.http = _Server(("127.0.0.1", 0), _Handler)
        self.http.fake = self
        if self.tls:
            self.http.socket = self.tls.wrap_socket(self.http.socket, server_side=True)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.released.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.http.server_address[1]}"

    @property
    def reports(self) -> list[Any]:
        return [request.body for request in self.requests if request.method == "POST"]

    @property
    def files(self) -> dict[str, bytes]:
        """Artifacts that were left: what follows the run's key in their address → the file."""
        return {request.path.partition("/artifacts/")[2]: request.body for request in self.requests if request.method == "PUT"}

    @property
    def started(self) -> list[Any]:
        return [report for report in self.reports if report["state"] == "started"]

    @property
    def finished(self) -> list[Any]:
        return [report for report in self.reports if report["state"] == "finished"]

    def wait_for(self, count: int, state: str) -> list[Any]:
        """The reports in that state, once there are so many."""
        with self.seen:
            assert self.seen.wait_for(lambda: len(getattr(self, state)) >= count, timeout=30), f"only {len(getattr(self, state))} {state}"
        return list(getattr(self, state))

    def record(self, request: Recorded) -> None:
        with self.seen:
            self.requests.append(request)
            self.seen.notify_all()

    def answer(self, request: Recorded) -> tuple[int, Any]:
        if isinstance(self.mode, int):
            return self.mode, self.body
        if request.headers.get("authorization") != f"Token {self.token}":
            return 401, {"error": {"field": None, "message": "this token is not known, or was revoked"}}
        if request.method == "GET":
            return 200, self.check()
        if request.method == "PUT":
            return self.put
        earlier = [
            seen for seen in self.requests if seen is not request and seen.method == "POST" and seen.body.get("key") == request.body["key"]
        ]
        run = {"id": 7, "url": f"{self.url}/a/1/runs/7", "outcome": request.body.get("outcome"), "state": request.body["state"]}
        return (200 if earlier else 201), {**run, "created": not earlier}

    def check(self) -> dict[str, Any]:
        return {
            "account": {"id": 1, "name": "Acme"},
            "token": {"name": "ci", "permissions": list(self.permissions), "member": "ada@acme.test"},
            "version": "0.1.0",
            "job": {"known": True, "id": 3, "hears": {"succeeded": 0, "warned": 2, "failed": 3, "cancelled": 1}},
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    fake: FakeRunbell

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust our certificate, or hangs up, is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        self._serve(json.loads(self._read()))

    def do_PUT(self) -> None:
        self._serve(self._read())

    def _read(self) -> bytes:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        return zlib.decompress(body, 31) if self.headers.get("Content-Encoding") == "gzip" else body

    def _serve(self, body: Any) -> None:
        fake = self.server.fake
        request = Recorded(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.close_connection = True
        fake.record(request)
        if fake.mode == "hang":
            fake.released.wait()
        elif fake.mode == "garbage":
            self.wfile.write(b"220 mail.acme.test ESMTP\r\n")
        elif fake.mode != "drop":
            self._answer(*fake.answer(request))

    def _answer(self, status: int, answer: Any) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "http://elsewhere.test/")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return
