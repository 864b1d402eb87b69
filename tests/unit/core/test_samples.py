"""What `read_artifact` sees in the artifacts of real dbt runs, held against the summary line dbt printed itself."""

import json
import re
from pathlib import Path

import pytest

from runbell.core.artifacts import Artifact, read_artifact

SAMPLES = Path(__file__).parents[2] / "data" / "dbt"
CASES = json.loads((SAMPLES / "expected.json").read_text())
SUMMARY = re.compile(r"PASS=(\d+) WARN=(\d+) ERROR=(\d+) SKIP=(\d+) NO-OP=(\d+) TOTAL=(\d+)")
STALE = {"stale_run_results_compile_error"}
# After an interrupt dbt's summary and its file disagree: one counts what was asked for, the other what ended.
INTERRUPTED = {case for case in CASES if "sigint" in case}


def artifact(case: str) -> Artifact:
    path = next(path for name in ("run_results.json", "sources.json") if (path := SAMPLES / case / name).exists())
    read = read_artifact(path.read_bytes())
    assert isinstance(read, Artifact), read
    return read


def with_artifacts() -> list[str]:
    return [case for case in sorted(CASES) if any((SAMPLES / case).glob("*s.json"))]


def test_all_samples_are_here() -> None:
    assert len(CASES) == 49
    assert {path.name for path in SAMPLES.iterdir() if path.is_dir()} == set(CASES)


@pytest.mark.parametrize("case", sorted(set(with_artifacts()) - STALE - INTERRUPTED))
def test_counts_agree_with_the_summary_dbt_printed(case: str) -> None:
    found = SUMMARY.search((SAMPLES / case / "stdout.txt").read_text())
    read = artifact(case)
    if found is None:
        assert read.invocation_id
        return
    passed, warned, failed, skipped, no_op, total = map(int, found.groups())
    counts = {name: read.counts.get(name, 0) for name in ("passed", "warned", "failed", "skipped", "no_op")}
    assert counts == {"passed": passed, "warned": warned, "failed": failed, "skipped": skipped, "no_op": no_op}
    assert sum(counts.values()) == total


def test_a_failed_model_keeps_the_words_of_the_database() -> None:
    broken = next(node for node in artifact("mixed_all").nodes if node.name == "broken_model")
    assert 'Referenced column "no_such_column" not found' in broken.message
    assert broken.resource_type == "model"


def test_generic_tests_lose_their_hash() -> None:
    assert "not_null_stg_orders_amount" in {node.name for node in artifact("mixed_all").nodes}


@pytest.mark.parametrize("case", ["freshness_warn", "fusion-freshness_warn"])
def test_a_stale_source_says_how_old_it_is(case: str) -> None:
    (node,) = artifact(case).nodes
    assert (node.name, node.status, node.resource_type) == ("raw.warn_events", "warn", "source")
    assert (node.age_seconds or 0) > 3600
    assert node.warn_after_seconds == 3600
    assert node.error_after_seconds == 86400
    assert node.loaded_at is not None
