"""The mailbox where mail stays as long as no relay is set."""

from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from runbell.core.permissions import Action
from runbell.server.db.models import MailboxItem
from runbell.server.services import audit
from runbell.server.services.access import Actor, NotThere

PAGE = 50
BATCH = 200  # mails deleted in one transaction


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
    newest: int | None  # of the mailbox, on its first page: it is emptied up to this one


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
        newest=shown[0].pk if shown and before is None else None,
    )


def mail(actor: Actor, item: int) -> Mail:
    row = _mails(actor).filter(pk=item).first()
    if row is None:
        raise NotThere
    parsed = message_from_bytes(bytes(row.content), policy=policy.default)
    headers = tuple((name, str(value)) for name, value in parsed.items())
    return Mail(_mail_line(row), str(parsed["From"] or ""), headers, _part(parsed, "html"), _part(parsed, "plain"))


def mails_up_to(actor: Actor, newest: int | None) -> int:
    """How many `empty` deletes."""
    return _up_to(actor, newest).count()


def empty(actor: Actor, newest: int | None, *, now: datetime) -> int:
    """Deletes the mails up to the newest that somebody saw, or all; how many. What came since stays, and so does the delivery log.

    In small batches, so that no report waits for it. The first carries the entry of the audit log: nothing goes without one.
    """
    mails = _up_to(actor, newest)
    count = mails.count()
    gone = 0
    while ids := list(mails.values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            if not gone:
                audit.record(account=actor.member.account, actor=actor, action="mailbox.empty", subject=str(count), now=now)
            MailboxItem.objects.filter(pk__in=ids).delete()
        gone += len(ids)
    return gone


def _up_to(actor: Actor, newest: int | None) -> QuerySet[MailboxItem]:
    mails = _mails(actor)
    return mails if newest is None else mails.filter(pk__lte=newest)


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
