"""Reads `run_results.json` and `sources.json` of dbt Core 1.x and Fusion 2.x, tolerant by version: what is there is taken.

Shapes: https://schemas.getdbt.com/dbt/run-results/v6.json and https://schemas.getdbt.com/dbt/sources/v3.json.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from runbell.core.because import Because
from runbell.core.fields import MAX_INTEGER, storable
from runbell.core.redact import redact
from runbell.core.runs import MAX_MESSAGE, MAX_NODES_PER_STEP, NodeReport, NodeStatus, StepReport

CLOCK_GRAIN = timedelta(seconds=2)  # file systems and dbt's own clock may round down by as much
CODES = ("artifact_not_text", "artifact_not_json", "artifact_unknown_shape")

_PASSED = frozenset({"success", "pass", "reused"})
_ERRORS = frozenset({"error", "runtime error", "partial success"})
_WARNING_KINDS = frozenset({"test", "source", "unit_test"})  # deprecations and models "built with warnings" never make a run warn


@dataclass(frozen=True, slots=True)
class Artifact:
    """What one artifact file says. `counts` has the keys of `core.runs.COUNTS`; `nodes` are trouble only, worst first."""

    invocation_id: str = ""
    dbt_version: str = ""
    which: str = ""
    generated_at: datetime | None = None
    started_at: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    nodes: tuple[NodeReport, ...] = ()
    run_ids: tuple[str, ...] = ()


def read_artifact(data: bytes) -> Artifact | Because:
    """The artifact in these bytes, or why it cannot be read. Never raises: half-written files are everyday."""
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Because("artifact_not_text")
    except (ValueError, RecursionError):
        return Because("artifact_not_json")
    if not isinstance(raw, dict) or not isinstance(raw.get("results"), list):
        return Because("artifact_unknown_shape")
    metadata = _mapping(raw.get("metadata"))
    results = [result for result in raw["results"] if isinstance(result, dict)]
    kinds = [_kind(result) for result in results]
    nodes = sorted(filter(None, map(_node, results)), key=lambda node: node.status is NodeStatus.WARN)
    run_id = _text(_mapping(metadata.get("env")).get("DBT_CLOUD_RUN_ID"))
    return Artifact(
        invocation_id=_text(metadata.get("invocation_id"))[:64],
        dbt_version=_text(metadata.get("dbt_version"))[:64],
        which="freshness" if "/sources/" in _text(metadata.get("dbt_schema_version")) else _text(_mapping(raw.get("args")).get("which")),
        generated_at=_moment(metadata.get("generated_at")),
        started_at=_moment(metadata.get("invocation_started_at")),
        counts=dict(Counter(kinds)) | _sources(results),
        nodes=tuple(nodes[:MAX_NODES_PER_STEP]),
        run_ids=(run_id,) if run_id else (),
    )


def is_stale(artifact: Artifact, *, since: datetime | None, invocation_id: str = "") -> bool:
    """Whether the artifact is of another command: written before this one's start, or by another invocation."""
    if invocation_id and artifact.invocation_id != invocation_id:
        return True
    written = artifact.generated_at or artifact.started_at
    return bool(since and written and written < since - CLOCK_GRAIN)


def add_artifacts(step: StepReport, artifacts: Iterable[Artifact]) -> StepReport:
    """The step with what its artifacts say; a freshness check inside a build adds up with it."""
    counts: Counter[str] = Counter(step.counts)
    for artifact in artifacts:
        counts.update(artifact.counts)
        step = replace(
            step,
            invocation_id=step.invocation_id or artifact.invocation_id,
            dbt_version=step.dbt_version or artifact.dbt_version,
            nodes=(*step.nodes, *artifact.nodes)[:MAX_NODES_PER_STEP],
        )
    return replace(step, counts=dict(counts))


def _kind(result: Mapping[str, Any]) -> str:
    """The key of `COUNTS` one result falls under. Statuses are compared in lower case: Fusion capitalises freshness."""
    status = _text(result.get("status")).lower()
    if status == "warn":
        return "warned" if _resource(result) in _WARNING_KINDS else "passed"
    if status == "skipped":
        return "skipped"
    if status in ("no-op", "no_op"):
        return "no_op"
    return "passed" if status in _PASSED else "failed"


def _sources(results: list[dict[str, Any]]) -> dict[str, int]:
    found = sum(_resource(result) == "source" for result in results)
    return {"sources": found} if found else {}


def _node(result: Mapping[str, Any]) -> NodeReport | None:
    kind = _kind(result)
    if kind not in ("failed", "warned"):
        return None
    unique_id = storable(_text(result.get("unique_id")))[:2000] or "unknown"
    status = _text(result.get("status")).lower()
    word = NodeStatus.WARN if kind == "warned" else NodeStatus.FAIL if status == "fail" else NodeStatus.ERROR
    failures = result.get("failures")
    criteria = _mapping(result.get("criteria"))
    return NodeReport(
        unique_id=unique_id,
        status=word,
        message=redact(storable(_text(result.get("message"))))[:MAX_MESSAGE],
        resource_type=_resource(result),
        name=short_name(unique_id),
        failures=failures if type(failures) is int and 0 <= failures <= MAX_INTEGER else None,
        age_seconds=_seconds(result.get("max_loaded_at_time_ago_in_s")),
        loaded_at=_moment(result.get("max_loaded_at")),
        warn_after_seconds=_threshold(criteria.get("warn_after")),
        error_after_seconds=_threshold(criteria.get("error_after")),
    )


def _resource(result: Mapping[str, Any]) -> str:
    return _text(result.get("unique_id")).split(".", 1)[0]


def short_name(unique_id: str) -> str:
    """What people call a node: `model.shop.stg_orders` is stg_orders, `source.shop.raw.events` is raw.events; a generic test's
    hash (`test.shop.unique_orders_id.1a2b3c4d5e`) is dropped."""
    parts = unique_id.split(".")
    if len(parts) < 3:
        return unique_id
    if parts[0] == "test" and len(parts) > 3:
        return parts[2]
    return ".".join(parts[2:])


def _threshold(value: object) -> float | None:
    """`{"count": 1, "period": "hour"}` in seconds."""
    rule = _mapping(value)
    unit = {"minute": 60, "hour": 3600, "day": 86400}.get(_text(rule.get("period")))
    count = _seconds(rule.get("count"))
    return count * unit if unit and count is not None else None


def _seconds(value: object) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MAX_INTEGER  # NaN fails both ends
    return float(value) if usable else None  # type: ignore[arg-type]


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
