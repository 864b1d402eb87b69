"""Artifacts that were left with a run: kept once, whole, without secrets, for as long as the run."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from runbell.core.because import Because
from runbell.core.fields import BadField
from runbell.core.kept import KEPT, cleaned
from runbell.core.permissions import Action
from runbell.core.runs import Outcome
from runbell.server.db.models import Artifact, ArtifactPart, Run, RunKey, Step
from runbell.server.services.access import Actor, NotThere, in_project, job_for, run_for

__all__ = [
    "Artifact",
    "Kept",
    "Place",
    "artifact_of",
    "artifact_of_job",
    "artifacts_of",
    "keep",
    "list_artifacts",
    "move",
    "names_of",
    "place_for",
]

PART = 32 * 1024
GOOD = (Outcome.SUCCEEDED, Outcome.WARNED)
_WORDS = {"artifact_not_text": "is not UTF-8 text", "artifact_not_json": "is not whole JSON"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one artifact goes."""

    run_id: int
    step: int
    name: str


@dataclass(frozen=True, slots=True)
class Kept:
    """One artifact as it is stored: `packed` by gzip, of `size` bytes without."""

    name: str
    size: int
    packed: bytes


def place_for(actor: Actor, key: str, step: int, name: str) -> Place:
    """Of a run by any of its reporters' keys. Raises `NotThere`, `NotAllowed`, `BadField`."""
    found = RunKey.objects.select_related("run__job__environment").filter(account=actor.account_id, key=key).first()
    if found is None or not in_project(actor, found.run.job.environment.project_id):
        raise NotThere
    actor.require(Action.REPORT_RUNS)
    if name not in KEPT:
        raise BadField("name", "must be one of " + ", ".join(KEPT))
    if not Step.objects.filter(run=found.run, index=step).exists():
        raise BadField("step", f"this run has no step {step}; report it first")
    return Place(found.run_id, step, name)


def keep(place: Place, data: bytes, *, now: datetime) -> bool:
    """Whether it is new: the first one stands, as an outcome does. Raises `NotThere`, `BadField`; then nothing was stored."""
    if _there(place.run_id).filter(step=place.step, name=place.name).exists():
        return False
    clean = cleaned(place.name, data)
    if isinstance(clean, Because):
        raise BadField("body", _WORDS[clean.code])
    packed = _gzip(clean)
    with transaction.atomic():
        run = Run.objects.select_for_update().filter(pk=place.run_id).first()  # nobody merges or prunes it meanwhile
        if run is None:
            raise NotThere
        facts = {"size": len(clean), "stored_at": now}
        where = {"run_id": run.merged_into_id or run.pk, "step": place.step, "name": place.name}
        artifact, is_new = Artifact.objects.get_or_create(**where, defaults=facts)
        if is_new:
            pieces = (packed[begin : begin + PART] for begin in range(0, len(packed), PART))
            ArtifactPart.objects.bulk_create(
                ArtifactPart(artifact=artifact, number=number, data=data) for number, data in enumerate(pieces)
            )
    return is_new


def move(source: Run, target: Run) -> None:
    """To the run that `source` goes into. What both have is the target's; the other goes with its run."""
    has = Artifact.objects.filter(run=target, step=OuterRef("step"), name=OuterRef("name"))
    Artifact.objects.filter(~Exists(has), run=source).update(run=target)


def list_artifacts(actor: Actor, run_id: int, step: int | None = None) -> list[Artifact]:
    """Raises `NotThere`, `NotAllowed`."""
    return artifacts_of(run_for(actor, run_id, Action.SEE_JOBS), step)


def artifacts_of(run: Run, step: int | None = None) -> list[Artifact]:
    """Of one step, or of all; by name, the last step first."""
    return list(_of_step(_there(run.pk), step))


def artifact_of(actor: Actor, run_id: int, name: str, step: int | None = None) -> Kept:
    """Of one step, or of the last one that left it. Raises `NotThere`, `NotAllowed`."""
    return _kept(_of_step(_there(run_for(actor, run_id, Action.SEE_JOBS).pk), step).filter(name=name).first())


def artifact_of_job(actor: Actor, job_id: int, name: str) -> Kept:
    """Of the newest run of the job that succeeded, with or without warnings, and left it. Raises `NotThere`, `NotAllowed`."""
    job = job_for(actor, job_id, Action.SEE_JOBS)
    found = Artifact.objects.filter(run__job=job, run__merged_into=None, run__outcome__in=GOOD, name=name)
    return _kept(found.order_by("-run", "-step").first())


def names_of(run_ids: Iterable[int]) -> Mapping[int, frozenset[str]]:
    """Run id → the names of what it left. One query."""
    names: dict[int, frozenset[str]] = {}
    for run_id, name in Artifact.objects.filter(run__in=run_ids).values_list("run", "name"):
        names[run_id] = names.get(run_id, frozenset()) | {name}
    return names


def _there(run_id: int) -> QuerySet[Artifact]:
    return Artifact.objects.filter(run=run_id).order_by("name", "-step")


def _of_step(found: QuerySet[Artifact], step: int | None) -> QuerySet[Artifact]:
    return found if step is None else found.filter(step=step)


def _kept(artifact: Artifact | None) -> Kept:
    if artifact is None:
        raise NotThere
    parts = artifact.parts.order_by("number").values_list("data", flat=True)
    return Kept(artifact.name, artifact.size, b"".join(bytes(part) for part in parts))


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()
