"""The account that tests begin with is the one that the services make."""

from typing import Any

import pytest

from runbell.core.permissions import Role
from runbell.server.db.models import Account, AuditEntry, Member, User
from runbell.server.services.members import add_member, create_account
from tests.server.people import NAMES, NOW, PASSWORD, acme


def stored(account: Account) -> list[list[dict[str, Any]]]:
    """Every column but ids and the salted password."""
    rows = (
        Account.objects.filter(pk=account.pk).values(),
        User.objects.filter(memberships__account=account).order_by("email").values(),
        Member.objects.filter(account=account).order_by("user__email").values(),
        AuditEntry.objects.filter(account=account, action="member.add").order_by("pk").values(),
    )
    return [
        [{name: value for name, value in row.items() if not name.endswith("id") and name != "password"} for row in table] for table in rows
    ]


@pytest.mark.django_db
def test_it_is_as_its_people_would_have_come() -> None:
    quick = acme()
    quickly = stored(quick.account)
    assert all(member.user.check_password(PASSWORD) for member in quick.members.values())
    User.objects.all().delete()  # or they would join the second account as themselves
    account = create_account(name="Acme", admin_email="ada@acme.test", password=PASSWORD, now=NOW)
    for role, who in NAMES.items():
        if role is not Role.ACCOUNT_ADMIN:
            add_member(account=account, email=f"{who}@acme.test", role=role, password=PASSWORD, now=NOW)
    assert stored(account) == quickly
