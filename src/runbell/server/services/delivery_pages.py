"""The delivery log: pages of it, one delivery, and all of it for a file."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import Combinable

from runbell.core.because import Because
from runbell.core.deliveries import DeliveryState
from runbell.core.permissions import Action
from runbell.server.db.models import Attempt, Delivery, Environment, Job, State
from runbell.server.db.models.deliveries import LOST
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.decisions import IN_DESTINATION, address_of
from runbell.server.services.delivery_filters import GROUPS, Chosen, Wish

PAGE = 50
BATCH = 500  # lines of a file, read at once
DAY = timedelta(hours=24)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Try:
    at: datetime
    took: float
    verdict: str
    because: Because | None


@dataclass(frozen=True, slots=True)
class DeliveryLine:
    """`job` and `run_id` are empty for what is about no run. `after`: seconds from queued to settled. `may_be_twice`: sent after a
    lost answer. `folded_into`: the digest that tells it.
    """

    id: int
    at: datetime
    purpose: str
    job: str
    environment: str
    project: str
    run_id: int | None
    outcome: str
    kind: str
    address: str
    state: str
    attempts: int
    after: float | None
    due_at: datetime
    because: Because | None
    last: Because | None
    may_be_twice: bool = False
    folded_into: int | None = None
    tries: tuple[Try, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Behind a line of the log. In a URL ``<microseconds>.<id>``: it stays right when the line itself is deleted or sent again."""

    at: datetime
    id: int

    def __str__(self) -> str:
        return f"{(self.at - EPOCH) // timedelta(microseconds=1)}.{self.id}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """None for what is no place."""
        found = re.fullmatch(r"([0-9]{1,17})\.([0-9]{1,15})", text)
        return cls(EPOCH + timedelta(microseconds=int(found[1])), int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class Log:
    """`counts` by filter word, with ``all``, of what the filters leave; `day` of everything in the last 24 hours. Counts end at `most` and `COUNTED`."""

    lines: tuple[DeliveryLine, ...]
    counts: Mapping[str, int]
    day: Mapping[str, int]
    older: Place | None
    most: int


@dataclass(frozen=True, slots=True)
class LogPlaces:
    """`environments`: id and name of those to choose from. The names of the environment and the job that were chosen, or nothing."""

    environments: tuple[tuple[int, str], ...]
    environment: str
    job: str


def log_places(actor: Actor, wish: Wish) -> LogPlaces:
    """Raises `NotThere` for a job or an environment of another account."""
    found = Environment.objects.filter(Q(state=State.ACTIVE) | Q(pk=wish.environment), account=actor.account_id).select_related("project")
    named = {place.pk: f"{place.name} · {place.project.name}" for place in found}
    job = Job.objects.filter(account=actor.account_id, pk=wish.job).values_list("name", flat=True).first() if wish.job is not None else ""
    if job is None or wish.environment not in (None, *named):
        raise NotThere
    environments = sorted(named.items(), key=lambda item: item[1].casefold())
    return LogPlaces(tuple(environments), named[wish.environment] if wish.environment is not None else "", job)


def delivery_log(actor: Actor, wish: Wish, *, group: str, opened: int | None, place: Place | None, now: datetime) -> Log:
    """Newest first, behind `place`. `group` is a word of `GROUPS` or ``all``; the delivery `opened` comes with its tries.

    As many statements and as much work for a million deliveries as for some thousands.
    """
    actor.require(Action.SEE_DELIVERIES)
    chosen = Chosen.by(actor.account_id, wish)
    lines, older = _page(chosen.rows(group), place, PAGE, opened)
    day = Chosen.by(actor.account_id, Wish(since=now - DAY))
    return Log(lines, chosen.counts("all", *GROUPS), day.counts("all", "dead", "trying"), older, most=chosen.most)


def every_line(actor: Actor, wish: Wish, *, group: str) -> Iterator[DeliveryLine]:
    """All that the log would show, without their tries, a few at a time."""
    actor.require(Action.SEE_DELIVERIES)
    rows = Chosen.by(actor.account_id, wish).rows(group)

    def lines() -> Iterator[DeliveryLine]:
        place: Place | None = None
        while True:
            found, place = _page(rows, place, BATCH, None)
            yield from found
            if place is None:
                return

    return lines()


def place_before(actor: Actor, delivery_id: int) -> Place | None:
    """Where a page begins that has this delivery on top; None when it is not there any more."""
    at = Delivery.objects.filter(account=actor.account_id, pk=delivery_id).values_list("created_at", flat=True).first()
    return Place(at, delivery_id + 1) if at else None


def _page(rows: QuerySet[Delivery], place: Place | None, size: int, opened: int | None) -> tuple[tuple[DeliveryLine, ...], Place | None]:
    """Ids first: what is sorted or walked past has no joins."""
    if place:
        rows = rows.filter(created_at__lte=place.at).exclude(created_at=place.at, pk__gte=place.id)
    ids = list(rows.values_list("pk", flat=True)[: size + 1])
    shown = sorted(_told(Delivery.objects.filter(pk__in=ids[:size])), key=lambda row: (row.created_at, row.pk), reverse=True)
    tries = tuple(map(_try, Attempt.objects.filter(delivery=opened).order_by("at", "pk"))) if opened in ids[:size] else ()
    lines = tuple(_line(row, tries if row.pk == opened else ()) for row in shown)
    return lines, Place(shown[-1].created_at, shown[-1].pk) if len(ids) > size and shown else None


def get_delivery(actor: Actor, delivery_id: int) -> DeliveryLine:
    """One line of the log, with its tries. Raises `NotThere`."""
    actor.require(Action.SEE_DELIVERIES)
    row = _told(Chosen.by(actor.account_id, Wish()).rows()).filter(pk=delivery_id).first()
    if row is None:
        raise NotThere
    return _line(row, tuple(map(_try, row.tries.order_by("at", "pk"))))


def _told(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    related = rows.select_related("run__job__environment__project", "destination__member__user", "destination__link__workspace").defer(
        "run__log_end", *IN_DESTINATION
    )
    return related.annotate(may_be_twice=may_be_twice())


def may_be_twice() -> Combinable:
    """Sent after an answer was lost: the first try may have arrived as well."""
    return Q(state=DeliveryState.SENT) & Exists(Attempt.objects.filter(delivery=OuterRef("pk"), verdict=LOST))


def _line(row: Delivery, tries: tuple[Try, ...]) -> DeliveryLine:
    job = row.run.job if row.run else None
    return DeliveryLine(
        id=row.pk,
        at=row.created_at,
        purpose=row.purpose,
        job=job.name if job else "",
        environment=job.environment.name if job else "",
        project=job.environment.project.name if job else "",
        run_id=row.run_id,
        outcome=row.run.outcome if row.run else "",
        kind=row.destination.kind if row.destination else "email",
        address=address_of(row.destination) if row.destination else _addressee(row),
        state=row.state,
        attempts=row.attempts,
        after=(row.settled_at - row.created_at).total_seconds() if row.settled_at else None,
        due_at=row.due_at,
        because=_because(row.because),
        last=_because(row.last_because),
        may_be_twice=getattr(row, "may_be_twice", False),
        folded_into=row.folded_into_id,
        tries=tries,
    )


def _addressee(row: Delivery) -> str:
    """Of an invitation, which goes to somebody who is no destination yet."""
    return str((row.because or {}).get("params", {}).get("address") or "")


def _try(row: Attempt) -> Try:
    return Try(row.at, row.took, row.verdict, _because(row.because))


def _because(stored: Mapping[str, Any] | None) -> Because | None:
    return Because.from_json(stored) if stored else None
