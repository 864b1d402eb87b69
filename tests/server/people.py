"""An account with one member in each role, and what belongs to it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.hashers import make_password

from runbell.core.permissions import Permission, Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Account, AuditEntry, Destination, Environment, Job, Member, Project, Rule, User
from runbell.server.services import audit
from runbell.server.services.tokens import create_token

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
PASSWORD = "correct horse battery"
HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""A good hasher costs 100 ms a person; that it is good is Django's matter."""


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


NAMES = {Role.ACCOUNT_ADMIN: "ada", Role.NOTIFICATION_MANAGER: "nina", Role.DEVELOPER: "dana", Role.VIEWER: "vera"}


def acme(name: str = "Acme", domain: str = "acme.test") -> Acme:
    """What `create_account` and `add_member` store, by a tenth of their statements: nearly every test begins with it.

    test_people.py holds that it is the same.
    """
    account = Account.objects.create(name=name, created_at=NOW)
    password = make_password(PASSWORD)
    users = User.objects.bulk_create(User(email=f"{who}@{domain}", password=password, created_at=NOW) for who in NAMES.values())
    members = Member.objects.bulk_create(
        Member(account=account, user=user, role=role.value, created_at=NOW) for role, user in zip(NAMES, users, strict=True)
    )
    AuditEntry.objects.bulk_create(
        audit.entry(account=account, actor=None, action="member.add", subject=member.user.email, now=NOW, after={"role": member.role})
        for member in members
    )
    project = Project.objects.create(account=account, name="shop", created_at=NOW)
    environment = Environment.objects.create(account=account, project=project, name="Production", created_at=NOW)
    job = Job.objects.create(account=account, environment=environment, name="nightly", created_at=NOW)
    token = create_token(member=members[0], name="ci", permissions=list(Permission), now=NOW)
    return Acme(account, dict(zip(NAMES, members, strict=True)), job, token)
