"""A believable run of each kind: previews, golden files and the documentation show the same ones."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from runbell.core.because import Because
from runbell.core.runs import Git, NodeReport, NodeStatus, Outcome, StepReport, Trigger
from runbell.messages.facts import PastRun, RunFacts, StepFacts

NIGHT = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
OK, WARNED, FAILED, STOPPED = Outcome


def _past(pattern: str, seconds: list[int]) -> tuple[PastRun, ...]:
    outcomes = {".": OK, "w": WARNED, "f": FAILED, "c": STOPPED}
    return tuple((outcomes[letter], float(seconds[i % len(seconds)])) for i, letter in enumerate(pattern))


def _step(index: int, command: str, outcome: Outcome, start: datetime, seconds: int, exit_code: int, **rest: object) -> StepFacts:
    report = StepReport(index, command, exit_code, started_at=start, finished_at=start + timedelta(seconds=seconds), dbt_version="1.11.16")
    return StepFacts(replace(report, **rest), outcome)  # type: ignore[arg-type]


_PAYMENTS_ERROR = """Runtime Error in model stg_payments (models/staging/stg_payments.sql)
  Binder Error: Referenced column "amount_minor" not found in FROM clause!
  Candidate bindings: "amount_cents", "amount", "currency"
  LINE 14:     sum(amount_minor) / 100.0 as amount,"""

FAILED_RUN = RunFacts(
    account="Acme Retail",
    account_id="1",
    run_id="4711",
    project="shop",
    environment="Production",
    job="nightly build",
    outcome=FAILED,
    because=Because("exit_code", {"exit_code": 1, "step": 2}),
    started_at=NIGHT,
    finished_at=NIGHT + timedelta(minutes=12, seconds=4),
    steps=(
        _step(1, "dbt source freshness", OK, NIGHT, 21, 0, counts={"passed": 6, "sources": 6}),
        _step(
            2,
            "dbt build --exclude tag:weekly",
            FAILED,
            NIGHT + timedelta(seconds=21),
            703,
            1,
            counts={"passed": 269, "warned": 2, "failed": 2, "skipped": 213},
            nodes=(
                NodeReport("model.shop.stg_payments", NodeStatus.ERROR, _PAYMENTS_ERROR, "model", "stg_payments"),
                NodeReport(
                    "test.shop.relationships_orders_customer_id.c6ec7f569e",
                    NodeStatus.FAIL,
                    "Got 14 results, configured to fail if != 0",
                    "test",
                    "relationships_orders_customer_id",
                    failures=14,
                ),
                NodeReport(
                    "test.shop.accepted_values_orders_status.4c6eb4a1f2",
                    NodeStatus.WARN,
                    "Got 3 results, configured to warn if != 0",
                    "test",
                    "accepted_values_orders_status",
                    failures=3,
                ),
                NodeReport(
                    "test.shop.not_null_customers_email.91a2c0d77b",
                    NodeStatus.WARN,
                    "Got 41 results, configured to warn if != 0",
                    "test",
                    "not_null_customers_email",
                    failures=41,
                ),
            ),
        ),
    ),
    trigger=Trigger("DAG shop_nightly, task dbt_build", "scheduled", "https://airflow.acme.example/dags/shop_nightly/grid"),
    host_tool="airflow",
    git=Git("main", "8c1f2ab09e3d4c5b6a7f8091a2b3c4d5e6f70812"),
    usual_seconds=544,
    usual_spread_seconds=75,
    history=(*_past("........w....c.......w.....", [560, 520, 610, 540, 480, 505]), (FAILED, 160.0), (FAILED, 620.0), (FAILED, 724.0)),
    trouble_since=NIGHT - timedelta(days=2),
    trouble_runs=3,
    has_log_end=True,
)

WARNED_RUN = RunFacts(
    account="Acme Retail",
    account_id="1",
    run_id="4712",
    project="shop",
    environment="Production",
    job="source freshness",
    outcome=WARNED,
    because=Because("warnings"),
    started_at=datetime(2026, 11, 24, 8, 0, 23, tzinfo=UTC),
    finished_at=datetime(2026, 11, 24, 8, 0, 44, tzinfo=UTC),
    steps=(
        _step(
            1,
            "dbt source freshness",
            WARNED,
            datetime(2026, 11, 24, 8, 0, 23, tzinfo=UTC),
            21,
            0,
            counts={"passed": 5, "warned": 1, "sources": 6},
            nodes=(
                NodeReport(
                    "source.shop.stripe.payments",
                    NodeStatus.WARN,
                    resource_type="source",
                    name="stripe.payments",
                    age_seconds=93_500,
                    loaded_at=datetime(2026, 11, 23, 6, 2, 14, tzinfo=UTC),
                    warn_after_seconds=86_400,
                    error_after_seconds=172_800,
                ),
            ),
        ),
    ),
    trigger=Trigger("workflow freshness, event schedule", "scheduled"),
    host_tool="github-actions",
    git=Git("main", "8c1f2ab09e3d4c5b6a7f8091a2b3c4d5e6f70812"),
    usual_seconds=20,
    usual_spread_seconds=4,
    history=_past("...........w..........www...ww", [21, 20, 22, 19, 21, 20]),
    trouble_since=datetime(2026, 11, 24, 7, 0, 22, tzinfo=UTC),
    trouble_runs=2,
)

SUCCEEDED_RUN = RunFacts(
    account="Acme Retail",
    account_id="1",
    run_id="4713",
    project="finance",
    environment="Production",
    job="ledger close",
    outcome=OK,
    because=Because("no_trouble"),
    started_at=NIGHT + timedelta(seconds=7),
    finished_at=NIGHT + timedelta(minutes=9, seconds=2),
    steps=(_step(1, "dbt build --select finance", OK, NIGHT + timedelta(seconds=7), 535, 0, counts={"passed": 141}),),
    trigger=Trigger("cron on db1", "scheduled"),
    host_tool="cron",
    git=Git("main", "41d09be2a7c94a1f8f1b6f2f4d1d1c55f4c0a3e9"),
    usual_seconds=530,
    usual_spread_seconds=40,
    history=_past("..................w...........", [535, 560, 510, 520, 540]),
)

CANCELED_RUN = RunFacts(
    account="Acme Retail",
    account_id="1",
    run_id="4714",
    project="shop",
    environment="Production",
    job="weekly full refresh",
    outcome=STOPPED,
    because=Because("interrupted", {"signal": 2}),
    started_at=datetime(2026, 11, 22, 2, 18, 32, tzinfo=UTC),
    finished_at=datetime(2026, 11, 22, 3, 10, 2, tzinfo=UTC),
    steps=(
        _step(
            1,
            "dbt build --full-refresh",
            STOPPED,
            datetime(2026, 11, 22, 2, 18, 32, tzinfo=UTC),
            3090,
            130,
            signal=2,
            counts={"passed": 312, "skipped": 174},
        ),
    ),
    trigger=Trigger("DAG shop_weekly, task dbt_build", "ui"),
    host_tool="airflow",
    git=Git("main", "6e77c0392d6b4e0e8a6f0f6b9d0f1f0f7c9a1b2c"),
    usual_seconds=6_900,
    usual_spread_seconds=600,
    history=(*_past(".w..........f.....", [6900, 7000, 6200, 6800, 6500, 7300]), (STOPPED, 3090.0)),
)

_QUIET = replace(FAILED_RUN, trouble_since=None, trouble_runs=0, history=(*_past("." * 29, [540, 560]), (FAILED, 190.0)))

KILLED_RUN = replace(
    _QUIET,
    run_id="4715",
    because=Because("killed", {"signal": 9}),
    finished_at=NIGHT + timedelta(minutes=3, seconds=10),
    steps=(_step(1, "dbt build", FAILED, NIGHT, 190, 137, signal=9),),
)

LOST_RUN = replace(
    _QUIET,
    run_id="4716",
    because=Because("no_end_reported"),
    finished_at=None,
    steps=(StepFacts(StepReport(index=1, command="dbt build", started_at=NIGHT), FAILED),),
    has_log_end=False,
)

NO_RESULTS_RUN = replace(
    _QUIET,
    run_id="4717",
    because=Because("exit_code", {"exit_code": 2, "step": 1}),
    finished_at=NIGHT + timedelta(seconds=3, milliseconds=400),
    steps=(_step(1, "dbt build", FAILED, NIGHT, 3, 2),),
)

RUNS: Mapping[Outcome, RunFacts] = {OK: SUCCEEDED_RUN, WARNED: WARNED_RUN, FAILED: FAILED_RUN, STOPPED: CANCELED_RUN}
"""What a preview shows of a job that has not ended like this yet."""
