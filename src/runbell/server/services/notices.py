"""News for the admins about a destination, told by mail: once for each trouble, never about a notice."""

from collections.abc import Iterable
from datetime import datetime

from runbell.core.because import Because
from runbell.core.permissions import Role
from runbell.messages.facts import Notice, NoticeFacts
from runbell.messages.notices import compose_notice
from runbell.server.db.models import Account, Delivery, Destination, Environment, Job, Member
from runbell.server.db.models.deliveries import Purpose
from runbell.server.services.decisions import address_of
from runbell.server.services.letters import addresses_of, queue


def tell_unsubscribed(destination: Destination, *, job: Job | None, environment: Environment | None, now: datetime) -> None:
    """An external address wants no more mail: of one job, of one environment, or at all."""
    facts = NoticeFacts(
        notice=Notice.EXTERNAL_UNSUBSCRIBED,
        account=destination.account.name,
        account_id=str(destination.account_id),
        address=address_of(destination),
        at=now,
        job=job.name if job else "",
        environment=environment.name if environment else "",
    )
    tell_admins(destination.account, facts, now=now)


def tell_admins(account: Account, facts: NoticeFacts, *, now: datetime, but_not: int | None = None) -> list[Delivery]:
    """`but_not`: the member whose own address is the trouble; they would wait for this mail in vain."""
    admins = Member.objects.filter(account=account, role=Role.ACCOUNT_ADMIN, is_active=True, user__is_active=True)
    return _tell(account, [admin for admin in admins if admin.pk != but_not], facts, Because("is_admin"), now)


def _tell(account: Account, members: Iterable[Member], facts: NoticeFacts, because: Because, now: datetime) -> list[Delivery]:
    destinations = [destination for destination in addresses_of(members, now=now) if not destination.disabled_because]
    return queue(account, destinations, lambda language: compose_notice(facts, language), purpose=Purpose.NOTICE, because=because, now=now)
