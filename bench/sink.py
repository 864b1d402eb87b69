"""A mail server that takes everything and costs little: one thread, plain sockets, no parsing beyond the end of a mail.

    python -m bench.sink [--wait SECONDS]

waits so long before it says yes to a mail, while others go on;
prints its port, then answers lines on standard input with lines on standard output:

    wait N      once N mails are there since the last reset: JSON {"data_at": […], "done_at": […]}, seconds of the monotonic clock
    reset       forgets all mails
    dump PATH   pickles the mails as [(sender, recipient, content), …]
"""

import argparse
import heapq
import itertools
import json
import os
import pickle
import selectors
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

END = b"\r\n.\r\n"


class Mails:
    """What was taken, and what the bench waits for."""

    def __init__(self) -> None:
        self.wanted = 0
        self.data_at: list[float] = []
        self.done_at: list[float] = []
        self.contents: list[tuple[str, str, bytes]] = []

    def add(self, sender: str, recipient: str, content: bytes, data_at: float) -> None:
        self.data_at.append(data_at)
        self.done_at.append(time.monotonic())
        self.contents.append((sender, recipient, content))
        self.tell()

    def tell(self) -> None:
        if self.wanted and len(self.done_at) >= self.wanted:
            self.wanted = 0
            print(json.dumps({"data_at": self.data_at, "done_at": self.done_at}), flush=True)

    def obey(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "wait":
            self.wanted = int(rest)
            self.tell()
            return
        if word == "reset":
            for kept in (self.data_at, self.done_at, self.contents):
                kept.clear()
        elif word == "dump":
            Path(rest).write_bytes(pickle.dumps(self.contents))
        print(json.dumps({}), flush=True)


class Later:
    """Calls that wait, soonest first."""

    def __init__(self) -> None:
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def add(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._calls, (time.monotonic() + seconds, next(self._numbers), call))

    def span(self) -> float | None:
        """Seconds until the next is due; None: there is none."""
        return max(self._calls[0][0] - time.monotonic(), 0.0) if self._calls else None

    def run(self) -> None:
        while self._calls and self._calls[0][0] <= time.monotonic():
            heapq.heappop(self._calls)[2]()


class Session:
    """`wait`: seconds before the answer to a mail."""

    def __init__(self, connection: socket.socket, mails: Mails, later: Later, wait: float) -> None:
        self.connection, self._mails, self._later, self._wait = connection, mails, later, wait
        self._buffer = bytearray()
        self._is_content = False
        self._sender = self._recipient = ""
        self._data_at = 0.0
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"220 sink ESMTP\r\n")

    def read(self) -> bool:
        """Whether the client is still there."""
        data = self.connection.recv(1 << 16)
        self._buffer += data
        if self._is_content and self._buffer.endswith(END):
            self._take()
        elif not self._is_content and self._buffer.endswith(b"\r\n"):
            lines = self._buffer.decode().splitlines()
            self._buffer.clear()
            self.connection.sendall(b"".join(map(self._answer, lines)))
        return bool(data)

    def _answer(self, line: str) -> bytes:
        verb, answer = line[:4].upper(), b"250 2.0.0 ok\r\n"
        if verb == "EHLO":
            answer = b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
        elif verb == "MAIL":
            self._sender = line.partition("<")[2].partition(">")[0]
        elif verb == "RCPT":
            self._recipient = line.partition("<")[2].partition(">")[0]
        elif verb == "DATA":
            self._data_at, self._is_content, answer = time.monotonic(), True, b"354 go on\r\n"
        elif verb == "QUIT":
            answer = b"221 2.0.0 bye\r\n"
        return answer

    def _take(self) -> None:
        self._mails.add(self._sender, self._recipient, bytes(self._buffer[: -len(END) + 2]), self._data_at)
        self._buffer.clear()
        self._is_content = False
        if self._wait:
            self._later.add(self._wait, self._accept)
        else:
            self._accept()

    def _accept(self) -> None:
        with suppress(OSError):  # hung up meanwhile; reading will tell
            self.connection.sendall(b"250 2.0.0 Ok: queued as SINK\r\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--wait", type=float, default=0.0)
    wait = parser.parse_args().wait
    mails, later = Mails(), Later()
    with socket.create_server(("127.0.0.1", 0)) as listener, selectors.DefaultSelector() as selector:

        def accept() -> None:
            session = Session(listener.accept()[0], mails, later, wait)
            selector.register(session.connection, selectors.EVENT_READ, lambda: serve(session))

        def serve(session: Session) -> None:
            try:
                is_there = session.read()
            except OSError:  # hung up without waiting for an answer
                is_there = False
            if not is_there:
                selector.unregister(session.connection)
                session.connection.close()

        def obey() -> None:
            lines = os.read(0, 4096).decode().splitlines()
            if not lines:
                sys.exit()  # the bench has ended
            for line in lines:
                mails.obey(line)

        selector.register(listener, selectors.EVENT_READ, accept)
        selector.register(0, selectors.EVENT_READ, obey)
        print(listener.getsockname()[1], flush=True)
        while True:
            for key, _ in selector.select(later.span()):
                call: Callable[[], None] = key.data
                call()
            later.run()


if __name__ == "__main__":
    main()
