"""Clients that take their time, over real sockets: the server waits for them beside its work, and not for ever."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest
from tests.e2e.stage import Server, running

PATIENCE = 120  # of a test that would wait in vain; nothing is measured
HEAD = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Bodies may take 20 seconds: here one."""
    with running(tmp_path_factory.mktemp("slow") / "home", RUNBELL_TIME_SCALE="0.05", RUNBELL_WEB_THREADS="2") as server:
        yield server


def connected(server: Server, sent: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    client.sendall(sent.encode())
    return client


def status(client: socket.socket) -> int:
    answer = http.client.HTTPResponse(client)
    answer.begin()
    return answer.status


def test_slow_clients_hold_no_thread_and_are_let_go(server: Server) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(connected(server, HEAD.format("/api/runbell/v1/runs", 1000) + "{"))) for _ in range(20)]
        assert server.answers()
        assert {status(client) for client in slow} == {408}
    assert server.answers()


def test_a_head_that_does_not_end_is_not_waited_for_for_ever(server: Server) -> None:
    with closing(connected(server, "GET / HTTP/1.1\r\nX-Slow: ")) as client:
        assert client.recv(1000) == b""  # hung up on
    assert server.answers()


@pytest.mark.parametrize("path", ["/sources/dbt/1", "/integrations/slack/events", "/account/login/"])
def test_ten_megabytes_are_refused_while_they_are_not_here(server: Server, path: str) -> None:
    with closing(connected(server, HEAD.format(path, 10 * 1024 * 1024))) as client:
        assert status(client) == 413


def test_a_head_may_not_have_any_size(server: Server) -> None:
    """431, or hung up on while it is sent."""
    with (
        suppress(OSError),
        closing(connected(server, f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Large: {'x' * 300_000}\r\n\r\n")) as client,
    ):
        assert status(client) == 431


def test_a_body_in_pieces_without_a_length_is_taken(server: Server) -> None:
    head = "POST /api/runbell/v1/runs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with closing(connected(server, head + "2\r\n{}\r\n0\r\n\r\n")) as client:
        assert status(client) == 401  # the token is missing, and nothing else
