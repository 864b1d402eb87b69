"""What a lane needs to send a claimed delivery: loaded by the dispatcher, rendered in the lane without the database."""

import json
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.parser import BytesHeaderParser
from email.policy import default
from typing import Any, NamedTuple

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db.models import BinaryField, TextField
from django.db.models.functions import Cast

from runbell.channels.base import Recipient, Rendering, Transport
from runbell.channels.registry import channel
from runbell.core.because import Because
from runbell.messages.message import Links, Message, Reader
from runbell.server.db.fields import decrypt
from runbell.server.db.models import Delivery, Destination, State
from runbell.server.db.models import Message as StoredMessage
from runbell.server.db.models.deliveries import Purpose
from runbell.server.db.outbox import Claimed
from runbell.server.db.prepared import GivenIds, Prepared
from runbell.server.services.decisions import SECRETS, address_of, silent_because
from runbell.server.services.unsubscribe import unsubscribe_url

LATE = timedelta(minutes=15)
KEPT = 64  # renderings; one is some 20 KB


@dataclass(frozen=True, slots=True)
class Parcel:
    """A claimed delivery. It has a `payload`, or a message to render, or is `suppressed`: the reason to send has gone away.

    `attempts` are those before this try; `was_lost`: the answer to one of them, so it may have arrived. `settings` are the destination's, as
    its channel made them, with the secrets it is reached by.
    """

    id: int
    claim: str
    lane: str
    key: str
    attempts: int
    created_at: datetime
    was_lost: bool = False
    last_because: Because | None = None
    purpose: str = ""
    destination_id: int | None = None
    has_trouble: bool = False
    free_at: datetime | None = None  # when its destination can take a message again, as far as it was seen
    kind: str = "email"
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    payload: bytes | None = None
    message_id: int | None = None
    body: str | None = field(default=None, repr=False)
    reader: Reader | None = None
    recipient: Recipient | None = None
    suppressed: Because | None = None


class Words(NamedTuple):
    """A stored message. `body` is read where it is rendered: what many recipients share is read once."""

    language: str
    body: str


_destinations = Prepared(
    lambda: Destination.objects.filter(pk__in=GivenIds("ids")).select_related("account", "member__user", "link__workspace").defer(*SECRETS)
)
_secrets_of = Prepared(
    lambda: Destination.objects.filter(pk__in=GivenIds("ids")).values_list(
        "pk", Cast("secret", TextField()), Cast("link__workspace__token", TextField())
    )
)
_messages = Prepared(
    lambda: StoredMessage.objects.filter(pk__in=GivenIds("ids")).values_list("pk", "language", Cast("body", TextField())), grows=True
)


def load_parcels(rows: Sequence[Claimed], *, now: datetime) -> list[Parcel]:
    """Everything about the claimed: two queries; one more when account mail is among them, one when secrets are needed."""
    if not rows:
        return []
    ids = {row.destination_id for row in rows if row.destination_id}
    destinations = {found.pk: found for found in _destinations(ids=ids)} if ids else {}
    stored = _secrets([pk for pk, destination in destinations.items() if destination.link_id or _has_secret(destination.kind)])
    opened = _opened(stored.values())
    secrets = {pk: {name: opened[value] for name, value in found.items()} for pk, found in stored.items()}
    messages = _texts_of({row.message_id for row in rows if row.message_id})
    payloads = _payloads([row.id for row in rows if row.message_id is None])
    return [
        _account_parcel(row, payloads[row.id])
        if row.id in payloads
        else _with(
            secrets.get(row.destination_id or 0, {}),
            _parcel(row, destinations.get(row.destination_id or 0), messages.get(row.message_id or 0), now),
        )
        for row in rows
    ]


def _texts_of(ids: Collection[int]) -> dict[int, Words]:
    return {pk: Words(language, body) for pk, language, body in _messages(ids=ids)} if ids else {}


def _has_secret(kind: str) -> bool:
    return any(field.is_secret for field in channel(kind).fields)


def _secrets(ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """What it takes to send there, by destination: still encrypted, for the same reason."""
    if not ids:
        return {}
    rows = _secrets_of(ids=ids)
    return {pk: {name: value for name, value in (("secret", own), ("token", shared)) if value} for pk, own, shared in rows}


def _opened(secrets: Iterable[Mapping[str, str]]) -> dict[str, str | None]:
    """What each stored value says; None: no key fits. The Slack channels of a workspace share its token, which is opened once for all."""
    return {stored: _open(stored) for stored in {value for found in secrets for value in found.values()}}


def _open(stored: str) -> str | None:
    try:
        return decrypt(stored.encode()).decode()
    except InvalidToken:
        return None


def _with(secrets: Mapping[str, str | None], parcel: Parcel) -> Parcel:
    if not secrets or parcel.suppressed:
        return parcel
    if None in secrets.values():
        return replace(parcel, suppressed=Because("secret_unreadable"))
    return replace(parcel, settings={**parcel.settings, **secrets})


def _payloads(ids: Sequence[int]) -> dict[int, bytes]:
    """Still encrypted: one that no key fits any more must not hold up the others."""
    if not ids:
        return {}
    stored = Delivery.objects.filter(pk__in=ids, payload__isnull=False).annotate(stored=Cast("payload", BinaryField()))
    return {pk: bytes(payload) for pk, payload in stored.values_list("pk", "stored")}


def _account_parcel(row: Claimed, stored: bytes) -> Parcel:
    try:
        payload = decrypt(stored)
    except InvalidToken:
        return _bare(row, suppressed=Because("payload_unreadable"))
    return _bare(row, payload=payload, settings={"address": _address_in(payload)})


def _bare(row: Claimed, **more: Any) -> Parcel:
    return Parcel(
        id=row.id,
        claim=row.claim,
        lane=row.lane,
        key=f"{row.id}.{row.resends}",
        attempts=row.attempts,
        created_at=row.created_at,
        was_lost=row.was_lost,
        purpose=row.purpose,
        last_because=row.last_because,
        **more,
    )


def _parcel(row: Claimed, destination: Destination | None, message: Words | None, now: datetime) -> Parcel:
    if destination is None or message is None:
        return _bare(row, suppressed=Because("destination_gone"))
    if gone := _why_not(destination):
        return _bare(row, destination_id=destination.pk, suppressed=gone)
    return _bare(
        row,
        destination_id=destination.pk,
        free_at=max(filter(None, (destination.next_at, destination.held_until)), default=None),
        has_trouble=destination.refusals > 0 or destination.trouble_told_at is not None,
        kind=destination.kind,
        settings={**destination.settings, "address": address_of(destination)},
        message_id=row.message_id,
        body=message.body,
        reader=reader_of(row, destination, message.language),
        recipient=recipient_of(row, destination, now),
    )


def _why_not(destination: Destination) -> Because | None:
    """What became of the destination since the delivery was queued."""
    if destination.state != State.ACTIVE:
        return Because("destination_gone")
    return silent_because(destination)


def _address_in(payload: bytes) -> str:
    """Account mail has no destination: it goes where its To says, to one address (services/account_mail.py)."""
    to = BytesHeaderParser(policy=default).parsebytes(payload)["To"]
    return str(to.addresses[0].addr_spec)


def _account_url(delivery: Claimed) -> str:
    return f"{settings.RUNBELL_PUBLIC_URL}/a/{delivery.account_id}"


def reader_of(delivery: Claimed, destination: Destination, language: str) -> Reader:
    member = destination.member
    zone = destination.zone or (member.user.zone if member else destination.account.zone)
    run_url = f"{_account_url(delivery)}/runs/{delivery.run_id}" if delivery.run_id else ""
    runs_url = f"{_account_url(delivery)}/runs/" if delivery.purpose == Purpose.DIGEST else ""
    return Reader(language, zone, Links(run=run_url, runs=runs_url))


def recipient_of(delivery: Claimed, destination: Destination, now: datetime) -> Recipient:
    """A member finds why and settings on our pages, and so do those in a Slack channel; somebody outside has the unsubscribe link alone."""
    is_news = delivery.purpose in (Purpose.RUN, Purpose.DIGEST)
    run_id, job_id, ended_at = (delivery.run_id, delivery.job_id, delivery.finished_at) if is_news else (None, None, None)
    base, kind = _account_url(delivery), channel(destination.kind)
    is_inside = destination.member_id is not None or kind.is_room
    return Recipient(
        address=address_of(destination),
        because=delivery.because or Because("is_admin"),
        why_url=f"{base}/runs/{run_id}#why" if run_id and is_inside else "",
        settings_url=f"{base}/{kind.page(destination.pk, destination.address_key)}" if is_inside else "",
        unsubscribe_url=unsubscribe_url(destination, job_id or 0) if is_news else "",
        thread=f"{job_id}.{destination.pk}" if job_id else "",
        sent_at=now,
        is_test=delivery.purpose == Purpose.TEST,
        is_late=bool(ended_at and now - ended_at > LATE),
        is_outside=not is_inside,
    )


def transport() -> Transport:
    return Transport(
        settings.RUNBELL_SMTP_URL, settings.RUNBELL_MAIL_FROM, settings.RUNBELL_PUBLIC_URL, slack_api_url=settings.RUNBELL_SLACK_API_URL
    )


class Renderer:
    """Renders for one thread; what is shared by many recipients is rendered once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], Rendering] = OrderedDict()
        self._transport = transport()

    def payload(self, parcel: Parcel) -> bytes:
        if parcel.payload is not None:
            return parcel.payload
        assert parcel.recipient is not None
        return channel(parcel.kind).address(self._shared(parcel), parcel.recipient, parcel.key)

    def _shared(self, parcel: Parcel) -> Rendering:
        name = (parcel.kind, parcel.message_id, parcel.reader)
        found = self._kept.pop(name, None) or self._render(parcel)
        self._kept[name] = found  # as the newest
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    def _render(self, parcel: Parcel) -> Rendering:
        assert parcel.body is not None
        assert parcel.reader is not None
        return channel(parcel.kind).render(Message.from_json(json.loads(parcel.body)), parcel.reader, self._transport)
