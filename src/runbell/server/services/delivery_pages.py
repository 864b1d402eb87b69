"""The delivery log, and the mailbox where mail stays as long as no relay is set."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import Combinable

from runbell.core.because import Because
from runbell.core.deliveries import PENDING, DeliveryState
from runbell.core.permissions import Action
from runbell.server.db.models import Attempt, Delivery, MailboxItem
from runbell.server.db.models.deliveries import LOST
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.decisions import IN_DESTINATION, address_of

PAGE = 50
DAY = timedelta(hours=24)
GROUPS: Mapping[str, tuple[DeliveryState, ...]] = {
    "sent": (DeliveryState.SENT, DeliveryState.FOLDED),
    "trying": PENDING,
    "dead": (DeliveryState.DEAD,),
    "unsent": (DeliveryState.SUPPRESSED,),
}
"""The filter's words, and the states each holds."""


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
class Log:
    """`counts` by filter word, with ``all``; `day` counts the last 24 hours by the same words."""

    lines: tuple[DeliveryLine, ...]
    counts: Mapping[str, int]
    day: Mapping[str, int]
    older: int | None


@dataclass(frozen=True, slots=True)
class MailLine:
    id: int
    subject: str
    recipient: str
    at: datetime
    outcome: str


@dataclass(frozen=True, slots=True)
class Mail:
    line: MailLine
    sender: str
    headers: tuple[tuple[str, str], ...]
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Mailbox:
    """`is_relayed`: a mail server is set, so nothing new comes here."""

    lines: tuple[MailLine, ...]
    mail: Mail | None
    is_relayed: bool
    older: int | None


def delivery_log(actor: Actor, *, group: str, opened: int | None, before: int | None, now: datetime) -> Log:
    """Newest first. `group` is a word of `GROUPS` or ``all``; the delivery `opened` comes with its tries."""
    actor.require(Action.SEE_DELIVERIES)
    everything = _visible(actor)
    chosen = everything.filter(state__in=GROUPS[group]) if group in GROUPS else everything
    if before is not None:
        chosen = chosen.filter(pk__lt=before)
    rows = list(_told(chosen)[: PAGE + 1])
    shown = rows[:PAGE]
    tries = tuple(map(_try, Attempt.objects.filter(delivery=opened).order_by("at", "pk"))) if opened in {row.pk for row in shown} else ()
    lines = tuple(_line(row, tries if row.pk == opened else ()) for row in shown)
    return Log(lines, *_counts(everything, now), older=shown[-1].pk if len(rows) > PAGE else None)


def get_delivery(actor: Actor, delivery_id: int) -> DeliveryLine:
    """One line of the log, with its tries. Raises `NotThere`."""
    actor.require(Action.SEE_DELIVERIES)
    row = _told(_visible(actor)).filter(pk=delivery_id).first()
    if row is None:
        raise NotThere
    return _line(row, tuple(map(_try, row.tries.order_by("at", "pk"))))


def _visible(actor: Actor) -> QuerySet[Delivery]:
    """Sign-in mails and the like are a matter between the server and one person."""
    return Delivery.objects.filter(account=actor.account_id).exclude(purpose="account").order_by("-pk")


def _told(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    related = rows.select_related("run__job__environment", "destination__member__user", "destination__link__workspace").defer(
        "run__log_end", *IN_DESTINATION
    )
    return related.annotate(may_be_twice=may_be_twice())


def may_be_twice() -> Combinable:
    """Sent after an answer was lost: the first try may have arrived as well."""
    return Q(state=DeliveryState.SENT) & Exists(Attempt.objects.filter(delivery=OuterRef("pk"), verdict=LOST))


def _counts(deliveries: QuerySet[Delivery], now: datetime) -> tuple[dict[str, int], dict[str, int]]:
    recent = Count("pk", filter=Q(created_at__gt=now - DAY))
    by_state = list(deliveries.order_by().values_list("state").annotate(n=Count("pk"), recent=recent))
    ever = {group: sum(n for state, n, _ in by_state if state in states) for group, states in GROUPS.items()}
    day = {group: sum(n for state, _, n in by_state if state in states) for group, states in GROUPS.items()}
    return {"all": sum(ever.values()), **ever}, {"all": sum(day.values()), **day}


def _line(row: Delivery, tries: tuple[Try, ...]) -> DeliveryLine:
    job = row.run.job if row.run else None
    return DeliveryLine(
        id=row.pk,
        at=row.created_at,
        purpose=row.purpose,
        job=job.name if job else "",
        environment=job.environment.name if job else "",
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


def mailbox(actor: Actor, *, item: int | None, before: int | None) -> Mailbox:
    """The newest mail is open unless `item` says which. Raises `NotThere` for a mail of another account."""
    items = _mails(actor)
    if before is not None:
        items = items.filter(pk__lt=before)
    rows = list(items.defer("content")[: PAGE + 1])
    shown = rows[:PAGE]
    opened = item if item is not None else shown[0].pk if shown else None
    return Mailbox(
        lines=tuple(map(_mail_line, shown)),
        mail=mail(actor, opened) if opened is not None else None,
        is_relayed=bool(settings.RUNBELL_SMTP_URL),
        older=shown[-1].pk if len(rows) > PAGE else None,
    )


def mail(actor: Actor, item: int) -> Mail:
    row = _mails(actor).filter(pk=item).first()
    if row is None:
        raise NotThere
    parsed = message_from_bytes(bytes(row.content), policy=policy.default)
    headers = tuple((name, str(value)) for name, value in parsed.items())
    return Mail(_mail_line(row), str(parsed["From"] or ""), headers, _part(parsed, "html"), _part(parsed, "plain"))


def _mails(actor: Actor) -> QuerySet[MailboxItem]:
    actor.require(Action.READ_MAILBOX)
    items = MailboxItem.objects.filter(account=actor.account_id).exclude(delivery__purpose="account")  # a reset link is for one person
    return items.select_related("delivery__run").defer("delivery__run__log_end").order_by("-pk")


def _mail_line(row: MailboxItem) -> MailLine:
    run = row.delivery.run
    return MailLine(row.pk, row.subject, row.recipient, row.at, run.outcome if run else "")


def _part(parsed: EmailMessage, kind: str) -> str:
    body = parsed.get_body(preferencelist=(kind,))
    return str(body.get_content()) if body else ""
