"""A prepared query answers as its query set does, call after call."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import DateTimeField, QuerySet
from pytest_django import DjangoAssertNumQueries

from runbell.core.runs import Outcome
from runbell.server.db.models import Job, Member, Project, Rule, State
from runbell.server.db.prepared import Given, GivenIds, Prepared
from tests.server.people import NOW, Acme, acme


def test_models_with_their_related_and_without_the_deferred(shop: Acme, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    rule = shop.rule(shop.destination())
    made = []

    def rules() -> QuerySet[Rule]:
        made.append(1)
        found = Rule.objects.filter(destination=Given("destination"), outcome="failed")
        return found.select_related("destination__member__user", "destination__link", "environment").defer("destination__secret")

    find = Prepared(rules)
    with django_assert_num_queries(2):
        for _ in range(2):
            (found,) = find(destination=rule.destination_id)
            assert found == rule
            assert found.set_at == rule.set_at
            assert found.destination.settings == rule.destination.settings
            assert found.destination.member
            assert found.destination.member.user.email == "ada@acme.test"
            assert (found.environment, found.destination.link) == (None, None)
            assert found.destination.get_deferred_fields() == {"secret"}
    assert find(destination=0) == []
    assert find.first(destination=0) is None
    assert made == [1]


def test_tuples_and_times(shop: Acme) -> None:
    field = DateTimeField()
    find = Prepared(lambda: Member.objects.filter(created_at__lte=Given("at", field)).order_by("pk").values_list("pk", "created_at")[:1])
    (found,) = Member.objects.order_by("pk").values_list("pk", "created_at")[:1]
    assert find(at=NOW + timedelta(days=400)) == [found]
    assert find(at=found[1]) == [found]
    assert find(at=found[1] - timedelta(microseconds=1)) == []


def test_any_number_of_ids(shop: Acme) -> None:
    members = list(Member.objects.order_by("pk").values_list("pk", "role"))
    find = Prepared(lambda: Member.objects.filter(pk__in=GivenIds("ids")).order_by("pk").values_list("pk", "role"))
    assert find(ids={pk for pk, _ in members}) == members
    assert find(ids=[members[0][0]]) == members[:1]
    assert find(ids=[]) == find(ids=[0]) == []


@pytest.mark.parametrize("grows", [True, False])
def test_postgres_keeps_the_plan_of_what_does_not_grow(shop: Acme, django_assert_num_queries: DjangoAssertNumQueries, grows: bool) -> None:
    find = Prepared(lambda: Job.objects.select_related("environment").filter(pk=Given("pk")), grows=grows)
    with django_assert_num_queries(2):
        assert find(pk=shop.job.pk) == find(pk=shop.job.pk) == [shop.job]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%runbell_job%'")
            assert cursor.fetchone() == (0 if grows else 1,)


@pytest.mark.django_db(transaction=True)
def test_a_kept_plan_outlives_neither_its_connection_nor_a_transaction_that_failed() -> None:
    shop = acme()
    find = Prepared(lambda: Job.objects.filter(pk=Given("pk")))
    with transaction.atomic():
        assert find(pk=shop.job.pk) == [shop.job]
        transaction.set_rollback(True)
    assert find(pk=shop.job.pk) == [shop.job]
    if connection.vendor == "postgresql":
        connection.close()  # the database of the others may be in memory
    assert find(pk=shop.job.pk) == [shop.job]


@pytest.mark.parametrize("name", ["it's 100%", "%s", 'a "b"'])
def test_what_stays_the_same_is_part_of_the_sql(shop: Acme, name: str) -> None:
    """Whatever marks it has that SQL or Django could take for their own."""
    Project.objects.update(name=name)
    find = Prepared(lambda: Job.objects.filter(pk=Given("pk"), state=State.ACTIVE, environment__project__name=name))
    asked = []

    def listen(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append(params)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(listen):
        assert find(pk=shop.job.pk) == [shop.job]
        assert find(pk=0) == []
    assert asked == [[shop.job.pk], [0]]


def test_what_many_rows_lead_to_is_made_once(shop: Acme) -> None:
    place = shop.destination()
    shop.rule(place, Outcome.FAILED)
    shop.rule(place, Outcome.WARNED)
    find = Prepared(
        lambda: Rule.objects.filter(destination=Given("destination")).select_related("destination__member__user", "set_by__user")
    )
    first, second = find(destination=place.pk)
    assert first != second
    assert first.destination is second.destination
    assert first.destination.member == first.set_by
    (again, _) = find(destination=place.pk)
    assert again.destination is not first.destination
