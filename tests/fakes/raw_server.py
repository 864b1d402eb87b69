"""A server on 127.0.0.1 that answers with the very bytes that it was given, and remembers the bytes that it was asked with.

    with RawServer(Said(b"HTTP/1.1 204 \\r\\n\\r\\n")) as server:
        ...                     # server.url, server.asked, server.connections

Answers are used up one by one; the last one stays.
"""

import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True)
class Said:
    data: bytes
    hangs_up: bool = False


class RawServer:
    def __init__(self, *answers: Said) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []
        self.connections = 0

    def __enter__(self) -> "RawServer":
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/"
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)  # ends `accept`
        self.thread.join()
        self.listener.close()

    def _serve(self) -> None:
        """One connection after the other: the client holds one at a time."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection, suppress(OSError):  # a client that has seen enough
                connection.settimeout(20)
                while request := _request(connection):
                    self.asked.append(request)
                    said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                    connection.sendall(said.data)
                    if said.hangs_up:
                        break


def _request(connection: socket.socket) -> bytes:
    """Empty when the client is gone."""
    came = b""
    while b"\r\n\r\n" not in came:
        piece = connection.recv(65_536)
        if not piece:
            return b""
        came += piece
    head, _, body = came.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body
