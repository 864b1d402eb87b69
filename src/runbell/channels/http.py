"""HTTP out: one kept connection, through the proxy that the environment names, and an honest word about what was sent.

`http.client` connects, because it does so in a step of its own: what goes wrong there went wrong before the first byte, and what goes
wrong later may have arrived. Libraries above it mix the two up. What then goes out and comes back is the work of `http_request` and
`http_answer`. No redirect is followed: a token goes nowhere else. With a `Guard`, nothing goes into the own network: for hosts that
members name.
"""

import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from select import POLLIN, poll
from time import monotonic
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from runbell.channels.guard import Forbidden, Guard, GuardedConnection, GuardedTlsConnection
from runbell.channels.http_answer import Answer, Broken, read_answer
from runbell.channels.http_request import host_of, parts_of, target_of, written
from runbell.channels.smtp_verdicts import masked

IDLE = 30.0  # seconds; a firewall may drop a silent connection without telling, and then nobody knows whether a message arrived
PORTS = {"http": 80, "https": 443}


class Unreached(Exception):
    """Nothing was sent. `word` is unreachable, tls, silent or, with a guard, private; `proxy` is host:port when one stood between."""

    def __init__(self, word: str, text: str = "", proxy: str = "") -> None:
        super().__init__(word)
        self.word, self.text, self.proxy = word, text, proxy


class Lost(Exception):
    """The request went out and no whole answer came."""


@dataclass(frozen=True, slots=True, repr=False)  # the URL may be a secret
class _Way:
    """What is the same for each request to one URL. Connections with the same `to` end at the same place."""

    parts: SplitResult
    proxy: SplitResult | None
    to: str
    target: str
    headers: Mapping[str, str]


class Http:
    """Used by one thread at a time. `clock` counts seconds and never goes back."""

    def __init__(self, *, timeout: float, clock: Callable[[], float] = monotonic, guard: Guard | None = None) -> None:
        self._timeout, self._clock, self._guard = timeout, clock, guard
        self._kept: HTTPConnection | None = None
        self._to = self._url = ""
        self._way: _Way | None = None
        self._proxies: dict[tuple[str, str], SplitResult | None] = {}  # read once for each host: the environment stays as it is
        self._used_at = 0.0

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises `Unreached` or `Lost`; neither repeats the URL, which may be a secret."""
        return self._ask("POST", url, body, headers)

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Raises as `post` does. Whatever is longer than `MAX_BODY` is cut off there."""
        return self._ask("GET", url, None, headers)

    def _ask(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        if url != self._url:  # one lane asks one URL again and again
            self._url, self._way = url, self._way_to(url)
        way = self._way
        request = written(method, way.target, way.headers, headers, body) if way else None
        if way is None or request is None:
            raise Unreached("unreachable")
        answer = self._exchange(self._connected(way), request)
        if answer is None:
            raise Lost
        self._used_at = self._clock()
        return answer

    def close(self) -> None:
        if self._kept:
            self._kept.close()
        self._kept = None

    def __del__(self) -> None:
        self.close()

    def _way_to(self, url: str) -> _Way | None:
        """None: it is no URL, or cannot be sent."""
        try:
            parts = parts_of(url)
            proxy = self._proxy_for(parts)
            through = proxy if parts.scheme == "http" else None
            target = target_of(parts, is_whole=through is not None)
            headers = {"Host": host_of(parts, PORTS.get(parts.scheme, 80)), "Accept-Encoding": "identity"}
        except ValueError:
            return None
        to = f"{parts.scheme}://{parts.netloc} {proxy.netloc if proxy else ''}"
        return _Way(parts, proxy, to, target, headers | (_sign_in(through) if through else {}))

    def _proxy_for(self, parts: SplitResult) -> SplitResult | None:
        host = (parts.scheme, parts.netloc)
        if host not in self._proxies:
            self._proxies[host] = _proxy_for(parts)
        return self._proxies[host]

    def _exchange(self, connection: HTTPConnection, request: bytes) -> Answer | None:
        """None: no whole answer. Whatever happens in between, the rest of this answer is never read as the next one."""
        is_kept = False
        try:
            connection.sock.sendall(request)
            answer, is_kept = read_answer(connection.sock)
        except (OSError, Broken):
            return None
        finally:
            if not is_kept:
                self.close()
        return answer

    def _connected(self, way: _Way) -> HTTPConnection:
        if self._kept and (way.to != self._to or self._clock() - self._used_at > IDLE or _is_dropped(self._kept)):
            self.close()
        if self._kept is None:
            self._kept, self._to = self._connect(way.parts, way.proxy), way.to
        return self._kept

    def _connect(self, parts: SplitResult, proxy: SplitResult | None) -> HTTPConnection:
        connection, unreached = None, None
        try:
            connection = self._connection(parts, proxy)
            connection.connect()
        except Forbidden:
            unreached = Unreached("private")
        except (OSError, HTTPException, ValueError) as error:  # a host name may not be encodable, a port no number
            unreached = _why(error, proxy)
        if connection is None or unreached:
            if connection:
                connection.close()
            raise unreached or Unreached("unreachable")  # outside of `except`: the first error may name the URL
        return connection

    def _connection(self, parts: SplitResult, proxy: SplitResult | None) -> HTTPConnection:
        way = proxy or parts
        host, port = way.hostname or "", way.port or PORTS.get(way.scheme, 80)
        if self._guard and not proxy:
            if parts.scheme == "https":
                return GuardedTlsConnection(host, port, timeout=self._timeout, guard=self._guard, trust=trust())
            return GuardedConnection(host, port, timeout=self._timeout, guard=self._guard)
        if self._guard:
            self._guard.check_if_known(parts.hostname or "")
        if parts.scheme != "https":
            return HTTPConnection(host, port, timeout=self._timeout)
        connection = HTTPSConnection(host, port, timeout=self._timeout, context=trust())
        if proxy:
            connection.set_tunnel(parts.hostname or "", parts.port or PORTS["https"], headers=_sign_in(proxy))
        return connection


@lru_cache(maxsize=1)
def trust() -> ssl.SSLContext:
    """The system's certificates, or those of SSL_CERT_FILE. Reading them takes 30 ms, so it is done once."""
    return ssl.create_default_context()


def _proxy_for(parts: SplitResult) -> SplitResult | None:
    """HTTPS_PROXY or HTTP_PROXY, unless NO_PROXY names the host."""
    found = getproxies().get(parts.scheme)
    if not found or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return urlsplit(found if "://" in found else f"http://{found}")


def _sign_in(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _is_dropped(connection: HTTPConnection) -> bool:
    """Nobody speaks unasked over HTTP: what can be read is the other side's goodbye."""
    if connection.sock is None:
        return True
    watch = poll()
    watch.register(connection.sock, POLLIN)
    return bool(watch.poll(0))


def _why(error: Exception, proxy: SplitResult | None) -> Unreached:
    via = (proxy.netloc.rpartition("@")[2] if proxy else "")[:200]
    match error:
        case ssl.SSLCertVerificationError():
            return Unreached("tls", masked(error.verify_message), via)
        case ssl.SSLError():
            return Unreached("tls", masked((error.reason or "").replace("_", " ").lower()), via)
        case TimeoutError():
            return Unreached("silent", proxy=via)
        case OSError():  # what a proxy said to CONNECT has no number of its own
            return Unreached("unreachable", masked(error.strerror or str(error)), via)
        case _:
            return Unreached("unreachable", proxy=via)
