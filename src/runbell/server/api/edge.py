"""Where requests of programs come in and trouble goes out: tokens, bodies, and one shape for every error.

{"error": {"field": "steps[0].exit_code", "message": "must be a whole number"}}      field is null when no field is at fault
"""

import json
import zlib
from collections.abc import Callable
from typing import Any, NoReturn

from allauth.account.adapter import get_adapter
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from ninja import NinjaAPI
from ninja.security.base import AuthBase

from runbell.core.fields import BadField
from runbell.core.runs import MAX_BODY
from runbell.server.services.access import Actor, NotAllowed, NotThere
from runbell.server.services.failures import BAD_TOKENS
from runbell.server.services.limits import TooMany
from runbell.server.services.readiness import DATABASE_TROUBLE, PATIENCE, is_out_of_order
from runbell.server.services.tokens import authenticate

NOT_THERE = "There is no such thing in this account."
OUT_OF_ORDER = "The database cannot be used right now. Send this again in a moment."


class TokenAuth(AuthBase):
    """`Authorization: Token rb_…` or `Bearer rb_…`: both are in use among clients of the dbt Admin API."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> Actor | None:
        scheme, _, plain = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in ("token", "bearer"):
            return None
        now = timezone.now()
        try:
            return authenticate(plain.strip(), now)
        except NotThere:
            BAD_TOKENS.count(get_adapter().get_client_ip(request), now=now)
            return None


class TooLarge(ValueError):
    """The text says how large it may be."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"must have at most {limit} bytes, inflated")


def actor_of(request: HttpRequest) -> Actor:
    actor: Actor = request.auth  # type: ignore[attr-defined]  # set by ninja
    return actor


def account_actor(request: HttpRequest, account_id: int) -> Actor:
    """The actor, in the account of the address. Raises `NotThere`: another account's address is no address at all for this token."""
    actor = actor_of(request)
    if actor.account_id != account_id:
        raise NotThere
    return actor


def read_json(request: HttpRequest) -> Any:
    """The decoded body, gzip or plain; the cap counts after inflating. Raises `TooLarge` or `BadField`."""
    body = read_body(request, MAX_BODY)
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise BadField("body", "is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise BadField("body", f"is not JSON: {str(error)[:100]}") from None


def read_body(request: HttpRequest, limit: int) -> bytes:
    """The body, gzip or plain; the limit counts after inflating. Raises `TooLarge` or `BadField`."""
    length = request.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > limit:
        raise TooLarge(limit)
    raw = request.read(limit + 1)
    if request.headers.get("Content-Encoding", "").lower() == "gzip":
        raw = _inflate(raw, limit)
    if len(raw) > limit:
        raise TooLarge(limit)
    return raw


def _inflate(raw: bytes, limit: int) -> bytes:
    """Never inflates past the limit, whatever the bytes promise."""
    inflator = zlib.decompressobj(wbits=31)
    try:
        body = inflator.decompress(raw, limit + 1)
    except zlib.error:
        raise BadField("body", "is not gzip, though Content-Encoding says so") from None
    if not inflator.eof and len(body) <= limit:
        raise BadField("body", "ends in the middle of the gzip stream")
    return body


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def problem(status: int, message: str, field: str | None = None) -> HttpResponse:
    return JsonResponse({"error": {"field": field, "message": message}}, status=status)


def install_out_of_order(api: NinjaAPI, problem: Callable[[int, str], HttpResponse]) -> None:
    """503 when the database is at fault. Any other trouble of ours stays what it is."""

    def answer(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
        if not isinstance(error, Exception) or not is_out_of_order(error):
            raise error
        response = problem(503, OUT_OF_ORDER)
        response["Retry-After"] = PATIENCE
        return response

    for kind in DATABASE_TROUBLE:
        api.exception_handler(kind)(answer)


def install_too_many(api: NinjaAPI, problem: Callable[[int, str], HttpResponse]) -> None:
    def answer(request: HttpRequest, many: TooMany | type[TooMany]) -> HttpResponse:
        assert isinstance(many, TooMany)
        response = problem(429, "Too many wrong tokens came from this address. Tokens that are valid here are taken as before.")
        response["Retry-After"] = str(many.retry_after)
        return response

    api.exception_handler(TooMany)(answer)


def install(api: NinjaAPI) -> None:
    """One answer for each kind of trouble."""
    from ninja.errors import AuthenticationError

    install_out_of_order(api, problem)
    install_too_many(api, problem)
    api.exception_handler(BadField)(lambda request, error: problem(400 if error.field == "body" else 422, error.message, error.field))
    api.exception_handler(TooLarge)(lambda request, error: problem(413, str(error), "body"))
    api.exception_handler(NotThere)(lambda request, error: problem(404, NOT_THERE))
    api.exception_handler(NotAllowed)(lambda request, error: problem(403, str(error)))
    api.exception_handler(AuthenticationError)(
        lambda request, error: problem(401, "Send a token that is valid here: Authorization: Token rb_…")
    )
