"""The audit log as its page reads it: newest first, ids told by name, and only what changed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from runbell.core.permissions import Action
from runbell.server.db.models import AuditEntry, Environment, Job, Member
from runbell.server.services.access import Actor
from runbell.server.services.rules import ON

PAGE = 50
KINDS: Mapping[str, tuple[str, ...]] = {
    "people": ("member", "invitation"),
    "notifications": ("notifications", "email", "delivery", "mailbox"),
    "jobs": ("job", "environment", "project"),
    "tokens": ("token",),
    "slack": ("slack",),
    "dbt": ("dbt",),
}
"""The filter's words, and the first words of the actions each holds."""

CHOICES = tuple(ON.values())
ENVIRONMENTS = "runbell_environments"
NOT_SHOWN = frozenset({"through", "user_id"})  # told elsewhere in the line, or a number that tells a person nothing


@dataclass(frozen=True, slots=True)
class Change:
    """What one field was and is. Of two lists only what was taken out and what was put in, which `is_part` says.

    Jobs and environments are told by name.
    """

    field: str
    before: Any
    after: Any
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """`by` is empty for the command line and for links that need no sign-in; `through` is the link's name, or the token's."""

    id: int
    at: datetime
    by: str
    token: str
    through: str
    action: str
    subject: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class AuditLog:
    """`people`: id and name of every member there ever was. `older`: what to ask for as `before`."""

    entries: tuple[Entry, ...]
    people: tuple[tuple[int, str], ...]
    older: int | None


def audit_log(actor: Actor, *, member: int | None, kind: str, before: int | None) -> AuditLog:
    """Raises `NotAllowed`. `kind` is a word of `KINDS`, or anything else for all."""
    actor.require(Action.SEE_AUDIT)
    rows = _rows(actor.account_id, member, kind)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.select_related("member__user", "token").order_by("-pk")[: PAGE + 1])
    shown = found[:PAGE]
    names = _names(actor.account_id, shown)
    return AuditLog(
        entries=tuple(_entry(row, names) for row in shown),
        people=tuple(_people(actor.account_id)),
        older=shown[-1].pk if len(found) > PAGE else None,
    )


def _rows(account_id: int, member: int | None, kind: str) -> QuerySet[AuditEntry]:
    rows = AuditEntry.objects.filter(account=account_id)
    if member is not None:
        rows = rows.filter(member=member)
    if kind in KINDS:
        of_kind = Q()
        for word in KINDS[kind]:
            of_kind |= Q(action__startswith=f"{word}.")
        rows = rows.filter(of_kind)
    return rows


def _people(account_id: int) -> Iterator[tuple[int, str]]:
    members = Member.objects.filter(account=account_id).order_by("user__name", "user__email")
    for pk, name, email in members.values_list("pk", "user__name", "user__email"):
        yield pk, name or email


def _entry(row: AuditEntry, names: Mapping[tuple[str, int], str]) -> Entry:
    person = row.member.user if row.member else None
    return Entry(
        id=row.pk,
        at=row.at,
        by=(person.name or person.email) if person else "",
        token=row.token.name if row.token else "",
        through=str(row.after.get("through") or ""),
        action=row.action,
        subject=row.subject,
        changes=tuple(_changes(row, names)),
    )


def _changes(row: AuditEntry, names: Mapping[tuple[str, int], str]) -> Iterator[Change]:
    old, new = _flat(row.before), _flat(row.after)
    for field in [*old, *(field for field in new if field not in old)]:
        was, is_now = old.get(field), new.get(field)
        if field in NOT_SHOWN or was == is_now or (row.subject in (was, is_now) and None in (was, is_now)):
            continue
        if isinstance(was, list) or isinstance(is_now, list):
            out, into = _apart(was or [], is_now or [])
            if out or into:
                yield Change(field, _named(field, out, names), _named(field, into, names), is_part=bool(row.before and row.after))
        elif was not in (None, "") or is_now not in (None, ""):
            yield Change(field, was, is_now)


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    """One level: ``{"a": {"b": 1}}`` is the field ``a.b``. A reason stays whole."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        is_nested = isinstance(value, dict) and name != "because"
        flat |= {f"{name}.{inner}": held for inner, held in value.items()} if is_nested else {name: value}
    return flat


def _apart(was: list[Any], is_now: list[Any]) -> tuple[list[Any], list[Any]]:
    return [item for item in was if item not in is_now], [item for item in is_now if item not in was]


def _named(field: str, items: list[Any], names: Mapping[tuple[str, int], str]) -> list[str]:
    scope = _scope(field)
    return [names.get((scope, item), f"#{item}") if scope else str(item) for item in items]


def _scope(field: str) -> str:
    """What the ids in this field are of; empty when it holds no ids."""
    head, _, last = field.rpartition(".")
    if last not in CHOICES:
        return ""
    return "environment" if head == ENVIRONMENTS else "job"


def _names(account_id: int, rows: Iterable[AuditEntry]) -> dict[tuple[str, int], str]:
    """The names of all jobs and environments these entries are about; they stay known when deleted."""
    ids: dict[str, set[int]] = {"job": set(), "environment": set()}
    for row in rows:
        for facts in (row.before, row.after):
            for field, value in _flat(facts).items():
                if (scope := _scope(field)) and isinstance(value, list):
                    ids[scope] |= {item for item in value if isinstance(item, int)}
    names: dict[tuple[str, int], str] = {}
    if ids["job"]:
        jobs = Job.objects.filter(account=account_id, pk__in=ids["job"]).values_list("pk", "name", "environment__name")
        names |= {("job", pk): f"{name} ({environment})" for pk, name, environment in jobs}
    if ids["environment"]:
        environments = Environment.objects.filter(account=account_id, pk__in=ids["environment"]).values_list("pk", "name", "project__name")
        names |= {("environment", pk): f"{name} ({project})" for pk, name, project in environments}
    return names
