"""The reference of the report, its schema and the code say the same."""

import json
import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema

from runbell.core import runs
from runbell.core.runs import Git, JobRef, NodeReport, RunReport, StepReport, Trigger, parse_report, report_to_json

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
SCHEMA: dict[str, Any] = json.loads((REFERENCE / "report.schema.json").read_text())
STEP = SCHEMA["properties"]["steps"]["items"]
NODE = STEP["properties"]["nodes"]["items"]
EXAMPLE = json.loads(re.findall(r"```json\n(.*?)```", (REFERENCE / "report.md").read_text(), re.DOTALL)[0])
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


def names(kind: type) -> set[str]:
    return {field.name for field in fields(kind)}


def test_the_schema_has_the_fields_of_the_code() -> None:
    properties = SCHEMA["properties"]
    assert set(properties) == names(RunReport) | {"version"}
    assert set(properties["job"]["properties"]) == names(JobRef)
    assert set(properties["trigger"]["properties"]) == names(Trigger)
    assert set(properties["git"]["properties"]) == names(Git)
    assert set(STEP["properties"]) == names(StepReport)
    assert set(NODE["properties"]) == names(NodeReport)
    assert set(STEP["properties"]["counts"]["properties"]) == set(runs.COUNTS)


def test_the_schema_has_the_limits_of_the_code() -> None:
    properties = SCHEMA["properties"]
    assert properties["key"]["maxLength"] == runs.MAX_KEY
    assert properties["aliases"]["maxItems"] == runs.MAX_ALIASES
    assert properties["steps"]["maxItems"] == runs.MAX_STEPS
    assert properties["job"]["properties"]["name"]["maxLength"] == runs.MAX_NAME
    assert STEP["properties"]["nodes"]["maxItems"] == runs.MAX_INTAKE_NODES


def test_the_example_is_valid_and_reads_back_to_itself() -> None:
    jsonschema.validate(EXAMPLE, SCHEMA)
    report = parse_report(EXAMPLE, now=NOW)
    again = report_to_json(report)
    jsonschema.validate(again, SCHEMA)
    assert parse_report(again, now=NOW) == report
