"""Mail about no run's end, such as notices and tests, put into the outbox like every other."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from runbell.core.because import Because
from runbell.messages.message import Message
from runbell.server.db import bell
from runbell.server.db.models import Account, Delivery, Destination, Member, Run, State
from runbell.server.db.models import Message as StoredMessage
from runbell.server.db.models.deliveries import Purpose
from runbell.server.services.decisions import lane_of, language_of

EMAIL = "email"


def addresses_of(members: Iterable[Member], *, now: datetime) -> list[Destination]:
    """The e-mail destination of each member of one account, made where nobody has set anything for them yet.

    Such a one has no creator and no rule; whoever sets notifications for the member later finds it and goes on from there.
    """
    wanted = {member.pk: member for member in members}
    known = set(_live(wanted).values_list("member", flat=True))
    Destination.objects.bulk_create(
        (
            Destination(
                account_id=member.account_id,
                kind=EMAIL,
                member=member,
                public_id=secrets.token_urlsafe(16),
                created_at=now,
                updated_at=now,
            )
            for pk, member in sorted(wanted.items())
            if pk not in known
        ),
        ignore_conflicts=True,
    )
    return list(_live(wanted).select_related("account", "member__user").order_by("pk"))


def _live(members: Iterable[int]) -> QuerySet[Destination]:
    return Destination.objects.filter(member__in=list(members), kind=EMAIL, state=State.ACTIVE)


def queue(
    account: Account,
    destinations: Sequence[Destination],
    compose: Callable[[str], Message],
    *,
    purpose: Purpose,
    because: Because,
    now: datetime,
    run: Run | None = None,
) -> list[Delivery]:
    """One message per language, one delivery per destination, in the caller's transaction. `run`: the one it tells about."""
    languages = {destination.pk: language_of(destination, account) for destination in destinations}
    by_language = {
        language: StoredMessage.objects.create(language=language, body=compose(language).to_json(), created_at=now)
        for language in sorted(set(languages.values()))
    }
    deliveries = [
        Delivery(
            account=account,
            purpose=purpose,
            run=run,
            destination=destination,
            message=by_language[languages[destination.pk]],
            lane=lane_of(destination),
            because=because.to_json(),
            due_at=now,
            created_at=now,
        )
        for destination in destinations
    ]
    if deliveries:
        Delivery.objects.bulk_create(deliveries)
        transaction.on_commit(bell.ring)
    return deliveries
