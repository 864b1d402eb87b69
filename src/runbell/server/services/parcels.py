"""What a lane needs to send a claimed delivery: loaded by the dispatcher, rendered in the lane without the database."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.parser import BytesHeaderParser
from email.policy import default
from typing import Any, NamedTuple

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db.models import BinaryField, Exists, OuterRef, Q, TextField
from django.db.models.functions import Cast

from runbell.channels.base import Recipient, Rendering, Transport
from runbell.channels.registry import channel
from runbell.core.because import Because
from runbell.messages.message import Links, Message, Reader
from runbell.server.db.fields import decrypt
from runbell.server.db.models import Attempt, Delivery, Destination, State
from runbell.server.db.models import Message as StoredMessage
from runbell.server.db.models.deliveries import LOST, Purpose
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
    body: Mapping[str, Any] | None = None
    reader: Reader | None = None
    recipient: Recipient | None = None
    suppressed: Because | None = None


class Claimed(NamedTuple):
    """The columns of a claimed delivery. Not a model: making those is most of what a delivery would cost the dispatcher."""

    pk: int
    lane: str
    resends: int
    attempts: int
    created_at: datetime
    last_because: dict[str, Any] | None
    because: dict[str, Any] | None
    purpose: str
    account_id: int
    destination_id: int | None
    message_id: int | None
    run_id: int | None
    run__job_id: int | None
    run__finished_at: datetime | None
    was_lost: bool = False


def load_parcels(claims: Mapping[int, str], *, now: datetime) -> list[Parcel]:
    """Everything about the claimed, oldest first: three queries; one more when account mail is among them, one when secrets are needed."""
    if not claims:
        return []
    lost = Attempt.objects.filter(delivery=OuterRef("pk"), verdict=LOST, at__gte=OuterRef("created_at"))
    found = Delivery.objects.filter(pk__in=claims).annotate(was_lost=Q(attempts__gt=0) & Exists(lost)).order_by("created_at", "pk")
    rows = [Claimed(*row) for row in found.values_list(*Claimed._fields)]
    related = Destination.objects.select_related("account", "member__user", "link__workspace").defer(*SECRETS)
    destinations = related.in_bulk({row.destination_id for row in rows if row.destination_id})
    secrets = _secrets([pk for pk, destination in destinations.items() if destination.link_id or _has_secret(destination.kind)])
    bodies = StoredMessage.objects.only("language", "body").in_bulk({row.message_id for row in rows if row.message_id})
    payloads = _payloads([row.pk for row in rows if row.message_id is None])
    return [
        _account_parcel(_bare(row, claims[row.pk]), payloads[row.pk])
        if row.pk in payloads
        else _with(
            secrets.get(row.destination_id or 0, {}),
            _parcel(_bare(row, claims[row.pk]), row, destinations.get(row.destination_id or 0), bodies.get(row.message_id or 0), now),
        )
        for row in rows
    ]


def _has_secret(kind: str) -> bool:
    return any(field.is_secret for field in channel(kind).fields)


def _secrets(ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """What it takes to send there, by destination: still encrypted, for the same reason."""
    if not ids:
        return {}
    rows = Destination.objects.filter(pk__in=ids).values_list(
        "pk", Cast("secret", TextField()), Cast("link__workspace__token", TextField())
    )
    return {pk: {name: value for name, value in (("secret", own), ("token", shared)) if value} for pk, own, shared in rows}


def _with(secrets: Mapping[str, str], parcel: Parcel) -> Parcel:
    if not secrets or parcel.suppressed:
        return parcel
    try:
        readable = {name: decrypt(stored.encode()).decode() for name, stored in secrets.items()}
    except InvalidToken:
        return replace(parcel, suppressed=Because("secret_unreadable"))
    return replace(parcel, settings={**parcel.settings, **readable})


def _payloads(ids: Sequence[int]) -> dict[int, bytes]:
    """Still encrypted: one that no key fits any more must not hold up the others."""
    stored = Delivery.objects.filter(pk__in=ids, payload__isnull=False).annotate(stored=Cast("payload", BinaryField()))
    return {pk: bytes(payload) for pk, payload in stored.values_list("pk", "stored")} if ids else {}


def _account_parcel(bare: Parcel, stored: bytes) -> Parcel:
    try:
        payload = decrypt(stored)
    except InvalidToken:
        return replace(bare, suppressed=Because("payload_unreadable"))
    return replace(bare, payload=payload, settings={"address": _address_in(payload)})


def _bare(delivery: Claimed, claim: str) -> Parcel:
    return Parcel(
        id=delivery.pk,
        claim=claim,
        lane=delivery.lane,
        key=f"{delivery.pk}.{delivery.resends}",
        attempts=delivery.attempts,
        created_at=delivery.created_at,
        was_lost=delivery.was_lost,
        purpose=delivery.purpose,
        last_because=Because.from_json(delivery.last_because) if delivery.last_because else None,
    )


def _parcel(bare: Parcel, delivery: Claimed, destination: Destination | None, message: StoredMessage | None, now: datetime) -> Parcel:
    if destination is None or message is None:
        return replace(bare, suppressed=Because("destination_gone"))
    if gone := _why_not(destination):
        return replace(bare, destination_id=destination.pk, suppressed=gone)
    return replace(
        bare,
        destination_id=destination.pk,
        free_at=max(filter(None, (destination.next_at, destination.held_until)), default=None),
        has_trouble=destination.refusals > 0 or destination.trouble_told_at is not None,
        kind=destination.kind,
        settings={**destination.settings, "address": address_of(destination)},
        message_id=message.pk,
        body=message.body,
        reader=reader_of(delivery, destination, message.language),
        recipient=recipient_of(delivery, destination, now),
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
    run_id, job_id, ended_at = (delivery.run_id, delivery.run__job_id, delivery.run__finished_at) if is_news else (None, None, None)
    base, kind = _account_url(delivery), channel(destination.kind)
    is_inside = destination.member_id is not None or kind.is_room
    return Recipient(
        address=address_of(destination),
        because=Because.from_json(delivery.because) if delivery.because else Because("is_admin"),
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
        if name not in self._kept:
            self._kept[name] = self._render(parcel)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return self._kept[name]

    def _render(self, parcel: Parcel) -> Rendering:
        assert parcel.body is not None
        assert parcel.reader is not None
        return channel(parcel.kind).render(Message.from_json(parcel.body), parcel.reader, self._transport)
