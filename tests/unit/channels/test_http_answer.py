"""What is read as an answer, and where the next one begins; what is none ends as such and is not waited for."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbell.channels.http_answer import MAX_HEAD, MAX_HEADERS, Answer, Broken, read_answer

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Dripping(socket.socket):
    """Gives one byte at a time."""

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        return super().recv(1, flags)


@contextmanager
def connection(data: bytes, *, ends: bool = False) -> Iterator[socket.socket]:
    """Where all of `data` came, and then the end or nothing more."""
    here, there = socket.socketpair()
    with here, there:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * 1024)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
        here.settimeout(10)
        there.settimeout(10)
        there.sendall(data)
        if ends:
            there.shutdown(socket.SHUT_WR)
        yield here


def read(data: bytes, *, ends: bool = False) -> tuple[Answer, bool]:
    with connection(data, ends=ends) as it:
        return read_answer(it)


GOOD = {
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", 200, b"hello", True),
    "empty": (OK + b"Content-Length: 0\r\n\r\n", 200, b"", True),
    "no reason": (b"HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno", 404, b"no", True),
    "name in capitals": (OK + b"CONTENT-LENGTH:5  \r\n\r\nhello", 200, b"hello", True),
    "line ends without a return": (b"HTTP/1.1 200 OK\nContent-Length: 9\n\nhello\r\n\r\n", 200, b"hello\r\n\r\n", True),
    "chunks": (CHUNKED + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 200, b"hello!", True),
    "chunks with more": (CHUNKED + b"0A ;a=b\r\n0123456789\r\n000\r\nTrailer: x\r\n\r\n", 200, b"0123456789", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", 304, b"", True),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nx", 201, b"x", True),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302, b"", True),
    "close": (OK + b"Connection: Close\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
    "close, on a second thought": (OK + b"Connection: keep-alive\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", 200, b"x", False),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
    "old and kept": (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", 200, b"x", True),
    "offers another protocol": (OK + b"Upgrade: h2\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\nx", 200, b"x", True),
    "more than was announced": (OK + b"Content-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n", 200, b"x", False),
}


@pytest.mark.parametrize(("data", "status", "body", "is_kept"), GOOD.values(), ids=GOOD)
def test_answers(data: bytes, status: int, body: bytes, is_kept: bool) -> None:
    answer, stays = read(data)
    assert (answer.status, answer.body, stays) == (status, body, is_kept)
    with connection(data) as it:
        peer = HTTPResponse(it, method="POST")
        peer.begin()
        assert (peer.status, peer.read()) == (status, body)


@pytest.mark.parametrize(("data", "status", "body", "is_kept"), GOOD.values(), ids=GOOD)
def test_however_it_comes_in_pieces(data: bytes, status: int, body: bytes, is_kept: bool) -> None:
    with connection(data) as it, Dripping(fileno=it.detach()) as dripping:
        dripping.settimeout(10)
        answer, stays = read_answer(dripping)
    assert (answer.status, answer.body) == (status, body)
    assert stays >= is_kept  # what comes too much has not come yet


@pytest.mark.parametrize("head", [OK, b"HTTP/1.0 200 OK\r\nServer: x\r\n", OK + b"Transfer-Encoding: identity\r\n"])
def test_without_a_length_the_body_goes_to_the_end(head: bytes) -> None:
    answer, is_kept = read(head + b"\r\nall of it", ends=True)
    assert (answer.body, is_kept) == (b"all of it", False)


def test_hints_come_before_an_answer() -> None:
    answer, _ = read(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 \r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx")
    assert (answer.status, answer.body) == (200, b"x")
    assert "link" not in answer.headers


def test_names_are_in_small_letters_and_the_first_value_stands() -> None:
    answer, _ = read(OK + b"Retry-After: 7\r\nRETRY-AFTER: 9\r\nX-Caf: \xe9 : \r\nEmpty:\r\nContent-Length: 0\r\n\r\n")
    assert answer.headers == {"retry-after": "7", "x-caf": "é :", "empty": "", "content-length": "0"}


def test_a_body_is_not_shown() -> None:
    answer, _ = read(OK + b"Content-Length: 4\r\n\r\nhush")
    assert "hush" not in repr(answer)


ONE = b"A: b\r\n"
BROKEN = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "another protocol": b"220 mail.acme.example ESMTP\r\n\r\n",
    "another version": b"HTTP/2 200\r\n\r\n",
    "two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "foreign digits": "HTTP/1.1 ２００ OK\r\n\r\n".encode(),
    "another protocol from here on": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "no colon": OK + b"Content-Length 5\r\n\r\nhello",
    "no name": OK + b": 5\r\n\r\n",
    "blank before the colon": OK + b"Content-Length : 5\r\n\r\nhello",
    "the same length twice": OK + b"Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello",
    "value on two lines": OK + b"Policy: a\r\n  b\r\n\tc\r\nContent-Length: 2\r\n\r\n\n\n",
    "chunks and a length": OK + b"Content-Length: 3\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "length below zero": OK + b"Content-Length: -1\r\n\r\n",
    "length with a mark": OK + b"Content-Length: 1_0\r\n\r\n0123456789",
    "length of thousands of digits": OK + b"Content-Length: " + b"1" * 5_000 + b"\r\n\r\n",
    "length that is none": OK + b"Content-Length: \r\n\r\n",
    "chunk of no size": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "chunk of another size": CHUNKED + b"4\r\nhello\r\n0\r\n\r\n",
    "chunk size with a prefix": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size below zero": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "too many headers": OK + ONE * (MAX_HEADERS + 1) + b"Content-Length: 0\r\n\r\n",
    "headers without end": OK + b"A: " + b"b" * (MAX_HEAD + 1),
    "too long a head": OK + b"A: " + b"b" * 2 * MAX_HEAD + b"\r\n\r\n",
    "hints without end": b"HTTP/1.1 103 \r\n\r\n" * (MAX_HEAD // 10),
    "chunk size without end": CHUNKED + b"5;" + b"a" * MAX_HEAD,
    "trailers without end": CHUNKED + b"0\r\n" + ONE * (MAX_HEADERS + 1),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_answer_is_not_waited_for(data: bytes) -> None:
    with pytest.raises(Broken):
        read(data)


@given(data=st.sampled_from([row[0] for row in GOOD.values()]), at=st.integers(0, 120), count=st.integers(0, 3), junk=st.binary(max_size=4))
def test_whatever_comes_is_an_answer_or_none(data: bytes, at: int, count: int, junk: bytes) -> None:
    with connection(data[:at] + junk + data[at + count :], ends=True) as it, suppress(Broken):
        read_answer(it)


CUT = [data[:size] for data in (GOOD["length"][0], GOOD["chunks with more"][0], GOOD["continue"][0]) for size in range(0, len(data), 3)]


@pytest.mark.parametrize("data", CUT)
def test_an_answer_that_ends_before_its_end(data: bytes) -> None:
    with pytest.raises(Broken):
        read(data, ends=True)


def test_what_does_not_come_is_waited_for_as_long_as_the_connection_says() -> None:
    with connection(OK + b"Content-Length: 5\r\n\r\nhell") as it:
        it.settimeout(0.1)
        with pytest.raises(TimeoutError):
            read_answer(it)
