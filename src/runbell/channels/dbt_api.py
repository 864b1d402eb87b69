"""The dbt platform's Admin API, as far as Runbell uses it (https://docs.getdbt.com/dbt-cloud/api-v2 and -v3).

It reads; and starts, cancels and retries runs when somebody asks for that here.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from runbell.channels.guard import Guard
from runbell.channels.http import Http, Lost, Unreached
from runbell.channels.http_answer import Answer
from runbell.core.because import Because

PAGE = 100
MAX_PAGES = 100  # a listing that never ends is given up
TIMEOUT = 5.0
ACT_TIMEOUT = 30.0  # a question may be asked again; an act whose answer is lost may not
MAX_PAUSE = timedelta(hours=1)
RELATED = '["trigger","job","environment","run_steps"]'
LISTS = {"projects": "v3", "environments": "v3", "jobs": "v2", "users": "v3", "notifications": "v2"}
CODES = (
    *("dbt_unreachable", "dbt_tls", "dbt_silent", "dbt_private", "dbt_no_answer", "dbt_http", "dbt_not_api", "dbt_limited", "dbt_endless"),
    *("dbt_token", "dbt_rights", "dbt_missing", "dbt_refused"),
)


class Kind(StrEnum):
    """What a trouble says. WAY: nothing about the thing asked for, the same again may do. RIGHTS: the token is not good for it.

    REFUSED: an act that the platform did not do, for reasons of its own.
    """

    WAY = "way"
    LIMITED = "limited"
    RIGHTS = "rights"
    MISSING = "missing"
    REFUSED = "refused"


class DbtTrouble(Exception):
    """A question that was not answered. Holds no token. `is_asked`: it may have reached the platform."""

    def __init__(self, because: Because, kind: Kind, retry_after: timedelta | None = None, *, is_asked: bool = True) -> None:
        super().__init__(because.code)
        self.because, self.kind, self.retry_after, self.is_asked = because, kind, retry_after, is_asked


class DbtApi:
    """Used by one thread at a time. Every method raises `DbtTrouble` and nothing else. Members name the host: `guard` says where it may be."""

    def __init__(self, url: str, account_id: str, token: str, *, guard: Guard, timeout: float = TIMEOUT) -> None:
        self._http, self._url, self._account, self._token = Http(timeout=timeout, guard=guard), url.rstrip("/"), account_id, token

    def close(self) -> None:
        self._http.close()

    def account(self) -> Mapping[str, Any]:
        return self._object("v2", "", "account")

    def run(self, run_id: str) -> Mapping[str, Any]:
        return self._object("v2", f"runs/{run_id}/", "runs", include_related=RELATED)

    def finished_runs(self, since: datetime, until: datetime) -> Iterator[list[Mapping[str, Any]]]:
        """Pages, the run that ended first at the front."""
        between = json.dumps([since.isoformat(), until.isoformat()])
        return self._pages("v2", "runs/", "runs", order_by="finished_at", finished_at__range=between)

    def last_run(self) -> Mapping[str, Any] | None:
        rows = _rows(self._ask("v2", "runs/", "runs", limit=1, order_by="-id"), "runs")
        return rows[0] if rows else None

    def listing(self, what: str) -> list[Mapping[str, Any]]:
        """All of one kind: `what` is a word of `LISTS`."""
        return [row for page in self._pages(LISTS[what], f"{what}/", what) for row in page]

    def artifact(self, run_id: str, name: str, step: int) -> bytes | None:
        """None: not there, or not yet."""
        answer = self._answer("v2", f"runs/{run_id}/artifacts/{name}", step=step)
        if answer.status == 404:
            return None
        _check(answer, "artifacts")
        return answer.body

    def artifacts(self, run_id: str) -> None:
        """Whether they may be read."""
        answer = self._answer("v2", f"runs/{run_id}/artifacts/")
        if answer.status != 404:
            _check(answer, "artifacts")

    def act(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """POST, once: whatever becomes of the answer, it is not sent again. The run that it is about."""
        answer = self._answer("v2", path, body=body)
        if 400 <= answer.status < 500 and answer.status not in (401, 429) and (said := _json(answer.body)) is not None:
            raise DbtTrouble(Because("dbt_refused", {"code": answer.status, "said": _user_message(said)}), Kind.REFUSED)
        _check(answer, "runs")
        data = (_json(answer.body) or {}).get("data")
        return data if isinstance(data, Mapping) else {}

    def _pages(self, version: str, path: str, what: str, **query: Any) -> Iterator[list[Mapping[str, Any]]]:
        """Each until a short one. One that brings nothing new, and the hundredth, end it: some servers never do."""
        seen: set[Any] = set()
        for page in range(MAX_PAGES):
            rows = _rows(self._ask(version, path, what, limit=PAGE, offset=page * PAGE, **query), what)
            fresh = [row for row in rows if row.get("id") not in seen]
            seen.update(row.get("id") for row in fresh)
            if fresh:
                yield fresh
            if len(rows) < PAGE or not fresh:
                return
        raise DbtTrouble(Because("dbt_endless", {"what": what}), Kind.WAY)

    def _object(self, version: str, path: str, what: str, **query: Any) -> Mapping[str, Any]:
        data = self._ask(version, path, what, **query).get("data")
        if not isinstance(data, Mapping):
            raise DbtTrouble(Because("dbt_not_api"), Kind.WAY)
        return data

    def _ask(self, version: str, path: str, what: str, **query: Any) -> Mapping[str, Any]:
        answer = self._answer(version, path, **query)
        _check(answer, what)
        said = _json(answer.body)
        if said is None:
            raise DbtTrouble(Because("dbt_not_api"), Kind.WAY)
        return said

    def _answer(self, version: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Answer:
        url = f"{self._url}/api/{version}/accounts/{self._account}/{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Token {self._token}", "Accept": "application/json", "User-Agent": "runbell"}
        try:
            if body is not None:
                return self._http.post(url, json.dumps(body).encode(), {**headers, "Content-Type": "application/json"})
            return self._http.get(url, headers)
        except Unreached as error:
            params = {name: value for name, value in (("text", error.text), ("proxy", error.proxy)) if value}
            trouble = DbtTrouble(Because(f"dbt_{error.word}", params), Kind.WAY, is_asked=False)
        except Lost:
            trouble = DbtTrouble(Because("dbt_no_answer"), Kind.WAY)
        raise trouble  # out here, so that it carries along none of the above


def _check(answer: Answer, what: str) -> None:
    """A page of HTML with status 404 is no word of the API: the host is another."""
    if 200 <= answer.status < 300:
        return
    if answer.status == 429:
        raise DbtTrouble(Because("dbt_limited"), Kind.LIMITED, _retry_after(answer.headers))
    if answer.status == 401:
        raise DbtTrouble(Because("dbt_token"), Kind.RIGHTS)
    if answer.status == 403:
        raise DbtTrouble(Because("dbt_rights", {"what": what}), Kind.RIGHTS)
    if answer.status == 404 and _json(answer.body) is not None:
        raise DbtTrouble(Because("dbt_missing", {"what": what}), Kind.MISSING)
    if answer.status >= 500:
        raise DbtTrouble(Because("dbt_http", {"code": answer.status}), Kind.WAY, _retry_after(answer.headers))
    raise DbtTrouble(Because("dbt_not_api"), Kind.WAY)


def _json(body: bytes) -> Mapping[str, Any] | None:
    try:
        said = json.loads(body.decode())
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, Mapping) else None


def _user_message(said: Mapping[str, Any]) -> str:
    status = said.get("status")
    text = status.get("user_message") if isinstance(status, Mapping) else None
    return text[:500] if isinstance(text, str) else ""


def _rows(said: Mapping[str, Any], what: str) -> list[Mapping[str, Any]]:
    rows = said.get("data")
    if not isinstance(rows, list):
        raise DbtTrouble(Because("dbt_not_api"), Kind.WAY)
    return [row for row in rows if isinstance(row, Mapping)]


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(timedelta(seconds=int(said[:9])), MAX_PAUSE) if said.isascii() and said.isdecimal() else None
