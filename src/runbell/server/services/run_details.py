"""What the dbt Admin API tells of runs beside their own row: steps, nodes, artifacts, whether anybody was told, and the last run of each job."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Max, prefetch_related_objects

from runbell.core.deliveries import DeliveryState
from runbell.server.db.models import Delivery, Node, Run, Step
from runbell.server.services.artifacts import names_of

__all__ = ["Details", "Node", "Step", "details_of", "last_runs"]


@dataclass(frozen=True, slots=True)
class Details:
    """Run id → steps in their order, and the names of artifacts; and the runs that somebody was told of."""

    steps: Mapping[int, list[Step]]
    artifacts: Mapping[int, frozenset[str]]
    told: frozenset[int]

    def steps_of(self, run_id: int) -> list[Step]:
        return self.steps.get(run_id, [])

    def artifacts_of(self, run_id: int) -> frozenset[str]:
        return self.artifacts.get(run_id, frozenset())


def details_of(runs: Iterable[Run], *, with_nodes: bool = False) -> Details:
    """Three queries for a page of runs, four with the nodes that did not pass."""
    ids = [run.pk for run in runs]
    steps: dict[int, list[Step]] = {}
    rows = list(Step.objects.filter(run__in=ids).order_by("run", "index"))
    if with_nodes:
        prefetch_related_objects(rows, "nodes")
    for step in rows:
        steps.setdefault(step.run_id, []).append(step)
    told = Delivery.objects.filter(run__in=ids, state=DeliveryState.SENT).values_list("run", flat=True)
    return Details(steps, names_of(ids), frozenset(run_id for run_id in told if run_id))


def last_runs(job_ids: Collection[int], *, completed: bool) -> dict[int, Run]:
    """Job id → its newest run, or its newest that has ended. Two queries."""
    runs = Run.objects.filter(job__in=job_ids, merged_into=None)
    newest = (runs.exclude(outcome="") if completed else runs).order_by().values("job").annotate(newest=Max("pk"))
    found = Run.objects.filter(pk__in=[row["newest"] for row in newest]).select_related("job__environment")
    return {run.job_id: run for run in found}
