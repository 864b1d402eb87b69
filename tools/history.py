"""A month of runs for the pictures, told to the demo's server as its jobs would have told them. The same on every call, but for the dates."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

RUNS = 30
STEPS: dict[str, dict[str, Any]] = {
    "s": {"exit_code": 0, "counts": {"passed": 214}},
    "w": {
        "exit_code": 0,
        "counts": {"passed": 212, "warned": 2},
        "nodes": [
            {
                "unique_id": "test.shop.paid",
                "name": "orders_are_paid",
                "status": "warn",
                "message": "Got 12 results, configured to warn if != 0",
            }
        ],
    },
    "f": {
        "exit_code": 1,
        "counts": {"passed": 187, "failed": 1, "skipped": 26},
        "nodes": [
            {
                "unique_id": "model.shop.stg_payments",
                "name": "stg_payments",
                "resource_type": "model",
                "status": "error",
                "message": 'Binder Error: Referenced column "amount_minor" not found in FROM clause!',
            }
        ],
    },
    "c": {"exit_code": 130, "signal": 2, "counts": {"passed": 41}},
}


@dataclass(frozen=True)
class Past:
    """`odd`: the runs, from the latest, that did not succeed."""

    name: str
    environment: str
    every: timedelta
    minutes: float
    odd: dict[int, str]


DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PASTS = (
    Past("nightly", "Production", DAY, 21, {9: "w", 17: "f"}),
    Past("hourly payments", "Production", HOUR, 4, {4: "w", 11: "w", 12: "w", 23: "f"}),
    Past("weekly revenue", "Production", 2 * DAY, 33, {8: "f", 9: "f"}),
    Past("basket backfill", "Production", DAY, 55, {3: "c", 14: "c"}),
    Past("customer 360", "Production", 6 * HOUR, 12, {}),
    Past("marketing attribution", "Production", 12 * HOUR, 18, {0: "w", 1: "w", 7: "f"}),
    Past("inventory snapshot", "Production", HOUR, 2, {20: "f"}),
    Past("search index export", "Production", 3 * HOUR, 7, {}),
    Past("ledger close", "Finance", DAY, 41, {0: "f", 1: "f", 2: "f"}),
    Past("invoices", "Finance", 6 * HOUR, 9, {13: "w"}),
    Past("pull requests", "Staging", 2 * HOUR, 6, {1: "c", 5: "f", 6: "f", 15: "c"}),
)


def reports(now: datetime) -> Iterator[dict[str, Any]]:
    """Oldest first, as they would have come."""
    told = [_report(past, number, now) for past in PASTS for number in range(RUNS)]
    yield from sorted(told, key=lambda report: str(report["started_at"]))
    yield {
        "key": "history:running",
        "state": "started",
        "job": _job("ML features daily", "Production"),
        "started_at": (now - timedelta(minutes=8)).isoformat(),
    }


def _report(past: Past, number: int, now: datetime) -> dict[str, Any]:
    start = now - past.every * (number + 0.4)
    chance = Random(f"{past.name} {number}")
    word = past.odd.get(number, "s")
    took = timedelta(minutes=past.minutes * (chance.uniform(0.2, 0.7) if word in "fc" else chance.uniform(0.85, 1.25)))
    return {
        "key": f"history:{past.name}:{number}",
        "state": "finished",
        "job": _job(past.name, past.environment),
        "started_at": start.isoformat(),
        "finished_at": (start + took).isoformat(),
        "trigger": {"cause": "schedule", "category": "scheduled"},
        "git": {"branch": "main", "sha": "8c1f2ab"},
        "steps": [
            {"index": 1, "command": "dbt build", "started_at": start.isoformat(), "finished_at": (start + took).isoformat(), **STEPS[word]}
        ],
    }


def _job(name: str, environment: str) -> dict[str, str]:
    return {"project": "shop", "environment": environment, "name": name}


def at_the_latest() -> datetime:
    """Before the demo's own runs."""
    return datetime.now(UTC) - timedelta(minutes=10)
