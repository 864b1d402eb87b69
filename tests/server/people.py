"""An account with one member in each role, and what belongs to it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from runbell.core.permissions import Permission, Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Account, Destination, Environment, Job, Member, Project, Rule
from runbell.server.services.members import add_member, create_account
from runbell.server.services.tokens import create_token

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
PASSWORD = "correct horse battery"


@dataclass
class Acme:
    """`shop` › `Production` › `nightly`, and a token that may do everything its member may."""

    account: Account
    members: dict[Role, Member]
    job: Job
    token: str
    _made: int = field(default=0)

    @property
    def admin(self) -> Member:
        return self.members[Role.ACCOUNT_ADMIN]

    def destination(self, role: Role = Role.ACCOUNT_ADMIN) -> Destination:
        self._made += 1
        return Destination.objects.create(
            account=self.account,
            kind="email",
            member=self.members[role],
            public_id=f"acct{self.account.pk:08}x{self._made:08}",
            created_at=NOW,
            updated_at=NOW,
        )

    def rule(self, destination: Destination, outcome: Outcome = Outcome.FAILED, *, environment: bool = False) -> Rule:
        scope: dict[str, Any] = {"environment": self.job.environment} if environment else {"job": self.job}
        return Rule.objects.create(destination=destination, outcome=outcome, set_by=self.admin, set_at=NOW, **scope)


def acme(name: str = "Acme", domain: str = "acme.test") -> Acme:
    account = create_account(name=name, admin_email=f"ada@{domain}", password=PASSWORD, now=NOW)
    people = {Role.NOTIFICATION_MANAGER: "nina", Role.DEVELOPER: "dana", Role.VIEWER: "vera"}
    members = {
        role: add_member(account=account, email=f"{who}@{domain}", role=role, password=PASSWORD, now=NOW) for role, who in people.items()
    }
    members[Role.ACCOUNT_ADMIN] = Member.objects.get(account=account, role=Role.ACCOUNT_ADMIN)
    project = Project.objects.create(account=account, name="shop", created_at=NOW)
    environment = Environment.objects.create(account=account, project=project, name="Production", created_at=NOW)
    job = Job.objects.create(account=account, environment=environment, name="nightly", created_at=NOW)
    token = create_token(member=members[Role.ACCOUNT_ADMIN], name="ci", permissions=list(Permission), now=NOW)
    return Acme(account, members, job, token)
