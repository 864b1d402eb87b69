"""What comes in and what goes out, apart from sockets."""

import base64
import json
from binascii import Error as NotBase64
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl


class Cut(Exception):
    """The connection ends without an answer."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes = b""

    @property
    def is_json(self) -> bool:
        return self.headers.get("content-type", "").startswith("application/json")

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def args(self) -> dict[str, Any]:
        """Of a Web API call: the query, and the form or the JSON object."""
        if not self.is_json:
            return {**self.query, **self.form}
        try:
            said = json.loads(self.body or b"{}")
        except ValueError:
            return dict(self.query)
        return {**self.query, **said} if isinstance(said, dict) else dict(self.query)

    @property
    def bearer(self) -> str:
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""

    @property
    def basic(self) -> tuple[str, str] | None:
        kind, _, both = self.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(both).decode().partition(":")
        except (NotBase64, UnicodeDecodeError):
            return None
        return name, password

    def cookie(self, name: str) -> str:
        found = SimpleCookie(self.headers.get("cookie", "")).get(name)
        return found.value if found else ""


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes
    kind: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


def as_json(said: dict[str, Any], status: int = 200, **headers: str) -> Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, json.dumps(said).encode(), "application/json; charset=utf-8", names)


def as_text(said: str, status: int = 200, **headers: str) -> Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, said.encode(), "text/plain; charset=utf-8", names)


def redirect(to: str, **headers: str) -> Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(302, b"", "text/html; charset=utf-8", {"Location": to, **names})
