"""A real HTTP server on 127.0.0.1 that answers what it is told to, and remembers what it was asked. Also a proxy for CONNECT.

    with ScriptedHttp(Reply(429, headers={"Retry-After": "7"})) as server:
        ...                     # server.url, server.asked, server.connections

Replies are used up one by one; the last one stays.
"""

import json
import select
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Reply:
    """`body` that is neither text nor bytes goes as JSON. `drops`: hangs up instead of answering. `hangs`: says nothing until the server ends."""

    status: int = 200
    body: Any = field(default_factory=lambda: {"ok": True})
    headers: dict[str, str] = field(default_factory=dict)
    drops: bool = False
    hangs: bool = False
    closes: bool = False  # after the answer, without having said so


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


class ScriptedHttp:
    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None) -> None:
        self.replies = list(replies or (Reply(),))
        self.asked: list[Asked] = []
        self.tunnels: list[tuple[str, str]] = []  # where CONNECT went, and with which Proxy-Authorization
        self.forward_to: tuple[str, int] | None = None  # where every tunnel ends, whatever it asked for
        self.connections = 0
        self.tls = tls

    def __enter__(self) -> "ScriptedHttp":
        self.released = threading.Event()
        self.http = _Server(("127.0.0.1", 0), _Handler)
        self.http.script = self
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.released.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    @property
    def port(self) -> int:
        return int(self.http.server_address[1])

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/"


class _Server(ThreadingHTTPServer):
    script: ScriptedHttp

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.script.connections += 1
        try:
            if self.script.tls is None:
                super().finish_request(request, client_address)
                return
            with self.script.tls.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)
        except OSError:
            pass  # a client that does not trust us, or that hung up


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        script = self.server.script
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        script.asked.append(Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        reply = script.replies.pop(0) if len(script.replies) > 1 else script.replies[0]
        if reply.hangs:
            script.released.wait(20)
        if reply.hangs or reply.drops:
            self.close_connection = True
            return
        said = reply.body if isinstance(reply.body, bytes) else _encoded(reply.body)
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(said)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said)
        self.close_connection = reply.closes

    def do_CONNECT(self) -> None:
        script = self.server.script
        script.tunnels.append((self.path, self.headers.get("Proxy-Authorization", "")))
        if script.forward_to is None:
            self.send_error(407, "Proxy Authentication Required")
            return
        with socket.create_connection(script.forward_to) as upstream:
            self.send_response(200)
            self.end_headers()
            _pump(self.connection, upstream)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


def _encoded(body: Any) -> bytes:
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def _pump(left: socket.socket, right: socket.socket) -> None:
    ways = {left: right, right: left}
    while True:
        for source in select.select([left, right], [], [])[0]:
            data = source.recv(65_536)
            if not data:
                return
            ways[source].sendall(data)
