"""Django behind granian: threads are for work and wait for no client.

                 ┌ event loop ────────────────────────┐   ┌ RUNBELL_WEB_THREADS threads ┐
    head ────────│ body, in bounded time and space    │──>│ WSGI application            │──> answer, whole
                 └ 408 too slow · 413 · client gone ──┘   └─────────────────────────────┘

granian's own WSGI begins a request when its head is there. A thread then waits for the body for as long as the client likes, and as
many slow clients as there are threads stop the server (seen with granian 2.8). https://github.com/emmett-framework/granian, docs/spec/RSGI.md
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from tempfile import SpooledTemporaryFile
from typing import IO, Any, NamedTuple, Protocol

PATIENCE, RATE = 20.0, 16_384  # seconds that a body may take, and one more for so many bytes that have come
IN_MEMORY = 1024 * 1024  # of one body; the rest waits on disk
Headers = list[tuple[str, str]]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Scope(Protocol):
    """What granian says of a request."""

    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    headers: Any


class Http(Protocol):
    """granian's side of a request: its body, in pieces, and where the answer goes."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def response_empty(self, status: int, headers: Headers) -> None: ...
    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None: ...


class Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes = b""


class Refused(Exception):
    """The body is not taken; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Gateway:
    """`most_at`: how many bytes a body may have at a path. One that says it has more is not read: the application refuses it by its
    head, in its own words."""

    def __init__(self, application: Wsgi, *, threads: int, most_at: Callable[[str], int], patience: float = PATIENCE) -> None:
        self._application, self._most_at, self._patience = application, most_at, patience
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="web")

    async def __rsgi__(self, scope: Scope, http: Http) -> None:
        environ = environ_of(scope)
        with SpooledTemporaryFile(IN_MEMORY) as body:
            try:
                await self._take(environ, http, body, self._most_at(scope.path))
            except Refused as refused:
                http.response_empty(refused.status, [("connection", "close")])
                return
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._run, environ)
        if answer.body:
            http.response_bytes(answer.status, answer.headers, answer.body)
        else:
            http.response_empty(answer.status, answer.headers)

    async def _take(self, environ: dict[str, Any], http: Http, body: IO[bytes], most: int) -> None:
        """Raises `Refused`."""
        environ["wsgi.input"] = body
        said = environ.get("CONTENT_LENGTH")
        if said is None and "HTTP_TRANSFER_ENCODING" not in environ:
            return
        if said and int(said) > most:
            return
        size = await self._read(http, body, most)
        if said and size < int(said):
            raise Refused(400)  # the client went away: what came may look whole
        environ["CONTENT_LENGTH"] = str(size)
        body.seek(0)

    async def _read(self, http: Http, body: IO[bytes], most: int) -> int:
        size, start = 0, asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(start + self._patience) as limit:
                async for chunk in http:
                    size += len(chunk)
                    if size > most:
                        raise Refused(413)
                    body.write(chunk)
                    limit.reschedule(start + self._patience + size / RATE)
        except TimeoutError:
            raise Refused(408) from None
        return size

    def _run(self, environ: dict[str, Any]) -> Answer:
        started: list[Any] = []
        answer = self._application(environ, lambda status, headers, exc_info=None: started.extend((status, headers)))
        try:
            body = b"".join(answer)
        finally:
            if close := getattr(answer, "close", None):
                close()
        return Answer(int(started[0].split(" ", 1)[0]), started[1], body)


def environ_of(scope: Scope) -> dict[str, Any]:
    """PEP 3333. A name with an underscore is left out: it would pass for the one with a hyphen, which a proxy may have set."""
    address, _, port = scope.client.rpartition(":")
    host, _, server_port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host.strip("[]"),
        "SERVER_PORT": server_port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": address.strip("[]"),
        "REMOTE_PORT": port,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        if "_" not in name:
            key = name.upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            environ[key] = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}" if key in environ else value
    return environ
