"""The schema is whole on both databases, and SQLite is set up so that a committed report survives a power cut."""

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.utils import timezone

from runbell.server.db import outbox
from runbell.server.db.models import Account, Destination, Member, Rule, User

NOW = timezone.now()


@pytest.fixture
def destination(db: None) -> Destination:
    account = Account.objects.create(name="Acme", created_at=NOW)
    user = User.objects.create(email="ada@acme.test", created_at=NOW)
    member = Member.objects.create(user=user, account=account, role="account_admin", created_at=NOW)
    return Destination.objects.create(account=account, kind="email", member=member, public_id="a", created_at=NOW, updated_at=NOW)


@pytest.mark.django_db
def test_models_and_migrations_agree() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db
def test_sqlite_is_durable() -> None:
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        pragmas = {name: cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "foreign_keys")}
    assert pragmas == {"synchronous": 2, "foreign_keys": 1}  # 2 is FULL


@pytest.mark.django_db
def test_postgres_compiles_no_query() -> None:
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit_above_cost = 0")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {outbox._NEXT_DUE}")
        (plan,) = cursor.fetchone()
    assert "JIT" not in plan[0]


def test_a_rule_is_for_a_job_or_an_environment_and_never_for_neither(destination: Destination) -> None:
    with pytest.raises(IntegrityError):
        Rule.objects.create(destination=destination, outcome="failed", set_at=NOW)


def test_a_member_has_one_live_email_destination(destination: Destination) -> None:
    with pytest.raises(IntegrityError):
        Destination.objects.create(
            account=destination.account, kind="email", member=destination.member, public_id="b", created_at=NOW, updated_at=NOW
        )


def test_a_secret_is_not_readable_in_the_table(destination: Destination) -> None:
    Destination.objects.filter(pk=destination.pk).update(secret="hunter2 hunter2")
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM runbell_destination")
        stored = cursor.fetchone()[0]
    destination.refresh_from_db()
    assert "hunter2" not in stored
    assert destination.secret == "hunter2 hunter2"
