"""A Slack of one's own, over HTTP on 127.0.0.1.

    with FakeSlack() as slack:
        ...                       # tell Runbell slack.url, slack.api_url and slack.app's client_id, client_secret, signing_secret
        slack.posts_in(slack.acme.channel("data-alerts"))[0].text

It begins with the workspace Acme HQ, in which ada is the primary owner, olga an owner, adam an admin, mel a member and gus a guest.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.slack import api, authorize, hooks, oauth, rooms
from tests.fakes.slack.acts import Acts
from tests.fakes.slack.state import SCOPES
from tests.fakes.slack.wire import Cut, Request, Response, as_text
from tests.fakes.slack.world import App, Hook, Person, Workspace


class FakeSlack(Acts):
    def __init__(self, *, port: int = 0, scale: float = 1, page_size: int = 1000) -> None:
        super().__init__(scale=scale, page_size=page_size)
        self.acme = furnish(self.add_workspace("Acme HQ", "acme"))
        self._open: set[socket.socket] = set()
        self._http = _Server(("127.0.0.1", port), _Handler)
        self._http.slack = self
        self.port: int = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> "FakeSlack":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Nobody is answered any more, and every open connection ends."""
        self.ended.set()
        self._http.shutdown()
        self._thread.join()
        with self.lock:
            doomed = list(self._open)
        for connection in doomed:
            with suppress(OSError):  # gone by itself meanwhile
                connection.shutdown(socket.SHUT_RDWR)
        self._http.server_close()

    @contextmanager
    def over_tls(self, context: ssl.SSLContext) -> Iterator[int]:
        """One more port, of which `context` is the certificate."""
        secure = _Server(("127.0.0.1", 0), _Handler)
        secure.slack, secure.tls = self, context
        thread = threading.Thread(target=secure.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield int(secure.server_address[1])
        secure.shutdown()
        thread.join()
        secure.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    @property
    def settings(self) -> dict[str, str]:
        """What to start Runbell with."""
        return {
            "RUNBELL_SLACK_URL": self.url,
            "RUNBELL_SLACK_API_URL": self.api_url,
            "RUNBELL_SLACK_CLIENT_ID": self.app.client_id,
            "RUNBELL_SLACK_CLIENT_SECRET": self.app.client_secret,
            "RUNBELL_SLACK_SIGNING_SECRET": self.app.signing_secret,
        }

    def code(self, person: Person, team: Workspace | None = None, **how: Any) -> str:
        """As though this person had allowed the app in a browser."""
        return oauth.grant(self, team or self.acme, person, **how)

    def install(self, team: Workspace | None = None, *, app: App | None = None, scopes: tuple[str, ...] = SCOPES) -> str:
        """The token of an installation made without a browser."""
        with self.lock:
            return oauth.live_token(self, oauth.install(self, team or self.acme, app=app, scopes=scopes)).text

    def sign_in(self, person: Person, team: Workspace | None = None, cookie: dict[str, str] | None = None) -> dict[str, str]:
        """The cookie of a browser that is signed in; given again, the browser is signed in to one workspace more."""
        session = authorize.sign_in(self, team or self.acme, person, cookie["value"] if cookie else "")
        return {"name": authorize.COOKIE, "value": session, "url": self.url}

    def url_of(self, hook: Hook) -> str:
        return self.url + hook.path

    def answer(self, request: Request) -> Response:
        if request.path.startswith("/api/"):
            return api.call(self, request, request.path.removeprefix("/api/"))
        if request.path.startswith("/services/") and request.method == "POST":
            return hooks.receive(self, request)
        if request.path in (authorize.START, authorize.WORKSPACE, authorize.SIGN_IN):
            return authorize.answer(self, request)
        if request.path == "/":
            return rooms.home(self)
        if request.path.startswith("/channel/"):
            return rooms.channel(self, request.path.removeprefix("/channel/"))
        if request.path == "/acts" and request.method == "POST":
            return rooms.act(self, request)
        return as_text("This fake Slack has no such page.", 404)

    def opened(self, connection: socket.socket) -> None:
        with self.lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self.lock:
            self._open.discard(connection)


def furnish(team: Workspace) -> Workspace:
    for name, rank in (("ada", "primary_owner"), ("olga", "owner"), ("adam", "admin"), ("mel", "member"), ("gus", "guest")):
        team.add_person(name, rank)
    team.add_channel("general", is_general=True)
    for name in ("data-alerts", "data-platform", "finance-close", "shop-ops"):
        team.add_channel(name)
    team.add_channel("data-secret", is_private=True)
    team.add_channel("old-alerts", is_archived=True)
    team.add_channel("announcements", refuses="restricted_action")
    return team


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    slack: FakeSlack
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.slack.opened(self.connection)

    def finish(self) -> None:
        self.server.slack.closed(self.connection)
        super().finish()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, url.path, dict(parse_qsl(url.query, keep_blank_values=True)), headers, body)
        try:
            self._send(self.server.slack.answer(request))
        except Cut:
            self.close_connection = True
        self.server.slack.flush()

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        headers = {"Content-Type": response.kind, "Content-Length": str(len(response.body)), **response.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return
