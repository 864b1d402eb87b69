"""A finished report made ready to leave: outcome, masking, bytes within the server's bounds."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from runbell.cli.say import show
from runbell.core.artifacts import Artifact
from runbell.core.outcomes import run_outcome
from runbell.core.redact import redact_report
from runbell.core.runs import MAX_ALIASES, MAX_BODY, MAX_KEY, MAX_MESSAGE, MAX_NODES_PER_STEP, RunReport, StepReport, report_to_json

CUTS = ((MAX_NODES_PER_STEP, MAX_MESSAGE), (50, 1_000), (10, 300), (0, 0))
"""Nodes per step and characters per message, tried until the report fits. The counts always tell of all nodes."""


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def uuid4(random: bytes) -> str:
    """16 random bytes as a UUID of version 4 (RFC 9562). Importing `uuid` would take 4 ms, half of a bare interpreter's start."""
    bits = int.from_bytes(random) & ~(0xF000 << 64) & ~(0xC000 << 48) | (0x4000 << 64) | (0x8000 << 48)
    digits = f"{bits:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def invocation_alias(invocation_id: str) -> str:
    return f"inv:{invocation_id}"


def aliases(artifacts: Iterable[Artifact]) -> tuple[str, ...]:
    """Other keys of the same run, by which another reporter may know it."""
    names: list[str] = []
    for artifact in artifacts:
        names += [invocation_alias(artifact.invocation_id)] if artifact.invocation_id else []
        names += [f"dbt-run:{run_id}" for run_id in artifact.run_ids]  # DBT_CLOUD_RUN_ID, as dbt stamps it into artifacts
    return tuple(dict.fromkeys(name[:MAX_KEY] for name in names))[:MAX_ALIASES]


def seal(report: RunReport) -> RunReport:
    """With its outcome, unless the caller knows better, and without secrets."""
    return redact_report(replace(report, outcome=report.outcome or run_outcome(report)))


def encode(report: RunReport) -> bytes:
    """The JSON to POST, in at most `MAX_BODY` bytes."""
    body = b""
    for nodes, characters in CUTS:
        steps = tuple(_cut(step, nodes, characters) for step in report.steps)
        body = json.dumps(report_to_json(replace(report, steps=steps)), ensure_ascii=False).encode("utf-8", "replace")
        if len(body) <= MAX_BODY:
            break
    return body


def print_report(report: RunReport) -> None:
    show(json.dumps(report_to_json(report), indent=2))


def _cut(step: StepReport, nodes: int, characters: int) -> StepReport:
    return replace(step, nodes=tuple(replace(node, message=node.message[:characters]) for node in step.nodes[:nodes]))
