"""Rows stored with the SQL worked out once: what is read back is what `bulk_create` would have stored, on either database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.forms import model_to_dict
from django.test.utils import CaptureQueriesContext

from runbell.core.deliveries import DeliveryState
from runbell.server.db.inserts import insert
from runbell.server.db.models import Delivery, Run, RunKey
from tests.server.people import Acme

AT = datetime(2026, 11, 24, 2, 12, 4, 123456, tzinfo=UTC)


def deliveries(shop: Acme, count: int) -> list[Delivery]:
    fields: dict[str, Any] = {"purpose": "test", "lane": "email", "because": {"code": "chosen", "params": {"n": [1, None]}}}
    fields |= {"created_at": AT, "payload": b"sealed", "state": DeliveryState.SENT, "settled_at": AT + timedelta(days=1)}
    return [Delivery(account=shop.account, due_at=AT + timedelta(seconds=number), **fields) for number in range(count)]


def test_what_is_read_back_is_what_bulk_create_stores(shop: Acme) -> None:
    insert(mine := deliveries(shop, 1))
    his = Delivery.objects.bulk_create(deliveries(shop, 1))
    assert [row.pk for row in (*mine, *his)] == list(Delivery.objects.order_by("pk").values_list("pk", flat=True))
    one, other = (model_to_dict(Delivery.objects.get(pk=rows[0].pk)) for rows in (mine, his))
    assert one == other | {"id": one["id"]}
    assert one["last_because"] is None
    assert not mine[0]._state.adding


def test_many_rows_take_few_statements_and_know_their_ids(shop: Acme) -> None:
    rows = deliveries(shop, 600)
    with CaptureQueriesContext(connection) as queries:
        insert(rows)
    assert len(queries) <= 600 // 45 + 1
    assert {row.pk: row.due_at for row in rows} == dict(Delivery.objects.values_list("pk", "due_at"))


def test_nothing_takes_no_statement(shop: Acme) -> None:
    with CaptureQueriesContext(connection) as queries:
        insert([])
    assert not queries.captured_queries


def test_a_row_that_is_there_already_is_refused(shop: Acme) -> None:
    insert([run := Run(account=shop.account, job=shop.job, state="started", started_at=AT, received_at=AT)])
    insert([RunKey(account=shop.account, key="once", run=run)])
    with pytest.raises(IntegrityError), transaction.atomic():
        insert([RunKey(account=shop.account, key="once", run=run)])
