"""Accounts of the dbt platform that tell of runs: connected, changed, removed. Their secrets go in and never come out."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q

from runbell.channels.dbt_api import TIMEOUT, DbtApi
from runbell.channels.guard import Guard
from runbell.core.dbt_runs import MAX_ID
from runbell.core.fields import CONTROL, BadField
from runbell.core.permissions import Action
from runbell.server.db import bell
from runbell.server.db.models import Account, DbtPlatform, DbtRun, Environment, Job, Member, State
from runbell.server.services import audit
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.rules import live_rules

LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_SECRET = 500
MAX_URL = 300


class AlreadyConnected(BadField):
    """The account has this account of the dbt platform."""

    def __init__(self) -> None:
        super().__init__("external_id", "is connected already")


def platform_for(actor: Actor, platform_id: int) -> DbtPlatform:
    platform = DbtPlatform.objects.filter(account=actor.account_id, pk=platform_id, removed_at=None).first()
    if platform is None:
        raise NotThere
    actor.require(Action.CONNECT_DBT)
    return platform


def list_platforms(actor: Actor) -> list[DbtPlatform]:
    actor.require(Action.CONNECT_DBT)
    return list(DbtPlatform.objects.filter(account=actor.account_id, removed_at=None).order_by("url", "external_id"))


@dataclass(frozen=True, slots=True)
class Silenced:
    """What a removal makes silent: jobs that come from there, and how many recipients hear of any of them."""

    jobs: int
    recipients: int


def silenced(platform: DbtPlatform) -> Silenced:
    mine = {"account": platform.account_id, "integration": integration_of(platform), "state": State.ACTIVE}
    jobs, environments = Job.objects.filter(**mine), Environment.objects.filter(**mine)
    rules = live_rules().filter(Q(job__in=jobs) | Q(environment__in=environments), destination__state=State.ACTIVE)
    return Silenced(jobs.filter(hidden_at=None).count(), rules.aggregate(n=Count("destination", distinct=True))["n"])


def host_of(platform: DbtPlatform) -> str:
    return urlsplit(platform.url).netloc


def label_of(platform: DbtPlatform) -> str:
    return f"{host_of(platform)} · {platform.external_id}"


def integration_of(platform: DbtPlatform) -> str:
    """What its projects, environments and jobs are known by, beside their id there."""
    return f"dbt:{platform.pk}"


def api_of(platform: DbtPlatform, timeout: float = TIMEOUT) -> DbtApi:
    guard = Guard(allows_private=settings.RUNBELL_PRIVATE_HOSTS)
    return DbtApi(platform.url, platform.external_id, platform.token, guard=guard, timeout=timeout)


def system_actor(account: Account) -> Actor:
    """Who records what the platform tells: nobody's hand, so no member that could leave. It is never stored."""
    return Actor(Member(account=account, role="account_admin"))


@transaction.atomic
def connect(actor: Actor, *, host: str, external_id: str, token: str, webhook_secret: str, now: datetime) -> DbtPlatform:
    """One that was removed comes back, with its jobs. Only runs that end from now on are told of. Raises `NotAllowed`, `BadField`."""
    actor.require(Action.CONNECT_DBT)
    url, external_id, token = read_url(host), read_account(external_id), read_secret("token", token)
    if not token:
        raise BadField("token", "is required")
    known = DbtPlatform.objects.select_for_update().filter(account=actor.account_id, url=url, external_id=external_id).first()
    if known and known.removed_at is None:
        raise AlreadyConnected
    platform = known or DbtPlatform(account_id=actor.account_id, url=url, external_id=external_id)
    platform.token, platform.webhook_secret = token, read_secret("webhook_secret", webhook_secret)
    platform.created_at = platform.updated_at = platform.poll_at = platform.polled_to = now
    platform.updated_by, platform.removed_at = actor.member, None
    _forget_trouble(platform)
    platform.heard_at = platform.heard_because = platform.mirrored_at = None
    platform.save()
    _record(platform, actor, "dbt.connect", now, said=["token", *(["webhook_secret"] if webhook_secret else [])])
    transaction.on_commit(bell.ring)
    return platform


@transaction.atomic
def change(actor: Actor, platform_id: int, *, token: str, webhook_secret: str, now: datetime) -> DbtPlatform:
    """An empty secret stays as it is. Raises `NotThere`, `NotAllowed`, `BadField`."""
    platform_for(actor, platform_id)
    platform = DbtPlatform.objects.select_for_update().get(pk=platform_id)
    given = {"token": read_secret("token", token), "webhook_secret": read_secret("webhook_secret", webhook_secret)}
    said = [name for name, value in given.items() if value]
    for name in said:
        setattr(platform, name, given[name])
    platform.updated_by, platform.updated_at = actor.member, now
    if given["token"]:
        _forget_trouble(platform)
        platform.poll_at = now
    platform.save()
    if said:
        _record(platform, actor, "dbt.change", now, said=said)
        transaction.on_commit(bell.ring)
    return platform


@transaction.atomic
def remove(actor: Actor, platform_id: int, *, now: datetime) -> DbtPlatform:
    """Its secrets are forgotten at once. Projects, jobs, runs and rules stay; what was not told yet is not told any more."""
    platform_for(actor, platform_id)
    platform = DbtPlatform.objects.select_for_update().get(pk=platform_id)
    platform.token = platform.webhook_secret = ""
    platform.removed_at, platform.poll_at = now, None
    platform.save()
    DbtRun.objects.filter(platform=platform).update(due_at=None)
    _record(platform, actor, "dbt.remove", now, said=[])
    return platform


def _forget_trouble(platform: DbtPlatform) -> None:
    platform.broken_because = platform.broken_at = platform.held_until = platform.checked_at = None
    platform.failures, platform.checked = 0, []


def _record(platform: DbtPlatform, actor: Actor, action: audit.Action, now: datetime, *, said: list[str]) -> None:
    after = {"secrets_set": said} if said else {}
    audit.record(account=actor.member.account, actor=actor, action=action, subject=label_of(platform), now=now, after=after)


def read_url(raw: str) -> str:
    """`cloud.getdbt.com`, `https://ab123.us1.dbt.com/`. Without TLS only this machine, for trying."""
    text = raw.strip()
    parts = urlsplit(text if "://" in text else f"https://{text}")
    try:
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        host, port = "", None
    is_plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username or parts.password)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    if not host or " " in text or CONTROL.search(text) or not is_plain or not is_safe or len(text) > MAX_URL:
        raise BadField("host", "must be a host such as cloud.getdbt.com or ab123.us1.dbt.com")
    netloc = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{netloc}" + (f":{port}" if port else "")


def read_account(raw: str) -> str:
    text = raw.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_ID):
        raise BadField("external_id", "must be the digits of an account id")
    return text.lstrip("0") or "0"


def read_secret(name: str, raw: str) -> str:
    value = raw.strip()
    if len(value) > MAX_SECRET or CONTROL.search(value) or " " in value or not value.isascii():
        raise BadField(name, f"must be one word of at most {MAX_SECRET} characters")
    return value
