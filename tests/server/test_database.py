"""The schema is whole on both databases, and SQLite is set up so that a committed report survives a power cut."""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection
from django.utils import timezone

from runbell.server.db import outbox
from runbell.server.db.models import Account, Destination, Member, Rule, User
from runbell.server.db.postgres import base as postgres

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


def asked(sql: str, *values: Any) -> Any:
    """By somebody else."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchone()[0]
    finally:
        other.close()


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid: int = cursor.fetchone()[0]
    return pid


@pytest.mark.django_db(transaction=True)
def test_postgres_is_asked_whether_it_is_there_only_after_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        return
    pid, said = backend(), []
    for rest in (postgres.JUST_USED, 0.0):
        monkeypatch.setattr(postgres, "JUST_USED", rest)
        connection.close_if_unusable_or_obsolete()  # as each request begins and ends
        with connection.cursor():
            said.append(asked("SELECT query FROM pg_stat_activity WHERE pid = %s", pid))
    assert said == ["SELECT pg_backend_pid()", "SELECT 1"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_in_flight", [True, False])
def test_a_connection_that_postgres_drops_fails_what_is_in_flight_and_nothing_after(is_in_flight: bool) -> None:
    if connection.vendor != "postgresql":
        return
    pid = backend()
    with connection.cursor() as cursor:
        assert asked("SELECT pg_terminate_backend(%s, 10000)", pid)
        if is_in_flight:
            with pytest.raises(OperationalError):
                cursor.execute("SELECT 2")
    connection.close_if_unusable_or_obsolete()
    assert backend() != pid


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
