"""Digests: when more runs than a destination takes one by one wait for it, they are told together, each of them by name.

A Slack channel has a pace, and a digest when its line is too long. An address has none: it has a storm when too much comes up for it within
an hour, and while that lasts, what comes up is gathered for some minutes and goes together. A lone message goes as itself.

All of it happens inside the turn of the worker: the digest stands in the outbox and what it tells has ended, or neither.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.db.models import DateTimeField, OuterRef, QuerySet, Subquery

from runbell.channels.registry import channel
from runbell.core.because import Because
from runbell.core.runs import Outcome
from runbell.messages.compose import DigestFacts, DigestRun, compose_digest
from runbell.server.db import outbox
from runbell.server.db.models import Account, Delivery, Destination
from runbell.server.db.models import Message as StoredMessage
from runbell.server.db.models.deliveries import Purpose
from runbell.server.db.prepared import Given, GivenIds, Prepared
from runbell.server.services.parcels import Parcel

RUNS = {"slack": 30, "slack_webhook": 30, "email": 100}
"""In one message at most: as many as Slack takes with their links, and as Gmail shows without a cut. More make several messages."""
HOUR = timedelta(hours=1)
GATHERING = timedelta(minutes=5)
"""Between two mails to one address in a storm."""
TAKES_LISTS = "takes_lists"
"""Of the settings of an external address, often a machine that reads one run in one mail: true when it takes lists too."""


def digest_after(kind: str) -> int:
    """How many are still told one by one; 0: any number. Waiting in line where a channel has a pace, else within an hour."""
    of_slack = settings.RUNBELL_SLACK_DIGEST_AFTER
    return {"slack": of_slack, "slack_webhook": of_slack, "email": settings.RUNBELL_MAIL_DIGEST_AFTER}.get(kind, 0)


@dataclass(frozen=True, slots=True)
class Folding:
    """Which parcels have ended as part of a digest, and when others are due again, because their address is in a storm."""

    ended: frozenset[int] = frozenset()
    later: Mapping[int, datetime] = field(default_factory=dict)


def fold(parcels: Sequence[Parcel], *, now: datetime) -> Folding:
    """Puts digests into the outbox for what waits too long in line.

    Only where something could go out now: until then more may come that can be told with it. Five statements, one where no line is long,
    none where no channel has digests; one more for addresses, and one for those in a storm.
    """
    mine = [parcel for parcel in parcels if _may_fold(parcel)]
    stormy = _stormy({parcel.destination_id or 0 for parcel in mine if not channel(parcel.kind).pace}, now)
    heads = {parcel.destination_id or 0: parcel for parcel in mine if _is_free(parcel, now) and _has_line(parcel, stormy)}
    lines = outbox.lines({head.lane for head in heads.values()}, list(heads), parcels[0].claim) if heads else {}
    long = {pk: line for pk, line in lines.items() if len(line) > (1 if pk in stormy else digest_after(heads[pk].kind))}
    if long:
        _put(list(_digests(long, heads, now)), now)
    calm_at = now + GATHERING * settings.RUNBELL_TIME_SCALE
    if stormy & heads.keys() and sum(map(len, lines.values())) < outbox.LONGEST_LINE:
        Destination.objects.filter(pk__in=stormy & heads.keys()).update(next_at=calm_at)
    ended = frozenset(told for line in long.values() for told in line)
    held = [parcel for parcel in mine if parcel.destination_id in stormy and parcel.id not in ended]
    later = {parcel.id: at for parcel in held if (at := _again_at(parcel, lines, heads, now))}
    return Folding(ended, later)


def _may_fold(parcel: Parcel) -> bool:
    if parcel.purpose != Purpose.RUN or not parcel.destination_id or not digest_after(parcel.kind):
        return False
    is_asked = parcel.recipient is not None and parcel.recipient.is_outside and not channel(parcel.kind).pace
    return not is_asked or parcel.settings.get(TAKES_LISTS) is True


def _is_free(parcel: Parcel, now: datetime) -> bool:
    return parcel.free_at is None or parcel.free_at <= now


def _has_line(parcel: Parcel, stormy: Collection[int]) -> bool:
    return bool(channel(parcel.kind).pace) or parcel.destination_id in stormy


def _stormy(destinations: Collection[int], now: datetime) -> set[int]:
    """Addresses for which more than so many deliveries were made within the hour, however they ended."""
    most = settings.RUNBELL_MAIL_DIGEST_AFTER
    if not destinations:
        return set()
    return {pk for (pk,) in _find_stormy(most)(ids=destinations, since=now - HOUR * settings.RUNBELL_TIME_SCALE)}


@lru_cache(maxsize=8)
def _find_stormy(most: int) -> Prepared[tuple[int]]:
    def stormy() -> QuerySet[Destination, tuple[int]]:
        newest = Delivery.objects.filter(destination=OuterRef("pk")).order_by("-pk").values("created_at")
        rows = Destination.objects.filter(pk__in=GivenIds("ids")).annotate(at=Subquery(newest[most : most + 1]))
        return rows.filter(at__gt=Given("since", DateTimeField())).values_list("pk")

    return Prepared(stormy, grows=True)


def _again_at(parcel: Parcel, lines: Mapping[int, Sequence[int]], heads: Mapping[int, Parcel], now: datetime) -> datetime | None:
    """None for a message that is alone in its line, and for one that is in no line because it may have arrived."""
    if parcel.destination_id not in heads:
        return parcel.free_at
    is_cut_off = len(lines.get(parcel.destination_id or 0, ())) != 1 and sum(map(len, lines.values())) >= outbox.LONGEST_LINE
    return now if is_cut_off else None


def _put(digests: Sequence[tuple[Delivery, Sequence[int]]], now: datetime) -> None:
    StoredMessage.objects.bulk_create(digest.message for digest, _ in digests if digest.message)
    Delivery.objects.bulk_create(digest for digest, _ in digests)
    outbox.fold({digest.pk: told for digest, told in digests}, now=now)


def _digests(lines: Mapping[int, Sequence[int]], heads: Mapping[int, Parcel], now: datetime) -> Iterator[tuple[Delivery, list[int]]]:
    """Each with the deliveries it tells, in order of age."""
    runs = _runs([told for line in lines.values() for told in line])
    for destination, line in lines.items():
        most = RUNS[heads[destination].kind]
        for part in (line[start : start + most] for start in range(0, len(line), most)):
            account = runs[part[0]][0]
            facts = DigestFacts(account=account.name, account_id=str(account.pk), runs=tuple(runs[told][1] for told in part))
            yield _digest(account, heads[destination], facts, now), list(part)


def _runs(deliveries: Sequence[int]) -> dict[int, tuple[Account, DigestRun]]:
    rows = Delivery.objects.filter(pk__in=deliveries).select_related("account", "run__job__environment").defer("run__log_end")
    found: dict[int, tuple[Account, DigestRun]] = {}
    for row in rows:
        assert row.run is not None
        job = row.run.job
        told = DigestRun(outcome=Outcome(row.run.outcome), job=job.name, environment=job.environment.name, run_id=str(row.run.pk))
        found[row.pk] = row.account, told
    return found


def _digest(account: Account, head: Parcel, facts: DigestFacts, now: datetime) -> Delivery:
    assert head.reader is not None
    language = head.reader.language
    return Delivery(
        account=account,
        purpose=Purpose.DIGEST,
        destination_id=head.destination_id,
        message=StoredMessage(language=language, body=compose_digest(facts, language).to_json(), created_at=now),
        lane=head.lane,
        because=Because("waited_together", {"n": len(facts.runs)}).to_json(),
        due_at=now,
        created_at=now,
    )
