"""What goes out: one request as bytes. What cannot stand in it is found before the first of them is sent."""

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(r"[!-~]+")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f]")
_NOT_IN_VALUES = re.compile(r"[\r\n\x00]")


def parts_of(url: str) -> SplitResult:
    """Raises `ValueError`, also for line ends: `urlsplit` takes them out without a word and leads to another place than the one named."""
    if _NOT_IN_URLS.search(url):
        raise ValueError
    return urlsplit(url)


def target_of(parts: SplitResult, *, is_whole: bool) -> str:
    """As it stands in the first line. `is_whole`: for a proxy that is to pass the request on. Raises `ValueError`."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if is_whole:
        target = f"{parts.scheme}://{parts.netloc}{target}"
    if not _TARGET.fullmatch(target):
        raise ValueError
    return target


def host_of(parts: SplitResult, port: int) -> str:
    """As the header wants it, without the scheme's own `port`. Raises `ValueError`: no host, one that cannot be written, a port that is none."""
    host = parts.hostname
    if not host:
        raise ValueError
    host = f"[{host}]" if ":" in host else host if host.isascii() else host.encode("idna").decode("ascii")
    return host if parts.port in (None, port) else f"{host}:{parts.port}"


def written(method: str, target: str, own: Mapping[str, str], headers: Mapping[str, str], body: bytes | None) -> bytes | None:
    """None: a header cannot be sent. Says nothing of it, which may be a token. What `headers` name stands before our `own`."""
    named = {name.lower() for name in headers}
    ours = own if body is None else {**own, "Content-Length": str(len(body))}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in ours.items() if name.lower() not in named)]
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or _NOT_IN_VALUES.search(value):
            return None
        lines.append(f"{name}: {value}")
    try:
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
    except UnicodeEncodeError:
        return None
