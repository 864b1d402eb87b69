"""Reads `run_results.json` and `sources.json` of dbt Core 1.x and Fusion 2.x, tolerant by version: what is there is taken.

Shapes: https://schemas.getdbt.com/dbt/run-results/v6.json and https://schemas.getdbt.com/dbt/sources/v3.json.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from runbell.core.because import Because
from runbell.core.fields import MAX_INTEGER, storable, trim_name
from runbell.core.redact import redact
from runbell.core.runs import MAX_KEY, MAX_MESSAGE, MAX_NAME, MAX_NODES_PER_STEP, MAX_TEXT, NodeReport, NodeStatus, StepReport

CLOCK_GRAIN = timedelta(seconds=1)
"""A caller who writes down the start in whole seconds may have rounded up by as much."""

CODES = ("artifact_not_text", "artifact_not_json", "artifact_unknown_shape")
MAX_ID = 64

_KINDS = (
    *(("partial", "failed"), ("error", "failed"), ("fail", "failed"), ("warn", "warned"), ("skip", "skipped")),
    *(("pass", "passed"), ("success", "passed"), ("reused", "passed")),
)
"""A part of a status, in lower case, and what it counts as; the first that fits. Everything else (`no-op`) did nothing."""
_STATUSES = (NodeStatus.ERROR, NodeStatus.FAIL, NodeStatus.WARN)  # worst first
_WARNING_KINDS = frozenset({"test", "source", "unit_test"})  # deprecations and models "built with warnings" never make a run warn
_BARE_WORDS = frozenset({"error", "fail", "warn", "pass"})
_TEST_HASH = re.compile(r"[0-9a-f]{10}")  # dbt ends the id of a generic test with it
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, slots=True)
class Artifact:
    """What one artifact file says. `counts` has the keys of `core.runs.COUNTS`; `nodes` are trouble only, worst first.

    `which` is dbt's word for the command, `started_at` when the invocation began (Fusion does not tell), `run_ids` the dbt
    platform's id of the run, from `metadata.env`.
    """

    invocation_id: str = ""
    dbt_version: str = ""
    which: str = ""
    generated_at: datetime | None = None
    started_at: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    nodes: tuple[NodeReport, ...] = ()
    run_ids: tuple[str, ...] = ()


def read_artifact(data: bytes) -> Artifact | Because:
    """The artifact in these bytes, or why it cannot be read: one of `CODES`. Never raises: half-written files are everyday."""
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
    run_id = _name(_mapping(metadata.get("env")).get("DBT_CLOUD_RUN_ID"), MAX_KEY)
    return Artifact(
        invocation_id=_name(metadata.get("invocation_id"), MAX_ID),
        dbt_version=_name(metadata.get("dbt_version"), MAX_ID),
        which=_which(raw, _text(metadata.get("dbt_schema_version"))),
        generated_at=_moment(metadata.get("generated_at")),
        started_at=_moment(metadata.get("invocation_started_at")),
        counts=_counts(results),
        nodes=_nodes(results),
        run_ids=(run_id,) if run_id else (),
    )


def is_stale(artifact: Artifact, *, since: datetime | None, invocation_id: str = "") -> bool:
    """Whether the artifact is of another command than the one that began at `since`.

    `generated_at` gets no tolerance: the step before often wrote its artifact a few milliseconds before this one began.
    """
    if invocation_id and artifact.invocation_id != invocation_id:
        return True
    if since is None:
        return False
    if artifact.started_at and artifact.started_at < since - CLOCK_GRAIN:
        return True
    return bool(artifact.generated_at and artifact.generated_at < since)


def add_artifacts(step: StepReport, artifacts: Iterable[Artifact]) -> StepReport:
    """The step with what its artifacts say; a freshness check inside a build adds up with it."""
    counts: Counter[str] = Counter(step.counts)
    for artifact in artifacts:
        counts.update(artifact.counts)
        step = replace(
            step,
            invocation_id=step.invocation_id or artifact.invocation_id,
            dbt_version=step.dbt_version or artifact.dbt_version,
            nodes=_worst((*step.nodes, *artifact.nodes)),
        )
    return replace(step, counts=dict(counts))


def short_name(unique_id: str) -> str:
    """What people call a node: `model.shop.stg_orders` is stg_orders, `source.shop.raw.events` is raw.events; a generic test's
    hash (`test.shop.unique_orders_id.1a2b3c4d5e`) is dropped."""
    kind, *parts = unique_id.split(".")
    if len(parts) < 2:
        return unique_id
    if kind == "test" and len(parts) > 2 and _TEST_HASH.fullmatch(parts[-1]):
        parts.pop()
    return ".".join(parts[1:])


def _which(raw: Mapping[str, Any], schema: str) -> str:
    if "/sources/" in schema:
        return "freshness"
    args = _mapping(raw.get("args"))
    return _name(args.get("which") or args.get("command"), MAX_ID)


def _counts(results: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    counts = Counter(map(_kind, results))
    counts["sources"] = sum(_resource(result) == "source" for result in results)
    return {name: count for name, count in counts.items() if count}


def _kind(result: Mapping[str, Any]) -> str:
    """The key of `COUNTS` one result falls under. Fusion capitalises the statuses of freshness."""
    status = _text(result.get("status")).lower()
    kind = next((kind for part, kind in _KINDS if part in status), "no_op")
    if kind == "warned" and _resource(result) not in _WARNING_KINDS:
        return "passed"
    if kind == "skipped" and result.get("message") == "Skipped":  # Fusion: an ephemeral model, which is never built by itself
        return "no_op"
    return kind


def _status(result: Mapping[str, Any]) -> NodeStatus | None:
    """None unless the node did not pass."""
    kind = _kind(result)
    if kind == "warned":
        return NodeStatus.WARN
    if kind != "failed":
        return None
    return NodeStatus.FAIL if _text(result.get("status")).lower().startswith("fail") else NodeStatus.ERROR


def _nodes(results: Iterable[Mapping[str, Any]]) -> tuple[NodeReport, ...]:
    """Chosen before they are read: masking the errors of 20,000 nodes would take a minute."""
    trouble = [(status, result) for result in results if (status := _status(result))]
    trouble.sort(key=lambda pair: _STATUSES.index(pair[0]))
    return tuple(_node(status, result) for status, result in trouble[:MAX_NODES_PER_STEP])


def _worst(nodes: Iterable[NodeReport]) -> tuple[NodeReport, ...]:
    return tuple(sorted(nodes, key=lambda node: _STATUSES.index(node.status))[:MAX_NODES_PER_STEP])


def _node(status: NodeStatus, result: Mapping[str, Any]) -> NodeReport:
    unique_id = _name(result.get("unique_id"), MAX_TEXT) or "unknown"
    criteria = _mapping(result.get("criteria"))
    failures = result.get("failures")
    return NodeReport(
        unique_id=unique_id,
        status=status,
        message=_message(result),
        resource_type=_resource(result),
        name=short_name(unique_id),
        failures=failures if type(failures) is int and 0 <= failures <= MAX_INTEGER else None,
        age_seconds=_seconds(result.get("max_loaded_at_time_ago_in_s")),
        loaded_at=_moment(result.get("max_loaded_at")),
        warn_after_seconds=_threshold(criteria.get("warn_after")),
        error_after_seconds=_threshold(criteria.get("error_after")),
    )


def _message(result: Mapping[str, Any]) -> str:
    """Of a source that could not be asked, `error`. Fusion's tests say only their status over again: that is no message."""
    text = _text(result.get("message")) or _text(result.get("error"))
    return "" if text.lower() in _BARE_WORDS else redact(storable(text))[:MAX_MESSAGE]


def _resource(result: Mapping[str, Any]) -> str:
    """dbt's word for what the node is; its id begins with it."""
    return _name(_text(result.get("unique_id")).partition(".")[0], MAX_NAME)


def _threshold(value: object) -> float | None:
    """`{"count": 1, "period": "hour"}` in seconds."""
    rule = _mapping(value)
    unit, count = _UNITS.get(_text(rule.get("period")).lower()), _seconds(rule.get("count"))
    return _seconds(count * unit) if unit and count is not None else None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= MAX_INTEGER else None  # NaN fails both ends


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


def _name(value: object, limit: int) -> str:
    return trim_name(_text(value), limit)
