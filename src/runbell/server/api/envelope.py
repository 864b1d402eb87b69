"""How the dbt Admin API is spoken: its envelope, its errors, its query strings, and paths with and without a trailing slash.

{"status": {"code": 200, "is_success": true, "user_message": "…", "developer_message": ""}, "data": …, "extra": …}
https://docs.getdbt.com/dbt-cloud/api-v2
"""

import math
import re
from collections.abc import Callable, Collection, Mapping, Set
from datetime import datetime
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI, Router, Schema
from ninja.errors import AuthenticationError

from runbell.core.fields import MAX_INTEGER, BadField, Fields
from runbell.core.permissions import SENTENCES
from runbell.server.api.described import ALWAYS, READ, Found, Refused
from runbell.server.api.edge import TooLarge, install_out_of_order, install_too_many
from runbell.server.services.access import NotAllowed, NotThere
from runbell.server.services.dbt_passing import NotDone, NotNow
from runbell.server.services.job_settings import NameTaken, OldNameTaken
from runbell.server.services.listings import MAX_PAGE, STATES, Reads, Window, outcomes_with
from runbell.server.services.setting_changes import HeldToProject, Stale, Taken
from runbell.server.services.slack_targets import NoLink

NOT_FOUND = "The requested resource was not found."
NO_LINK = "link the Slack workspace first (Account settings › Integrations): a Slack channel is sent through its owner's link."
View = TypeVar("View", bound=Callable[..., HttpResponse])


def answer(data: object, code: int = 200, extra: Mapping[str, Any] | None = None, said: str = "Success!") -> JsonResponse:
    return JsonResponse({"status": _status(code, said), "data": data, **({"extra": extra} if extra is not None else {})}, status=code)


def problem(code: int, message: str) -> JsonResponse:
    return JsonResponse({"status": _status(code, message), "data": None}, status=code)


def _status(code: int, message: str) -> dict[str, Any]:
    return {"code": code, "is_success": code < 400, "user_message": message, "developer_message": ""}


def route(
    router: Router,
    method: str,
    path: str,
    *,
    summary: str,
    code: int = 200,
    says: type[Schema] | None = Found,
    refuses: Set[int] = READ,
    operation_id: str | None = None,
    takes: Mapping[str, Any] | None = None,
) -> Callable[[View], View]:
    """The view at `path` and at `path/`: clients of this API use both. The rest describes it: what it `says` with `code`, and with
    which codes it `refuses`; `takes` is the `openapi_extra` of its body and parameters."""
    response = {code: says, ALWAYS | refuses: Refused}
    described: dict[str, Any] = {"summary": summary, "response": response, "operation_id": operation_id, "openapi_extra": dict(takes or {})}

    def register(view: View) -> View:
        router.api_operation([method], f"{path}/", **described)(view)
        router.api_operation([method], path, include_in_schema=False)(view)
        return view

    return register


def install(api: NinjaAPI) -> None:
    """Terraform takes a resource for gone when the body says 404, and for forbidden when the message speaks of permission."""
    install_out_of_order(api, problem)
    install_too_many(api, problem)
    api.exception_handler(BadField)(lambda request, bad: problem(400, f"{bad.field}: {bad.message}"))
    api.exception_handler(NameTaken)(lambda request, taken: problem(400, f"name: the job {taken.other_id} of this environment has it."))
    api.exception_handler(OldNameTaken)(
        lambda request, taken: problem(400, f"name: reports that use it go to {taken.label}; forget that old name first, on its page.")
    )
    api.exception_handler(NotNow)(lambda request, later: _later(later))
    api.exception_handler(NotDone)(lambda request, error: problem(error.code if error.code in PASSED_CODES else 409, str(error)))
    api.exception_handler(Taken)(lambda request, taken: problem(400, str(taken)))
    api.exception_handler(TooLarge)(lambda request, error: problem(413, f"body: {error}"))
    api.exception_handler(NotThere)(lambda request, error: problem(404, NOT_FOUND))
    api.exception_handler(NotAllowed)(lambda request, error: problem(403, _forbidden(error)))
    api.exception_handler(NoLink)(lambda request, error: problem(403, f"You do not have permission; {NO_LINK}"))
    api.exception_handler(AuthenticationError)(lambda request, error: problem(401, "Send a token that is valid here."))
    api.exception_handler(Stale)(
        lambda request, error: problem(412, "This setting was changed since you read it: read it again, then repeat your change.")
    )


PASSED_CODES = (400, 403, 404, 422)


def _later(later: NotNow) -> JsonResponse:
    response = problem(429 if later.is_limit else 503, str(later))
    response["Retry-After"] = str(max(1, math.ceil(later.after.total_seconds())))
    return response


def _forbidden(error: NotAllowed) -> str:
    reason = str(error) if isinstance(error, HeldToProject) else f"it takes the right to: {SENTENCES[error.action]}"
    return f"You do not have permission; {reason}"


class Query:
    """The query string; an empty parameter counts as absent, a list is `1,2` or `[1, 2]`, or the parameter comes several times."""

    def __init__(self, request: HttpRequest) -> None:
        self._values = {name: text for name, values in request.GET.lists() if (text := ",".join(filter(None, map(str.strip, values))))}

    def window(self) -> Window:
        values = {"limit": "100", "offset": "0", "order_by": "id", **self._values}
        limit, offset = _number(values["limit"], "limit", low=1, high=MAX_PAGE), _number(values["offset"], "offset", low=0)
        return Window(limit, offset, values["order_by"])

    def filters(self, known: Mapping[str, tuple[Reads, str]]) -> dict[str, Any]:
        """The values of the filters that are there, read; only active things unless `state` asks for others. Unknown names are left out."""
        found = {name: self._read(name, reads) for name, (reads, _) in known.items() if name in self._values}
        return {"state": STATES["active"], **found} if "state" in known else found

    def includes(self, known: Collection[str]) -> frozenset[str]:
        """`include_related` as `job,run_steps`, `["job","run_steps"]` or `[job]`; names that are not known are left out."""
        asked = self._items("include_related") if "include_related" in self._values else []
        return frozenset(asked).intersection(known)

    def _read(self, name: str, reads: Reads) -> Any:
        return getattr(self, f"_{reads}")(name)

    def _number(self, name: str) -> int:
        return _number(self._values[name], name)

    def _numbers(self, name: str) -> list[int]:
        return [_number(item, name) for item in self._items(name)]

    def _statuses(self, name: str) -> list[str]:
        return outcomes_with(self._numbers(name))

    def _moments(self, name: str) -> list[datetime]:
        moments = [Fields({name: item}).moment(name) for item in self._items(name)]
        if len(moments) != 2:
            raise BadField(name, 'must be two times, like ["2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"]')
        return [moment for moment in moments if moment]

    def _items(self, name: str) -> list[str]:
        items = self._values[name].removeprefix("[").removesuffix("]").split(",")
        return [item.strip().strip("\"'") for item in items]

    def _text(self, name: str) -> str:
        return Fields(self._values).text(name, limit=400)

    def _state(self, name: str) -> list[int]:
        if self._values[name] not in STATES:
            raise BadField(name, "must be one of " + ", ".join(STATES))
        return [int(state) for state in STATES[self._values[name]]]


def _number(text: str, name: str, *, low: int = 0, high: int = MAX_INTEGER) -> int:
    number = int(text) if re.fullmatch("[0-9]{1,16}", text) else text
    return Fields({name: number}).integer(name, low=low, high=high) or 0


def listed(data: list[Any], total: int, window: Window, filters: Mapping[str, Any] | None = None) -> JsonResponse:
    """`count` is this page, `total_count` all of it; clients page until the two say that they have it all."""
    shown = {name: value for name, value in (filters or {}).items() if isinstance(value, (int, str))}
    extra = {
        "filters": {"limit": window.limit, "offset": window.offset, **shown},
        "order_by": window.order_by,
        "pagination": {"count": len(data), "total_count": total},
    }
    return answer(data, extra=extra)
