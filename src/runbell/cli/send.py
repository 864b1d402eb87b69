"""One request to the server, and what its answer means for a report.

http.client costs 12 ms more to import than a bare socket, beside the child; the whole wrapper around /bin/true takes 65 ms with it
(80 are allowed), and chunked answers, early hints and header injection are its business. Redirects are never followed: the token
would go along.
"""

import json
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from runbell import __version__
from runbell.cli.settings import Settings

if "ssl" not in sys.modules:
    sys.modules["ssl"] = None  # type: ignore[assignment]  # http.client takes it for missing: 4 ms and 2 MB that plain HTTP saves
    import http.client

    del sys.modules["ssl"]
else:
    import http.client

API = "/api/runbell/v1"
LIMIT = 5.0  # seconds, for everything that happens after the child's end
COMPRESS_FROM = 16 * 1024
MAX_ANSWER = 1024 * 1024
NEVER = frozenset({400, 404, 405, 409, 410, 413, 415, 422})
"""The same report will get the same answer. 401 and 403 are not here: a new token makes them good."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """On the server's disk. `run` is its answer: id, url, outcome, state, created, and `ignored` when something was."""

    run: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """The server will never take it."""

    why: str


@dataclass(frozen=True, slots=True)
class Unsent:
    """Not now. `is_patient`: trying again in a moment may help."""

    why: str
    is_patient: bool = True


Answer = Accepted | Refused | Unsent


class Unreachable(Exception):
    """No HTTP answer. Its text names the server and the cause, and no secret."""


def send_report(settings: Settings, body: bytes, *, timeout: float = LIMIT) -> Answer:
    if not settings.url or not settings.token:
        missing = "RUNBELL_TOKEN" if settings.url else "RUNBELL_URL"
        return Unsent(f"{missing} is not set", is_patient=False)
    try:
        status, answer = request(settings, "POST", f"{API}/runs", body, timeout=timeout)
    except Unreachable as trouble:
        return Unsent(str(trouble))
    return judge(settings.url, status, answer)


def judge(url: str, status: int, answer: object) -> Answer:
    """What an HTTP answer means. A refusal that is not worded by Runbell comes from something in between, and may pass."""
    message = error_message(answer)
    if status in (200, 201):
        if isinstance(answer, Mapping) and "id" in answer:
            return Accepted(answer)
        return Unsent(f"{url} does not answer like Runbell; check the address", is_patient=False)
    if status in NEVER and (message or status == 413):
        return Refused(message or "the report is too large for a server in between")
    if status in (401, 403):
        return Unsent(f"{url} refuses the token: {message or status}", is_patient=False)
    if 300 <= status < 400:
        return Unsent(f"{url} sends us elsewhere (HTTP {status}); set RUNBELL_URL to the final address", is_patient=False)
    return Unsent(f"{url} answers HTTP {status}" + (f": {message}" if message else ""), is_patient=status == 408 or status >= 429)


def error_message(answer: object) -> str:
    """The native API's error, `{"error": {"field", "message"}}`, as one text with the field in front."""
    error = answer.get("error") if isinstance(answer, Mapping) else None
    if not isinstance(error, Mapping) or not error.get("message"):
        return ""
    return f"{error['field']}: {error['message']}" if error.get("field") else str(error["message"])


def request(settings: Settings, method: str, path: str, body: bytes | None = None, *, timeout: float = LIMIT) -> tuple[int, object]:
    """Status and decoded answer (None when it is not JSON). Raises `Unreachable`."""
    parts = urlsplit(settings.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)  # without one, http.client takes it from an IPv6 address
    connection = _connect(parts.scheme, parts.hostname or "", port, timeout)
    headers = {"Authorization": f"Token {settings.token}", "Accept": "application/json", "User-Agent": f"runbell/{__version__}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
        if len(body) >= COMPRESS_FROM:
            body, headers["Content-Encoding"] = _gzip(body), "gzip"
    try:
        connection.request(method, parts.path.rstrip("/") + path, body, headers)
        answer = connection.getresponse()
        return answer.status, _decode(answer.read(MAX_ANSWER))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"cannot reach {settings.url} ({cause(error, timeout)})") from error
    finally:
        connection.close()


def cause(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:.0f} s"
    if isinstance(error, http.client.HTTPException):
        return "it does not speak HTTP, or hung up"
    if not isinstance(error, OSError):
        return "not an address"  # its text may quote what we sent
    if hasattr(error, "verify_message"):
        return f"certificate: {error.verify_message}"
    return (error.strerror or str(error)).lower() or type(error).__name__


class _Secure(http.client.HTTPConnection):
    """http.client's own HTTPSConnection, with ssl imported only now."""

    default_port = 443

    def connect(self) -> None:
        import ssl

        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def _connect(scheme: str, host: str, port: int, timeout: float) -> http.client.HTTPConnection:
    return (_Secure if scheme == "https" else http.client.HTTPConnection)(host, port, timeout=timeout)


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: with gzip's header, without importing gzip
    return packer.compress(body) + packer.flush()


def _decode(answer: bytes) -> object:
    try:
        return json.loads(answer)
    except ValueError:
        return None
