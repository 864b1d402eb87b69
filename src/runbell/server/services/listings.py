"""What there is in an account, page by page, with the dbt Admin API's names for filters and orders.

Each listing shows what its actor may see: the own account and, through a token held to one project, that project.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

from runbell.core.fields import BadField
from runbell.core.permissions import Action
from runbell.core.runs import Outcome
from runbell.server.db.models import Environment, Job, Member, Project, Run, State
from runbell.server.services.access import Actor

__all__ = ["ENVIRONMENTS", "JOBS", "MEMBERS", "PROJECTS", "RUNS", "Environment", "Job", "Member", "Page", "Project", "Run", "Window"]

MAX_PAGE = 1000
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a listing; `order_by` is a name of the API, descending with a `-`."""

    limit: int = 100
    offset: int = 0
    order_by: str = "id"


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    rows: list[Row]
    total: int


class Reads(StrEnum):
    """How the text of a query parameter is read."""

    NUMBER = "number"
    NUMBERS = "numbers"
    TEXT = "text"
    STATUSES = "statuses"
    MOMENTS = "moments"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """The filters and orders of one kind of thing: names of the API → how they are read, and the look-up they stand for."""

    model: type[Row]
    project: str
    filters: Mapping[str, tuple[Reads, str]]
    orders: Mapping[str, str]
    related: tuple[str, ...] = ()
    hidden: Q | None = None
    action: Action = Action.SEE_JOBS

    def page(self, actor: Actor, filters: Mapping[str, Any], window: Window) -> Page[Row]:
        """`filters`: API name → value read as `self.filters` says. Raises `NotAllowed`, `BadField`."""
        actor.require(self.action)
        rows = self.model._default_manager.filter(account=actor.account_id)
        rows = rows.exclude(self.hidden) if self.hidden else rows
        if actor.token and actor.token.project_id:
            rows = rows.filter(**{self.project: actor.token.project_id})
        rows = rows.filter(**{self.filters[name][1]: value for name, value in filters.items()})
        return take(rows.select_related(*self.related), window, self.orders)


def take(rows: QuerySet[Row], window: Window, orders: Mapping[str, str]) -> Page[Row]:
    """The part of `rows` that `window` shows; equal values keep the order of their ids, so pages never overlap."""
    name = window.order_by.removeprefix("-")
    if name not in orders:
        raise BadField("order_by", "must be one of " + ", ".join(orders))
    sign = "-" if window.order_by.startswith("-") else ""
    ordered = rows.order_by(f"{sign}{orders[name]}", f"{sign}pk")
    return Page(list(ordered[window.offset : window.offset + window.limit]), rows.count())


STATUS_OF: dict[str, int] = {"": 3, Outcome.SUCCEEDED: 10, Outcome.WARNED: 10, Outcome.FAILED: 20, Outcome.CANCELLED: 30}
"""Run.outcome → the Admin API's run status, which knows no warning; a run without an outcome is running."""


def outcomes_with(statuses: list[int]) -> list[str]:
    return [outcome for outcome, status in STATUS_OF.items() if status in statuses]


_NAMED = {"id": "pk", "name": "name", "created_at": "created_at"}
_COMMON = {
    "pk": (Reads.NUMBER, "pk"),
    "pk__in": (Reads.NUMBERS, "pk__in"),
    "name": (Reads.TEXT, "name"),
    "name__icontains": (Reads.TEXT, "name__icontains"),
    "state": (Reads.STATE, "state__in"),
}
_MERGED = Q(merged_into__isnull=False)

PROJECTS = Listing(Project, project="pk", filters=_COMMON, orders=_NAMED)
ENVIRONMENTS = Listing(
    Environment,
    project="project",
    filters={**_COMMON, "project_id": (Reads.NUMBER, "project"), "project_id__in": (Reads.NUMBERS, "project__in")},
    orders=_NAMED,
)
JOBS = Listing(
    Job,
    project="environment__project",
    filters={
        **_COMMON,
        "project_id": (Reads.NUMBER, "environment__project"),
        "project_id__in": (Reads.NUMBERS, "environment__project__in"),
        "environment_id": (Reads.NUMBER, "environment"),
    },
    orders=_NAMED,
    related=("environment",),
)
RUNS = Listing(
    Run,
    project="job__environment__project",
    filters={
        "pk": (Reads.NUMBER, "pk"),
        "pk__in": (Reads.NUMBERS, "pk__in"),
        "id__gt": (Reads.NUMBER, "pk__gt"),
        "job_definition_id": (Reads.NUMBER, "job"),
        "environment_id": (Reads.NUMBER, "job__environment"),
        "project_id": (Reads.NUMBER, "job__environment__project"),
        "project_id__in": (Reads.NUMBERS, "job__environment__project__in"),
        "status": (Reads.STATUSES, "outcome__in"),
        "status__in": (Reads.STATUSES, "outcome__in"),
        "created_at__range": (Reads.MOMENTS, "received_at__range"),
        "finished_at__range": (Reads.MOMENTS, "finished_at__range"),
    },
    orders={"id": "pk", "created_at": "received_at", "started_at": "started_at", "finished_at": "finished_at"},
    related=("job__environment",),
    hidden=_MERGED,
)
MEMBERS = Listing(
    Member,
    project="account__projects",  # people belong to all projects: a token held to one of the account's sees them too
    filters={
        "pk": (Reads.NUMBER, "user"),
        "email": (Reads.TEXT, "user__email"),
        "email__icontains": (Reads.TEXT, "user__email__icontains"),
    },
    orders={"id": "user", "email": "user__email", "created_at": "created_at"},
    related=("user",),
    action=Action.SET_ANY_NOTIFICATIONS,
)
STATES = {"active": [State.ACTIVE], "1": [State.ACTIVE], "deleted": [State.DELETED], "2": [State.DELETED], "all": list(State)}
