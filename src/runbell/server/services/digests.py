"""Digests: when more runs wait for one destination than its channel takes one by one, they are told together, each of them by name.

All of it happens inside the turn of the worker: the digest stands in the outbox and what it tells has ended, or neither.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from django.conf import settings

from runbell.core.because import Because
from runbell.core.runs import Outcome
from runbell.messages.compose import DigestFacts, DigestRun, compose_digest
from runbell.server.db import outbox
from runbell.server.db.models import Account, Delivery
from runbell.server.db.models import Message as StoredMessage
from runbell.server.db.models.deliveries import Purpose
from runbell.server.services.parcels import Parcel

RUNS = 30
"""In one message at most: as many as Slack takes with their links. More make several messages."""


def digest_after(kind: str) -> int:
    """How many may wait for one destination of a kind and still be told one by one; 0: any number."""
    return {"slack": settings.RUNBELL_SLACK_DIGEST_AFTER, "slack_webhook": settings.RUNBELL_SLACK_DIGEST_AFTER}.get(kind, 0)


def fold(parcels: Sequence[Parcel], *, now: datetime) -> set[int]:
    """Puts digests into the outbox for what waits too long in line, and returns which of the parcels have ended by that.

    Only where something could go out now: until then more may come that can be told with it. Five statements, one where no line is long,
    none where no channel has digests.
    """
    heads = {parcel.destination_id: parcel for parcel in parcels if parcel.destination_id and _may_fold(parcel, now)}
    if not heads:
        return set()
    lines = outbox.lines({head.lane for head in heads.values()}, list(heads), parcels[0].claim)
    long = {destination: line for destination, line in lines.items() if len(line) > digest_after(heads[destination].kind)}
    if not long:
        return set()
    digests = list(_digests(long, heads, now))
    StoredMessage.objects.bulk_create(digest.message for digest, _ in digests if digest.message)
    Delivery.objects.bulk_create(digest for digest, _ in digests)
    outbox.fold({digest.pk: told for digest, told in digests}, now=now)
    return {told for line in long.values() for told in line}


def _may_fold(parcel: Parcel, now: datetime) -> bool:
    is_free = parcel.free_at is None or parcel.free_at <= now
    return is_free and parcel.purpose == Purpose.RUN and digest_after(parcel.kind) > 0


def _digests(lines: Mapping[int, Sequence[int]], heads: Mapping[int, Parcel], now: datetime) -> Iterator[tuple[Delivery, list[int]]]:
    """Each with the deliveries it tells, in order of age."""
    runs = _runs([told for line in lines.values() for told in line])
    for destination, line in lines.items():
        for part in (line[start : start + RUNS] for start in range(0, len(line), RUNS)):
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
