"""Requests on their way from the event loop to a thread: bodies that are slow, cut, too large, or without a length."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from runbell.server.gateway import Gateway, Headers, environ_of


@dataclass
class Told:
    """A request as granian tells of it."""

    headers: dict[str, str]
    method: str = "POST"
    path: str = "/api/runbell/v1/runs"
    query_string: str = "a=1"
    http_version: str = "1.1"
    server: str = "127.0.0.1:8484"
    client: str = "192.0.2.1:50000"
    scheme: str = "http"


@dataclass
class Wire:
    """Pieces of a body, each after as many seconds; then its end, or silence."""

    pieces: tuple[bytes, ...] = ()
    pause: float = 0.0
    is_silent: bool = False
    read: int = 0
    answer: tuple[int, Headers, bytes] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            await asyncio.sleep(self.pause)
            self.read += len(piece)
            yield piece
        if self.is_silent:
            await asyncio.Event().wait()

    def response_empty(self, status: int, headers: Headers) -> None:
        self.answer = (status, headers, b"")

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        self.answer = (status, headers, body)


@dataclass
class Application:
    """Answers with what came, and remembers it."""

    seen: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        self.seen.append({**environ, "body": body})
        start_response("201 Created", [("content-type", "text/plain")])
        return [body[:3], body[3:]]


def pass_on(wire: Wire, most: int = 100, patience: float = 20.0, **headers: str) -> tuple[int, Application]:
    application = Application()
    gateway = Gateway(application, threads=2, most_at=lambda _: most, patience=patience)
    told = Told({name.replace("_", "-"): value for name, value in headers.items()})
    asyncio.run(gateway.__rsgi__(told, wire))
    assert wire.answer
    return wire.answer[0], application


def test_a_body_comes_whole_and_so_does_the_answer() -> None:
    wire = Wire((b"abc", b"def"))
    status, application = pass_on(wire, content_length="6")
    assert (status, wire.answer) == (201, (201, [("content-type", "text/plain")], b"abcdef"))
    assert application.seen[0]["body"] == b"abcdef"


def test_without_a_body_nothing_is_waited_for() -> None:
    status, application = pass_on(Wire(is_silent=True))
    assert (status, application.seen[0]["body"]) == (201, b"")


def test_a_body_without_a_length_gets_the_one_it_has() -> None:
    _, application = pass_on(Wire((b"abc", b"def")), transfer_encoding="chunked")
    assert (application.seen[0]["CONTENT_LENGTH"], application.seen[0]["body"]) == ("6", b"abcdef")


def test_more_than_is_good_is_not_read() -> None:
    """The application sees the head and refuses."""
    wire = Wire((b"x",), is_silent=True)
    _, application = pass_on(wire, content_length="101")
    assert (wire.read, application.seen[0]["body"]) == (0, b"")


def test_more_than_is_good_ends_where_it_becomes_that() -> None:
    wire = Wire((b"x" * 60,) * 10)
    status, application = pass_on(wire, transfer_encoding="chunked")
    assert (status, application.seen, wire.read) == (413, [], 120)


def test_a_body_that_was_cut_off_is_no_body() -> None:
    status, application = pass_on(Wire((b"{}",)), content_length="10")
    assert (status, application.seen) == (400, [])


@pytest.mark.parametrize("wire", [Wire((b"x",), is_silent=True), Wire((b"x",) * 1000, pause=0.005)])
def test_whoever_is_too_slow_is_told_so_before_a_thread_has_waited(wire: Wire) -> None:
    status, application = pass_on(wire, most=1000, patience=0.05, content_length="1000")
    assert (status, application.seen) == (408, [])
    assert wire.answer == (408, [("connection", "close")], b"")


def test_the_slow_keep_nobody_from_a_thread() -> None:
    application, slow, quick = Application(), [Wire((b"x",), is_silent=True) for _ in range(20)], Wire((b"abc",))
    gateway = Gateway(application, threads=1, most_at=lambda _: 100, patience=60)

    async def all_at_once() -> None:
        waiting = [asyncio.create_task(gateway.__rsgi__(Told({"content-length": "9"}), wire)) for wire in slow]
        await gateway.__rsgi__(Told({"content-length": "3"}), quick)
        for task in waiting:
            task.cancel()

    asyncio.run(all_at_once())
    assert quick.answer
    assert quick.answer[0] == 201
    assert {wire.answer for wire in slow} == {None}


def test_what_the_application_learns() -> None:
    headers = {"host": "runbell.acme.example", "content-type": "text/plain", "x-forwarded-for": "192.0.2.9", "x_forwarded_for": "10.0.0.1"}
    environ = environ_of(Told(headers, path="/Среда", client="[2001:db8::1]:50000"))
    assert (environ["HTTP_HOST"], environ["CONTENT_TYPE"], environ["HTTP_X_FORWARDED_FOR"]) == (
        "runbell.acme.example",
        "text/plain",
        "192.0.2.9",
    )
    assert (environ["REMOTE_ADDR"], environ["SERVER_PORT"], environ["QUERY_STRING"]) == ("2001:db8::1", "8484", "a=1")
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/Среда"
