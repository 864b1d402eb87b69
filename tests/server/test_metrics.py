"""Figures for Prometheus: what they say, and whom."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from runbell.server.db.models import Delivery
from runbell.server.services.metrics import metrics
from tests.server.people import Acme
from tests.server.test_pages import make_run

LOCAL: Any = {"SERVER_NAME": "localhost", "REMOTE_ADDR": "127.0.0.1"}


def queue(shop: Acme, lane: str, count: int = 1, **fields: Any) -> None:
    now = timezone.now()
    fields = {"purpose": "test", "due_at": now, "created_at": now} | fields
    Delivery.objects.bulk_create(Delivery(account=shop.account, lane=lane, **fields) for _ in range(count))


def figures() -> dict[str, dict[str, float]]:
    return {metric.name: dict(metric.samples) for metric in metrics(now=timezone.now())}


def test_each_lane_tells_depth_age_and_whether_it_is_down(shop: Acme) -> None:
    long_ago = timezone.now() - timedelta(minutes=10)
    queue(
        shop,
        "email",
        3,
        state="waiting",
        created_at=long_ago,
        due_at=timezone.now() + timedelta(hours=1),
        last_because={"code": "smtp_unreachable"},
    )
    queue(shop, "slack:7", 2, due_at=long_ago)
    queue(shop, "email", state="sent")
    found = figures()
    assert found["runbell_queue_deliveries"] == {"email": 3, "slack:7": 2}
    assert found["runbell_queue_oldest_seconds"]["email"] >= 600
    assert found["runbell_queue_late_seconds"]["slack:7"] >= 600
    assert found["runbell_queue_late_seconds"]["email"] == 0
    assert found["runbell_lane_paused"] == {"email": 1, "slack:7": 0}


def test_the_last_hour_is_told_by_state_and_outcome(shop: Acme) -> None:
    old = timezone.now() - timedelta(hours=2)
    queue(shop, "email", 4, state="sent", created_at=old)
    queue(shop, "email", 2, state="sent")
    queue(shop, "email", state="dead")
    make_run(shop, "failed", ago=0.5)
    make_run(shop, "", ago=0.4)
    found = figures()
    assert found["runbell_deliveries_last_hour"] == {"sent": 2, "dead": 1}
    assert found["runbell_runs_last_hour"] == {"failed": 1, "running": 1}


@pytest.mark.parametrize("count", [1, 50])
def test_statements_do_not_grow(shop: Acme, count: int) -> None:
    for lane in range(count):
        queue(shop, f"slack:{lane}")
    with CaptureQueriesContext(connection) as queries:
        figures()
    assert len(queries) == 6 + (connection.vendor == "postgresql")


def test_the_text_is_of_prometheus_and_names_nobody(shop: Acme, client: Client) -> None:
    queue(shop, "slack:7", 2)
    answer = client.get("/metrics", **LOCAL)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    text = answer.content.decode()
    assert '# TYPE runbell_queue_deliveries gauge\nrunbell_queue_deliveries{lane="slack:7"} 2\n' in text
    assert "acme" not in text.lower()


@pytest.mark.parametrize(
    "asked",
    [
        {"SERVER_NAME": "localhost", "REMOTE_ADDR": "192.0.2.7"},
        {"SERVER_NAME": "runbell.acme.example", "REMOTE_ADDR": "127.0.0.1"},
        {**LOCAL, "HTTP_X_FORWARDED_FOR": "192.0.2.7"},
        {**LOCAL, "HTTP_FORWARDED": "for=192.0.2.7"},
    ],
)
def test_without_a_token_only_this_machine_is_told(db: None, client: Client, settings: Settings, asked: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    assert client.get("/metrics", **asked).status_code == 404


@pytest.mark.parametrize(("sent", "status"), [("Bearer s3cret", 200), ("Bearer s3cre", 404), ("", 404), ("Bearer ключ", 404)])
def test_with_a_token_whoever_has_it_is_told(db: None, client: Client, settings: Settings, sent: str, status: int) -> None:
    settings.RUNBELL_METRICS_TOKEN = "s3cret"
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.7", HTTP_AUTHORIZATION=sent).status_code == status
