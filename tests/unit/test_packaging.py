"""The command beside dbt brings nothing along: what is declared, and what an installer is told."""

import tomllib
from importlib.metadata import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nothing_is_required_without_an_extra() -> None:
    required = metadata("runbell").get_all("Requires-Dist") or []
    assert required, "the server extra is gone"
    assert [line for line in required if not line.endswith("; extra == 'server'")] == []


def test_no_dependency_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []
    assert list(project["optional-dependencies"]) == ["server"]
