"""`make check` fails for a known hole, and says so when it cannot look."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from tools import audit


class Advisories(BaseHTTPRequestHandler):
    """As much of https://google.github.io/osv.dev/api/ as uv asks for. `hole` is the package that has one."""

    hole = ""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        bad = {"vulns": [{"id": "GHSA-1", "modified": "2026-01-01T00:00:00Z"}]}
        self._answer({"results": [bad if query["package"]["name"] == self.hole else {} for query in asked]})

    def do_GET(self) -> None:
        self._answer({"id": "GHSA-1", "modified": "2026-01-01T00:00:00Z", "summary": "Anybody is let in", "affected": []})

    def _answer(self, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_known_hole_fails(service: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Advisories, "hole", "django")
    assert audit.main("--service-url", service) == 1
    assert "Anybody is let in" in capfd.readouterr().err


def test_what_only_the_bench_installs_is_no_part_of_the_server(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Advisories, "hole", "apprise")
    assert audit.main("--service-url", service) == 0


def test_none_is_fine(service: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert audit.main("--service-url", service) == 0
    assert "SKIPPED" not in capfd.readouterr().err


def test_advisories_that_are_not_reached_are_a_skip_that_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    assert audit.main("--service-url", "http://127.0.0.1:9/") == 0
    assert "SKIPPED" in capfd.readouterr().err
