"""The command beside dbt brings nothing along: what is declared, and what an installer is told."""

import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest
from tools import licences

ROOT = Path(__file__).parents[2]


def test_nothing_is_required_without_an_extra() -> None:
    required = metadata("runbell").get_all("Requires-Dist") or []
    assert required, "the server extra is gone"
    assert [line for line in required if not line.endswith("; extra == 'server'")] == []


def test_no_dependency_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []
    assert list(project["optional-dependencies"]) == ["server"]


@pytest.mark.parametrize(
    ("said", "is_refused"),
    [
        ("AGPL-3.0-only", True),
        ("License :: OSI Approved :: GNU General Public License v2 (GPLv2)", True),
        ("License :: OSI Approved :: GNU Affero General Public License v3", True),
        ("LGPL-3.0-only", False),
        ("License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)", False),
        ("MIT OR Apache-2.0", False),
    ],
)
def test_licences_that_would_bind_others_are_told_apart(said: str, is_refused: bool) -> None:
    assert bool(licences.REFUSED.search(said)) is is_refused


def test_the_server_needs_nothing_under_them() -> None:
    assert licences.main() == 0
