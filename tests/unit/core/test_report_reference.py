"""The reference of the report, its schema and the code say the same."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from runbell.core import runs
from runbell.core.artifacts import Artifact, add_artifacts, read_artifact
from runbell.core.runs import (
    Git,
    JobRef,
    NodeReport,
    NodeStatus,
    Outcome,
    RunReport,
    RunState,
    StepReport,
    Trigger,
    parse_report,
    report_to_json,
)

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
SAMPLES = Path(__file__).parents[2] / "data" / "dbt"
TEXT = (REFERENCE / "report.md").read_text()
SCHEMA: dict[str, Any] = json.loads((ROOT / "src/runbell/server/api/report.schema.json").read_text())
CHECK = jsonschema.Draft202012Validator(SCHEMA)
TOP = SCHEMA["properties"]
STEP = TOP["steps"]["items"]["properties"]
NODE = STEP["nodes"]["items"]["properties"]
EXAMPLES = [json.loads(example) for example in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


def names(kind: type) -> set[str]:
    return {field.name for field in fields(kind)}


def test_the_schema_has_the_fields_of_the_code() -> None:
    assert set(TOP) == names(RunReport) | {"version"}
    assert set(TOP["job"]["properties"]) == names(JobRef)
    assert set(TOP["trigger"]["properties"]) == names(Trigger)
    assert set(TOP["git"]["properties"]) == names(Git)
    assert set(STEP) == names(StepReport)
    assert set(NODE) == names(NodeReport)
    assert set(STEP["counts"]["properties"]) == set(runs.COUNTS)
    assert TOP["state"]["enum"] == list(RunState)
    assert TOP["outcome"]["enum"] == [*Outcome, None]
    assert NODE["status"]["enum"] == list(NodeStatus)


def test_the_schema_has_the_limits_of_the_code() -> None:
    assert TOP["version"]["enum"] == [runs.VERSION, None]
    assert TOP["key"]["maxLength"] == TOP["aliases"]["items"]["maxLength"] == runs.MAX_KEY
    assert TOP["aliases"]["maxItems"] == runs.MAX_ALIASES
    assert TOP["steps"]["maxItems"] == STEP["index"]["maximum"] == runs.MAX_STEPS
    assert {limits["maxLength"] for limits in TOP["job"]["properties"].values()} == {runs.MAX_NAME}
    assert STEP["nodes"]["maxItems"] == runs.MAX_INTAKE_NODES
    assert NODE["unique_id"]["maxLength"] == runs.MAX_TEXT


CUTS = {
    "host_tool": runs.MAX_NAME,
    "trigger.cause": runs.MAX_NAME,
    "trigger.category": runs.MAX_NAME,
    "trigger.url": runs.MAX_TEXT,
    "trigger.actor": runs.MAX_NAME,
    "git.branch": runs.MAX_NAME,
    "git.sha": 64,
    "command": runs.MAX_TEXT,
    "invocation_id": 64,
    "dbt_version": 64,
    "message": runs.MAX_MESSAGE,
    "resource_type": runs.MAX_NAME,
    "name": runs.MAX_TEXT,
    "path": runs.MAX_TEXT,
}


def described() -> Iterator[tuple[str, str]]:
    """Every field of free text, and what the schema says of it."""
    for parent, properties in (
        ("", TOP),
        ("trigger.", TOP["trigger"]["properties"]),
        ("git.", TOP["git"]["properties"]),
        ("", STEP),
        ("", NODE),
    ):
        for name, limits in properties.items():
            if limits.get("type") == ["string", "null"] and "format" not in limits and name != "log_end":
                yield parent + name, limits["description"]


def test_the_schema_says_where_texts_are_cut() -> None:
    assert {name: int(text.rpartition("Cut at ")[2].split()[0]) for name, text in described()} == CUTS
    assert f"{runs.MAX_LOG_END} bytes" in TOP["log_end"]["description"]
    assert f"first {runs.MAX_NODES_PER_STEP} are kept" in STEP["nodes"]["description"]


def test_the_reference_names_every_field() -> None:
    told = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE))))
    assert told >= {*TOP, *TOP["trigger"]["properties"], *TOP["git"]["properties"], *TOP["job"]["properties"], *STEP, *NODE}


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_are_valid_and_read_back_to_themselves(example: dict[str, Any]) -> None:
    CHECK.validate(example)
    report = parse_report(example, now=NOW)
    again = report_to_json(report)
    CHECK.validate(again)
    assert parse_report(again, now=NOW) == report


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*/*s.json")), ids=lambda path: path.parent.name)
def test_reports_of_real_runs_are_valid(path: Path) -> None:
    artifact = read_artifact(path.read_bytes())
    assert isinstance(artifact, Artifact)
    step = add_artifacts(StepReport(1, "dbt build", exit_code=0), [artifact])
    CHECK.validate(report_to_json(RunReport("k", RunState.FINISHED, JobRef("p", "e", "j"), NOW, NOW, steps=(step,))))


@pytest.mark.parametrize("wrong", [{"key": ""}, {"state": "done"}, {"job": {}}, {"state": "finished"}, {"steps": [{"nodes": [{}]}]}])
def test_the_schema_refuses_what_the_code_refuses(wrong: dict[str, Any]) -> None:
    raw = EXAMPLES[1] | wrong
    assert not CHECK.is_valid(raw)
    with pytest.raises(ValueError, match=":"):
        parse_report(raw, now=NOW)
