"""What `read_artifact` sees in the artifacts of real dbt runs, held against the summary line dbt printed itself."""

import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from runbell.core.artifacts import Artifact, add_artifacts, is_stale, read_artifact
from runbell.core.outcomes import ending, step_outcome
from runbell.core.runs import StepReport

SAMPLES = Path(__file__).parents[2] / "data" / "dbt"
CASES = json.loads((SAMPLES / "expected.json").read_text())
SUMMARY = re.compile(r"\b(PASS|WARN|ERROR|SKIP|NO-OP|TOTAL)=(\d+)")  # dbt Core
FUSION_SUMMARY = re.compile(r"(\d+) (success|warn|error|skipped|no-op|total)\b")
KINDS = {
    **dict.fromkeys(("PASS", "success"), "passed"),
    **dict.fromkeys(("WARN", "warn"), "warned"),
    **dict.fromkeys(("ERROR", "error"), "failed"),
    **dict.fromkeys(("SKIP", "skipped"), "skipped"),
    **dict.fromkeys(("NO-OP", "no-op"), "no_op"),
    **dict.fromkeys(("TOTAL", "total"), "total"),
}
STALE = {"stale_run_results_compile_error"}
# After an interrupt dbt's summary and its file disagree: one counts what was asked for, the other what ended.
INTERRUPTED = {case for case in CASES if "sigint" in case}
REWRITTEN = {"fusion-fail_fast"}  # this Fusion turns every result into an error when it stops early


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


def summary(case: str) -> dict[str, int]:
    """The last line in which dbt sums up its results, as counts; empty when it printed none."""
    text = (SAMPLES / case / "stdout.txt").read_text()
    core = [SUMMARY.findall(line) for line in text.splitlines() if "Done. PASS=" in line]
    fusion = [FUSION_SUMMARY.findall(line) for line in text.splitlines() if line.startswith("Summary:")]
    counts = {word: int(number) for word, number in (core or [[]])[-1]} | {word: int(number) for number, word in (fusion or [[]])[-1]}
    return {KINDS[word]: number for word, number in counts.items() if number}


@pytest.mark.parametrize("case", sorted(set(with_artifacts()) - STALE - INTERRUPTED - REWRITTEN))
def test_counts_agree_with_the_summary_dbt_printed(case: str) -> None:
    counts = dict(artifact(case).counts)
    counts.pop("sources", None)
    if printed := summary(case):
        assert counts | {"total": sum(counts.values())} == {"total": 0} | printed


def test_most_samples_have_such_a_summary() -> None:
    """Freshness, compile, run-operation, an empty selection and JSON logs have none."""
    assert len([case for case in with_artifacts() if summary(case)]) == 24


@pytest.mark.parametrize("case", sorted(case for case in with_artifacts() if "started_at" in CASES[case]))
def test_only_the_artifact_of_another_command_is_stale(case: str) -> None:
    assert is_stale(artifact(case), since=datetime.fromisoformat(CASES[case]["started_at"])) is (case in STALE)


def test_every_sample_with_an_artifact_says_when_its_command_began() -> None:
    assert {case for case in CASES if "started_at" in CASES[case]} == set(with_artifacts())


@pytest.mark.parametrize("case", sorted(set(CASES) - INTERRUPTED | {"sigint_early_twice"}))
def test_the_outcome_is_the_expected_one(case: str) -> None:
    exit_code, death = ending(int((SAMPLES / case / "exit_code.txt").read_text()))
    step = StepReport(1, CASES[case]["command"], exit_code=exit_code, signal=death)
    found = [artifact(case)] if case in with_artifacts() and case not in STALE else []
    assert step_outcome(add_artifacts(step, found)) == CASES[case]["outcome"]


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
