"""A mail server that does what a test tells it to, on a real socket. Also a process of its own:

    python -m tests.fakes.smtp_server --port 0 --record FILE

prints its port and appends one line of JSON per mail it took, before it says so: `message_id`, `to`, `run`, `outcome`, `subject`.
"""

import argparse
import base64
import json
import socket
import ssl
import sys
import threading
from collections import Counter, defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import BinaryIO

SILENCE = "silence"  # says nothing until the client gives up
DROP = "drop"  # closes the connection without a word
HOLD = "hold"  # answers as ever, but not before it is told `usually`

POINTS = ("connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "message", "rset", "quit")
USUAL = {
    "connect": "220 sink.test ESMTP",
    "starttls": "220 2.0.0 go ahead",
    "auth": "235 2.7.0 welcome",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 end with a dot",
    "rset": "250 2.0.0 ok",
    "quit": "221 2.0.0 bye",
}


@dataclass(frozen=True)
class Mail:
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    session: int

    @property
    def headers(self) -> dict[str, str]:
        return {name: str(make_header(decode_header(value))) for name, value in BytesHeaderParser().parsebytes(self.content).items()}


class Gone(Exception):
    """The conversation is over."""


@dataclass
class Session:
    number: int
    connection: socket.socket
    file: BinaryIO
    is_secure: bool = False
    is_signed_in: bool = False
    sender: str = ""
    recipients: list[str] = field(default_factory=list)


class SmtpServer:
    """`say(point, reply, …)` queues what it answers next at a point, `always` what it answers from now on; else all is well.
    `refuse` is about one address.

    `pipelines`: it offers to take several commands at once (RFC 2920). `wait_for(n)` returns once `n` mails are there. `credentials`: a user and password it insists on.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        is_implicit_tls: bool = False,
        credentials: tuple[str, str] | None = None,
        record: Path | None = None,
        keeps: bool = True,
        pipelines: bool = False,
    ) -> None:
        self.mails: list[Mail] = []
        self.commands: list[str] = []
        self.said: Counter[str] = Counter()  # what it was told to answer
        self.sessions = 0
        self._tls, self._is_implicit_tls, self._credentials = tls, is_implicit_tls, credentials
        self._record = record.open("a") if record else None
        self._keeps, self._pipelines = keeps, pipelines
        self._next: dict[str, deque[str]] = defaultdict(deque)
        self._always: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._news = threading.Condition()
        self._open: set[socket.socket] = set()
        self._has_ended = False
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "SmtpServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def say(self, point: str, *replies: str) -> None:
        assert point in POINTS
        self._next[point].extend(replies)

    def always(self, point: str, reply: str) -> None:
        assert point in POINTS
        self._always[point] = reply

    def usually(self, point: str) -> None:
        with self._news:
            del self._always[point]
            self._news.notify_all()

    def refuse(self, address: str, reply: str) -> None:
        self._refused[address] = reply

    def accept(self, address: str) -> None:
        del self._refused[address]

    def wait_for(self, count: int, timeout: float = 30) -> list[Mail]:
        with self._news:
            if not self._news.wait_for(lambda: len(self.mails) >= count, timeout):
                raise AssertionError(f"{len(self.mails)} of {count} mails after {timeout} s")
            return list(self.mails)

    def stop(self) -> None:
        """Nobody is answered any more, and every open connection ends."""
        with self._news:
            self._has_ended = True
            self._news.notify_all()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        self.drop_connections()
        for thread in self._threads:
            thread.join()
        if self._record:
            self._record.close()

    def drop_connections(self) -> None:
        """What a restart of the relay looks like to whoever kept a connection."""
        with self._news:
            doomed = list(self._open)
        for connection in doomed:
            with suppress(OSError):  # gone by itself meanwhile
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._news:
                self.sessions += 1
                number = self.sessions
            with self._news:
                self._open.add(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection, number), daemon=True))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        session = Session(number, connection, connection.makefile("rb"))
        with suppress(Gone, OSError):
            if self._is_implicit_tls:
                self._encrypt(session)
            self._answer(session, "connect")
            while True:
                self._one_command(session)
        with self._news:
            self._open.discard(session.connection)
        session.file.close()
        session.connection.close()

    def _line(self, session: Session) -> bytes:
        line = session.file.readline()
        if not line:
            raise Gone
        return line

    def _answer(self, session: Session, point: str, usual: str = "") -> int:
        """Says what is due at a point, and returns its code."""
        told = self._next[point].popleft() if self._next[point] else self._always.get(point)
        if told:
            self.said[told] += 1
        if told == HOLD:
            with self._news:
                self._news.wait_for(lambda: self._always.get(point) != HOLD or self._has_ended)
            told = None
        reply = told or usual or USUAL[point]
        if reply == DROP:
            raise Gone
        if reply == SILENCE:
            while session.file.readline():
                pass
            raise Gone
        session.connection.sendall(reply.encode() + b"\r\n")
        if reply.startswith("421"):
            raise Gone
        return int(reply[:3]) if reply[:3].isdigit() else 0

    def _one_command(self, session: Session) -> None:
        line = self._line(session).decode("utf-8", "replace").rstrip("\r\n")
        self.commands.append(line)
        verb, _, rest = line.partition(" ")
        match verb.upper():
            case "EHLO" | "HELO":
                self._answer(session, "ehlo", self._capabilities(session))
            case "STARTTLS" if self._tls:
                if self._answer(session, "starttls") == 220:
                    self._encrypt(session)
            case "AUTH":
                self._sign_in(session, rest)
            case "MAIL" if self._credentials and not session.is_signed_in:
                session.connection.sendall(b"530 5.7.0 Authentication required\r\n")
            case "MAIL":
                is_taken = self._answer(session, "mail") < 300
                session.sender, session.recipients = _address(rest) if is_taken else "", []
            case "RCPT" if not session.sender:
                session.connection.sendall(b"503 5.5.1 MAIL first\r\n")
            case "RCPT" if reply := self._refused.get(_address(rest)):
                session.connection.sendall(reply.encode() + b"\r\n")
            case "RCPT":
                if self._answer(session, "rcpt") < 300:
                    session.recipients.append(_address(rest))
            case "DATA" if not (session.recipients or self._next["data"]):
                session.connection.sendall(b"554 5.5.1 nobody to send it to\r\n")
            case "DATA":
                if self._answer(session, "data") == 354:
                    self._take(session)
            case "RSET":
                self._answer(session, "rset")
            case "QUIT":
                self._answer(session, "quit")
                raise Gone
            case _:
                session.connection.sendall(b"502 5.5.1 not here\r\n")

    def _capabilities(self, session: Session) -> str:
        offered = ["sink.test", "8BITMIME", "ENHANCEDSTATUSCODES"]
        offered += ["STARTTLS"] if self._tls and not session.is_secure else []
        offered += ["PIPELINING"] if self._pipelines else []
        offered += ["AUTH PLAIN LOGIN"] if self._credentials else []
        return "\r\n".join([*(f"250-{word}" for word in offered[:-1]), f"250 {offered[-1]}"])

    def _encrypt(self, session: Session) -> None:
        assert self._tls
        session.file.close()
        with self._news:
            self._open.discard(session.connection)
        session.connection = self._tls.wrap_socket(session.connection, server_side=True)
        session.file = session.connection.makefile("rb")
        session.is_secure = True
        with self._news:
            self._open.add(session.connection)

    def _sign_in(self, session: Session, rest: str) -> None:
        method, _, first = rest.partition(" ")
        if method.upper() == "PLAIN":
            _, user, password = base64.b64decode(first).decode().split("\0")
        else:
            user = base64.b64decode(first).decode() if first else self._ask(session, b"Username:")
            password = self._ask(session, b"Password:")
        is_known = (user, password) == self._credentials
        code = self._answer(session, "auth", "" if is_known else "535 5.7.8 Authentication credentials invalid")
        session.is_signed_in = code == 235

    def _ask(self, session: Session, question: bytes) -> str:
        session.connection.sendall(b"334 " + base64.b64encode(question) + b"\r\n")
        return base64.b64decode(self._line(session)).decode()

    def _take(self, session: Session) -> None:
        lines = []
        while (line := self._line(session)) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        if not session.recipients:
            session.connection.sendall(b"554 5.5.1 nobody to send it to\r\n")
            return
        mail = Mail(session.sender, tuple(session.recipients), b"".join(lines), session.number)
        replies = self._next["message"]
        reply = replies[0] if replies else self._always.get("message", "250")
        if reply in (SILENCE, DROP) or reply.startswith("2"):  # the word gets lost, the mail does not
            self._keep(mail)
        self._answer(session, "message", f"250 2.0.0 Ok: queued as SINK{len(self.mails)}")

    def _keep(self, mail: Mail) -> None:
        """On record before the client hears of it: what it was told is there, is there."""
        with self._news:
            if self._record:
                self._record.write(json.dumps(_facts(mail)) + "\n")
                self._record.flush()
            self.mails.append(mail if self._keeps else Mail(mail.sender, mail.recipients, b"", mail.session))
            self._news.notify_all()


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]


def _facts(mail: Mail) -> dict[str, str]:
    names = {"message_id": "Message-ID", "to": "To", "run": "X-Runbell-Run", "outcome": "X-Runbell-Outcome", "subject": "Subject"}
    headers = mail.headers
    return {key: headers.get(name, "") for key, name in names.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path, required=True)
    options = parser.parse_args()
    with SmtpServer(port=options.port, record=options.record, keeps=False) as server:
        print(server.port, flush=True)
        sys.stdin.read()  # until whoever started it ends, or it is killed


if __name__ == "__main__":
    main()
