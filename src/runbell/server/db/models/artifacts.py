"""Artifacts that reporters leave with a run. In the database, so that every server of several has them and so has every backup."""

from typing import ClassVar

from django.db import models

from runbell.server.db.models.runs import Run


class Artifact(models.Model):
    """One file of one step, in `parts`. `size` in bytes, unpacked. The constraint serves as index of its first column."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="artifacts", db_index=False)
    step = models.PositiveSmallIntegerField()  # a number and no reference: a later report of the run replaces its steps
    name = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()
    stored_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "step", "name"], name="artifact_name")]

    def __str__(self) -> str:
        return f"{self.name} of step {self.step} of run {self.run_id}"


class ArtifactPart(models.Model):
    """A piece of the gzip stream. Pieces, because whoever copies a table holds many of its rows at once."""

    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="parts", db_index=False)
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["artifact", "number"], name="artifact_part")]

    def __str__(self) -> str:
        return f"part {self.number} of artifact {self.artifact_id}"
