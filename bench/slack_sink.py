"""A Slack that says yes to everything: `python -m bench.slack_sink CERTIFICATE`, a file of key and certificate.

Talks as bench.sink does. A thread for each connection, TLS, kept open; what is posted is counted and kept, and the answer always the same.
"""

import os
import re
import socket
import ssl
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread

from bench.sink import Mails

BODY = b'{"ok":true,"channel":"C0000000","ts":"1790000000.000100","message":{"text":"","type":"message","ts":"1790000000.000100"}}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


def serve(connection: socket.socket, context: ssl.SSLContext, posts: Mails, lock: Lock) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
        held = b""
        while data := tls.recv(1 << 16):
            held += data
            head, end, body = held.partition(b"\r\n\r\n")
            found = _LENGTH.search(head + b"\r\n")
            if not end or len(body) < (int(found[1]) if found else 0):
                continue
            held = b""
            tls.sendall(ANSWER)
            with lock:
                posts.add("", "", body, time.monotonic())


def listen(listener: socket.socket, context: ssl.SSLContext, posts: Mails, lock: Lock) -> None:
    while True:
        connection, _ = listener.accept()
        Thread(target=serve, args=(connection, context, posts, lock), daemon=True).start()


def main() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(sys.argv[1]))
    posts, lock = Mails(), Lock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=listen, args=(listener, context, posts, lock), daemon=True).start()
        print(listener.getsockname()[1], flush=True)
        while lines := os.read(0, 4096).decode().splitlines():
            for line in lines:
                with lock:
                    posts.obey(line)


if __name__ == "__main__":
    main()
