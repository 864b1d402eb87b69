"""coverage.md names a test for each line of the original page. Each of them is there, and none is skipped."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LINES = [line for line in (HERE / "coverage.md").read_text().splitlines() if line.startswith("- ")]
TEST = re.compile(r"(\w+\.py)::(\w+)")
STOPS = {"skip", "skipif", "xfail", "importorskip"}


def stops(node: ast.AST) -> set[str]:
    """What in this code may keep a test from running."""
    return {name.attr for name in ast.walk(node) if isinstance(name, ast.Attribute)} & STOPS


@pytest.mark.parametrize("line", LINES)
def test_every_line_has_a_test_that_runs(line: str) -> None:
    named = TEST.findall(line)
    assert named, "names no test"
    for file, name in named:
        module = ast.parse((HERE / file).read_text())
        found = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == name]
        assert found, f"{file} has no {name}"
        outside = [node for node in module.body if not isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        assert not any(map(stops, (*found, *outside))), f"{name} can be skipped"
