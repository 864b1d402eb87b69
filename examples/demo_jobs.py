"""The four jobs of the demo: one for each way a job can end."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """`word` is how its mail must begin; `on` the dbt Admin API's list for this outcome; `says` what else the mail must speak of."""

    name: str
    outcome: str
    word: str
    on: str
    steps: tuple[str, ...]
    exit_codes: tuple[int, ...] = (0,)
    says: tuple[str, ...] = ()
    interrupt_at: str = ""  # what dbt's log says when it is time for Ctrl-C


JOBS = (
    Job("nightly", "succeeded", "SUCCEEDED", "on_success", ("dbt build",)),
    Job(
        "hourly payments",
        "warned",
        "WARNED",
        "on_warning",
        (
            "dbt seed --vars '{hours_late: 30}'",
            "dbt source freshness",
            "dbt build --exclude-resource-type seed --vars '{paid_by: 2026-01-31}'",
        ),
        says=("raw_payments", "orders_are_paid"),
    ),
    Job(
        "weekly revenue",
        "failed",
        "FAILED",
        "on_failure",
        ("dbt build --vars '{amount: cents_net}'",),
        exit_codes=(1,),
        says=("revenue", "cents_net"),
    ),
    Job(
        "basket backfill",
        "cancelled",
        "CANCELED",
        "on_cancel",
        ("dbt build --select basket_pairs --vars '{slow: true}'",),
        exit_codes=(2,),
        interrupt_at="basket_pairs__dbt_tmp",
    ),
)
