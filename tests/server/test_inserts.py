"""Rows stored with the SQL worked out once: what is read back is what `bulk_create` would have stored, on either database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.forms import model_to_dict
from django.test.utils import CaptureQueriesContext

from runbell.core.deliveries import DeliveryState
from runbell.server.db import new_rows
from runbell.server.db.inserts import FEW, insert, row_of
from runbell.server.db.models import Delivery, Run, RunKey
from tests.server.people import Acme

AT = datetime(2026, 11, 24, 2, 12, 4, 123456, tzinfo=UTC)


def deliveries(shop: Acme, count: int) -> list[dict[str, Any]]:
    fields: dict[str, Any] = {
        "account_id": shop.account.pk,
        "purpose": "test",
        "lane": "email",
        "because": {"code": "chosen", "params": {"n": [1, None]}},
    }
    fields |= {"created_at": AT, "payload": b"sealed", "state": DeliveryState.SENT, "settled_at": AT + timedelta(days=1)}
    return [fields | {"due_at": AT + timedelta(seconds=number)} for number in range(count)]


@pytest.mark.parametrize("count", [1, FEW + 1])
def test_what_is_read_back_is_what_bulk_create_stores(shop: Acme, count: int) -> None:
    mine = insert(Delivery, deliveries(shop, count))
    his = [row.pk for row in Delivery.objects.bulk_create(Delivery(**fields) for fields in deliveries(shop, count))]
    assert [*mine, *his] == list(Delivery.objects.order_by("pk").values_list("pk", flat=True))
    one, other = (model_to_dict(Delivery.objects.get(pk=pk)) for pk in (mine[-1], his[-1]))
    assert one == other | {"id": one["id"]}
    assert one["last_because"] is None


@pytest.mark.parametrize("count", [1, FEW + 1])
def test_a_model_as_a_row(shop: Acme, count: int) -> None:
    run = Run(account=shop.account, job=shop.job, state="started", started_at=AT, received_at=AT, log_end='100% "it\'s" \\ – \u2028\n')
    pk = insert(Run, [row_of(run)] * count)[-1]
    stored = Run.objects.get(pk=pk)
    assert model_to_dict(stored) == model_to_dict(run) | {"id": pk}
    assert (stored.not_told, stored.late_end, stored.started_at) == ({}, None, AT)


def test_many_rows_take_few_statements_and_know_their_ids(shop: Acme) -> None:
    rows = deliveries(shop, 600)
    with CaptureQueriesContext(connection) as queries:
        ids = insert(Delivery, rows)
    assert len(queries) <= 600 // 45 + 1
    assert dict(zip(ids, (row["due_at"] for row in rows), strict=True)) == dict(Delivery.objects.values_list("pk", "due_at"))


def test_nothing_takes_no_statement(shop: Acme) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert insert(Run, []) == []
    assert not queries.captured_queries


def test_a_row_that_is_there_already_is_refused(shop: Acme) -> None:
    run = Run(account=shop.account, job=shop.job, state="started", started_at=AT, received_at=AT)
    [pk] = insert(Run, [row_of(run)])
    key = new_rows.RunKey(account_id=shop.account.pk, key="once", run_id=pk)
    insert(RunKey, [key])
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(RunKey, [key])
