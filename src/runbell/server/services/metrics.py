"""Figures for Prometheus, read from the database: the same from every process, and nothing to lose at a restart.

The text format is a few lines (https://prometheus.io/docs/instrumenting/exposition_formats/); a library would bring a registry that only
counts within its own process. Lanes are named by kind and number; no address, job or account is told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Model, Q

from runbell.server.db import outbox
from runbell.server.db.models import Delivery, Run
from runbell.server.services.readiness import WAYS_DOWN, has_worker

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Metric:
    """`samples`: by the value of the one label, or of none under an empty string."""

    name: str
    help: str
    samples: Mapping[str, float]
    label: str = ""


def metrics(*, now: datetime) -> list[Metric]:
    """Six statements, over what is pending and over the last hour."""
    pending = Delivery.objects.extra(where=[outbox.PENDING_SQL]).order_by()  # noqa: S610  a literal, so that SQLite uses the index
    is_stuck = Q(state="waiting", last_because__code__in=WAYS_DOWN)
    lanes = list(pending.values_list("lane").annotate(n=Count("pk"), oldest=Min("created_at"), stuck=Count("pk", filter=is_stuck)))
    due = {lane: min(heads.values()) for lane, heads in outbox.next_due().items() if lane != outbox.LOST_RUNS}
    return [
        Metric("runbell_worker_up", "1 while a worker listens.", {"": float(has_worker())}),
        Metric("runbell_queue_deliveries", "Deliveries on their way or waiting.", {lane: n for lane, n, *_ in lanes}, "lane"),
        Metric("runbell_queue_oldest_seconds", "Age of the oldest of them.", _ages({lane: at for lane, _, at, _ in lanes}, now), "lane"),
        Metric("runbell_queue_late_seconds", "How long something has been due and not taken.", _ages(due, now), "lane"),
        Metric(
            "runbell_lane_paused",
            "1 while messages wait because the way out is down.",
            {row[0]: float(row[3] > 0) for row in lanes},
            "lane",
        ),
        Metric(
            "runbell_deliveries_last_hour",
            "Deliveries made within the last hour, by their state now.",
            _lately(Delivery, "created_at", "state", now),
            "state",
        ),
        Metric(
            "runbell_runs_last_hour",
            "Runs told by accepted reports within the last hour, by outcome; running without one.",
            _lately(Run, "received_at", "outcome", now),
            "outcome",
        ),
    ]


def _ages(moments: Mapping[str, datetime], now: datetime) -> dict[str, float]:
    return {lane: max((now - at).total_seconds(), 0.0) for lane, at in moments.items()}


def _lately(model: type[Model], since: str, by: str, now: datetime) -> dict[str, float]:
    """Ids rise with time: from the newest back to the first that is too old, and no further."""
    rows = model._default_manager.order_by("-pk")
    last = rows.filter(**{f"{since}__lte": now - HOUR}).values_list("pk", flat=True).first() or 0
    found = rows.filter(pk__gt=last).order_by().values_list(by).annotate(n=Count("pk"))
    return {word or "running": float(n) for word, n in found}


def as_text(found: Iterable[Metric]) -> str:
    return "".join(f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} gauge\n{_samples(metric)}" for metric in found)


def _samples(metric: Metric) -> str:
    return "".join(f"{metric.name}{_label(metric.label, value)} {number:g}\n" for value, number in sorted(metric.samples.items()))


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{{{name}="{escaped}"}}' if name else ""
