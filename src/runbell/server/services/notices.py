"""News of trouble, told by mail to those who can do something: once for each trouble, never about a notice.

Who has the trouble cannot be reached by mail; the pages tell them. `services/bounces.py` knows when a trouble begins and ends.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from runbell.core.because import Because
from runbell.core.deliveries import PENDING
from runbell.core.permissions import Role
from runbell.messages.facts import Notice, NoticeFacts
from runbell.messages.notices import compose_notice
from runbell.server.db.models import Account, DbtPlatform, Delivery, Destination, Environment, Job, Member, Run
from runbell.server.db.models.deliveries import Purpose
from runbell.server.services.decisions import address_of
from runbell.server.services.letters import addresses_of, queue

OUTAGE = "outage"


def tell_unsubscribed(destination: Destination, *, job: Job | None, environment: Environment | None, now: datetime) -> None:
    """An external address wants no more mail: of one job, of one environment, or at all."""
    account = destination.account
    facts = _facts(Notice.EXTERNAL_UNSUBSCRIBED, account, address=address_of(destination), at=now)
    facts = replace(facts, job=job.name if job else "", environment=environment.name if environment else "")
    _tell(account, _admins(account), facts, Because("is_admin"), now)


def tell_trouble(destination: Destination, delivery_id: int, *, now: datetime) -> None:
    """A message to the destination was given up, or nothing more is sent to it. For an external one, who set its rules is told too; of a Slack
    channel, who owns its configuration.
    """
    delivery = Delivery.objects.select_related("run__job__environment").defer("run__log_end").get(pk=delivery_id)
    account, run, refused = destination.account, delivery.run, destination.disabled_because
    because = refused or delivery.last_because
    facts = replace(
        _facts(Notice.ADDRESS_REFUSED if refused else Notice.DELIVERY_DIED, account, address=address_of(destination), at=now),
        because=Because.from_json(because) if because else None,
        job=run.job.name if run else "",
        environment=run.job.environment.name if run else "",
        run_id=str(run.pk) if run else "",
        tries=delivery.attempts,
    )
    if destination.link:
        _tell(account, [destination.link.member], facts, Because("owns_channel"), now, run)
        return
    admins = [admin for admin in _admins(account) if admin.pk != destination.member_id]
    _tell(account, admins, facts, Because("is_admin"), now, run)
    if destination.member_id is None:
        told = {admin.pk for admin in admins}
        setters = Member.objects.filter(pk__in=destination.rules.values("set_by"), is_active=True, user__is_active=True)
        _tell(account, [member for member in setters if member.pk not in told], facts, Because("set_rules"), now, run)


def tell_slack_stopped(member: Member, workspace: str, channels: Sequence[str], because: Because, *, now: datetime) -> None:
    """A link broke, or ended without its owner's doing, and these Slack channels are silent."""
    if member.is_active and member.user.is_active:
        facts = _facts(Notice.SLACK_STOPPED, member.account, address=workspace, at=now)
        _tell(member.account, [member], replace(facts, because=because, channels=tuple(channels)), Because("linked_slack"), now)


def tell_dbt_stopped(platform: DbtPlatform, because: Because, *, now: datetime) -> None:
    """Its token is good for nothing any more. Who set it last is told; if that person left, the admins."""
    account, owner = platform.account, platform.updated_by
    is_here = owner is not None and owner.is_active and owner.user.is_active
    facts = _facts(Notice.DBT_STOPPED, account, address=f"dbt platform {platform.external_id}", at=now)
    _tell(account, [owner] if owner and is_here else _admins(account), replace(facts, because=because), Because("connected_dbt"), now)


def tell_outage(account: Account, because: Because | None, *, now: datetime) -> None:
    """Messages were given up because the mail server was down all the time. One notice, which waits until the server is back."""
    waiting = Delivery.objects.filter(account=account, purpose=Purpose.NOTICE, because__params__about=OUTAGE, state__in=PENDING)
    if not waiting.exists():
        facts = replace(_facts(Notice.OUTAGE, account, address="", at=now), because=because)
        _tell(account, _admins(account), facts, Because("is_admin", {"about": OUTAGE}), now)


def tell_taken_over(destination: Destination, owner: Member, by: Member, *, now: datetime) -> None:
    """Another admin saved the Slack channel; `owner` had it before."""
    if owner.is_active and owner.user.is_active and owner.pk != by.pk:
        facts = _facts(Notice.CHANNEL_TAKEN_OVER, by.account, address=address_of(destination), at=now)
        _tell(by.account, [owner], replace(facts, by=by.user.name or by.user.email), Because("owned_channel"), now)


def _facts(notice: Notice, account: Account, *, address: str, at: datetime) -> NoticeFacts:
    return NoticeFacts(notice=notice, account=account.name, account_id=str(account.pk), address=address, at=at)


def _admins(account: Account) -> list[Member]:
    return list(Member.objects.filter(account=account, role=Role.ACCOUNT_ADMIN, is_active=True, user__is_active=True))


def _tell(account: Account, members: list[Member], facts: NoticeFacts, because: Because, now: datetime, run: Run | None = None) -> None:
    """An address that is switched off would only make a line in the delivery log."""
    if not members:
        return
    destinations = [destination for destination in addresses_of(members, now=now) if not destination.disabled_because]
    queue(
        account,
        destinations,
        lambda language: compose_notice(facts, language),
        purpose=Purpose.NOTICE,
        because=because,
        now=now,
        run=run,
    )
