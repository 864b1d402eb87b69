"""An account of its own for each test, in the served database, with a member in each role and what they do outside the browser."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.test import Client

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Destination, Environment, Job, MailboxItem, Member, Rule, User
from tests.browser.desk import Desk
from tests.e2e.processes import wait_until
from tests.e2e.stage import Server
from tests.server.people import NAMES, PASSWORD, Acme, acme

__all__ = ["NAMES", "PASSWORD", "People"]
_numbers = count(1)

STEPS: dict[Outcome, dict[str, Any]] = {
    Outcome.SUCCEEDED: {"exit_code": 0, "counts": {"passed": 9}},
    Outcome.WARNED: {
        "exit_code": 0,
        "counts": {"passed": 8, "warned": 1},
        "nodes": [
            {"unique_id": "test.shop.paid", "name": "paid", "status": "warn", "message": "Got 12 results, configured to warn if != 0"}
        ],
    },
    Outcome.FAILED: {
        "exit_code": 1,
        "counts": {"passed": 8, "failed": 1},
        "nodes": [
            {"unique_id": "model.shop.orders", "name": "orders", "status": "error", "message": 'Referenced column "amount" not found'}
        ],
    },
    Outcome.CANCELLED: {"exit_code": 130, "signal": 2, "counts": {"passed": 2}},
}


@dataclass
class People:
    """`shop` › `Production` › `nightly`, and one member per role: ada, nina, dana, vera."""

    server: Server
    desk: Desk
    acme: Acme
    domain: str
    members: dict[Role, int] = field(default_factory=dict)  # the ids of their users

    @property
    def account(self) -> int:
        return self.acme.account.pk

    def address(self, who: str) -> str:
        return f"{who}@{self.domain}"

    def path(self, path: str = "") -> str:
        return f"/a/{self.account}/{path}"

    def change(self, role: Role, **fields: str) -> None:
        """Their language, theme or name, as the profile page would."""
        self.desk.do(lambda: User.objects.filter(pk=self.members[role]).update(**fields))

    def promote(self, role: Role) -> None:
        """One account admin more: whoever had this role, and is still called by it here."""
        self.desk.do(lambda: Member.objects.filter(pk=self.acme.members[role].pk).update(role=Role.ACCOUNT_ADMIN))

    def session(self, role: Role) -> str:
        """A session such as signing in makes."""
        return self.desk.do(lambda: _session(self.members[role]))

    def job(self, name: str = "nightly", environment: str = "Production") -> int:
        """Its id, once it has reported or was made here."""
        return self.desk.do(lambda: _job(self.acme, name, environment).pk)

    def choose(self, role: Role, *outcomes: Outcome, job: str = "nightly", environment: str = "Production", every: bool = False) -> None:
        """Rules for the member's own address, for one job or for all of the environment."""
        self.desk.do(lambda: _choose(self.acme, role, outcomes, _job(self.acme, job, environment), every))

    def report(self, outcome: Outcome | None = Outcome.FAILED, job: str = "nightly", environment: str = "Production", **fields: Any) -> int:
        """A run that ended, or with None one that is under way, told over HTTP; returns its id."""
        return self._tell(report(outcome, job, environment, **fields))

    def _tell(self, body: Mapping[str, Any]) -> int:
        self.server.token = self.acme.token
        return int(self.server.call("POST", "/api/runbell/v1/runs", body)["id"])

    def wait_for_mail(self) -> None:
        """Until nothing of this account is on its way."""
        waiting = f"SELECT COUNT(*) FROM runbell_delivery WHERE state IN ('queued', 'sending', 'waiting') AND account_id = {self.account}"
        wait_until(lambda: not self.server.number(waiting), "a mail")

    def external(self, address: str) -> int:
        """An address outside the account, added."""
        return self.desk.do(lambda: _external(self.acme, address).pk)

    def mails(self, who: str | Role) -> list[str]:
        """What came to a member or an address, once nothing is on its way: `nightly failed`, sorted."""
        self.wait_for_mail()
        address = self.address(NAMES[who]) if isinstance(who, Role) else who if "@" in who else self.address(who)
        runs = MailboxItem.objects.filter(account=self.account, recipient=address, delivery__run__isnull=False)
        return self.desk.do(lambda: sorted(map(" ".join, runs.values_list("delivery__run__job__name", "delivery__run__outcome"))))

    def rules(self, role: Role) -> int:
        """How many send mail to the member's own address."""
        return self.desk.do(lambda: Rule.objects.filter(destination__member=self.acme.members[role]).count())


def report(outcome: Outcome | None, job: str, environment: str, *, ago: timedelta = timedelta(minutes=5), **fields: Any) -> dict[str, Any]:
    start = datetime.now(UTC) - ago
    body = {
        "version": 1,
        "key": f"cli:{uuid4()}",
        "state": "finished" if outcome else "started",
        "job": {"project": "shop", "environment": environment, "name": job},
        "started_at": start.isoformat(),
    }
    if outcome:
        body |= {
            "finished_at": (start + timedelta(seconds=95)).isoformat(),
            "steps": [{"index": 1, "command": "dbt build", **STEPS[outcome]}],
        }
    return body | fields


def make_people(server: Server, desk: Desk) -> People:
    domain = f"acme{next(_numbers)}.example"
    made = desk.do(lambda: acme("Acme", domain))
    return People(server, desk, made, domain, {role: member.user_id for role, member in made.members.items()})


def _session(user: int) -> str:
    client = Client()
    client.force_login(User.objects.get(pk=user))
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def _job(shop: Acme, name: str, environment: str) -> Job:
    now = datetime.now(UTC)
    place, _ = Environment.objects.get_or_create(
        account=shop.account, project=shop.job.environment.project, name=environment, defaults={"created_at": now}
    )
    return Job.objects.get_or_create(account=shop.account, environment=place, name=name, defaults={"created_at": now})[0]


def _external(shop: Acme, address: str) -> Destination:
    now = datetime.now(UTC)
    return Destination.objects.create(
        account=shop.account,
        kind="email",
        address=address,
        address_key=address,
        public_id=f"{shop.account.pk}-{address}"[:22],
        created_by=shop.admin,
        created_at=now,
        updated_at=now,
    )


def _choose(shop: Acme, role: Role, outcomes: tuple[Outcome, ...], job: Job, every: bool) -> None:
    member = shop.members[role]
    destination = Destination.objects.filter(account=shop.account, member=member).first() or shop.destination(role)
    scope: dict[str, Any] = {"environment": job.environment} if every else {"job": job}
    for outcome in outcomes:
        Rule.objects.create(destination=destination, outcome=outcome, set_by=shop.members[role], set_at=datetime.now(UTC), **scope)
