"""Jobs as the dbt Admin API has them."""

from collections.abc import Collection
from typing import Any

from runbell.server.api import run_shapes, shapes
from runbell.server.api.job_body import DEFAULTS
from runbell.server.services.listings import Job
from runbell.server.services.run_details import details_of, last_runs

LAST = {"most_recent_run": False, "most_recent_completed_run": True}
INCLUDES = ("environment", *LAST)


def job(row: Job) -> dict[str, Any]:
    return {**shapes.job(row), **DEFAULTS, **row.definition}


def jobs(rows: list[Job], includes: Collection[str] = ()) -> list[dict[str, Any]]:
    """`includes`: which of `INCLUDES` come with each; four queries for each of the two runs, whatever the number of jobs."""
    found = [{**job(row), **({"environment": shapes.environment(row.environment)} if "environment" in includes else {})} for row in rows]
    for name, completed in LAST.items():
        if name in includes:
            runs = last_runs([row.pk for row in rows], completed=completed)
            details = details_of(runs.values())
            for shape in found:
                run = runs.get(shape["id"])
                shape[name] = run_shapes.run(run, details) if run else None
    return found
