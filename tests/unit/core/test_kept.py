"""What is masked in an artifact, and that it stays the file it was."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbell.core.because import Because
from runbell.core.kept import KEPT, cleaned

SAMPLES = sorted(path for path in (Path(__file__).parents[2] / "data" / "dbt").rglob("*.json") if path.name in KEPT)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def json_of(value: Any, name: str = "manifest.json") -> Any:
    clean = cleaned(name, json.dumps(value).encode())
    assert isinstance(clean, bytes), clean
    return json.loads(clean)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_files_without_secrets_stay_as_they_were(path: Path) -> None:
    assert cleaned(path.name, path.read_bytes()) == path.read_bytes()


def test_secrets_go_by_their_form_and_by_their_name() -> None:
    said = {
        "meta": {"api_key": "hunter2", "owner": "ada", "Pass\u0077ord": "hunter2"},
        "code": 'connect("a\\"b", password="hunter2")\nselect 1',
        "vars": ["postgres://u:hunter2@pg/raw", "token"],
        "token": {"name": "token"},
    }
    clean = json_of(said)
    assert "hunter2" not in json.dumps(clean)
    assert clean["meta"] == {"api_key": "hidden", "owner": "ada", "Password": "hidden"}
    assert clean["code"] == 'connect("a\\"b", password="hidden")\nselect 1'
    assert (clean["vars"], clean["token"]) == (["postgres://u:hidden@pg/raw", "token"], {"name": "token"})


def test_the_log_loses_its_colours_and_secrets() -> None:
    assert cleaned("dbt.log", b"\x1b[31mpassword=hunter2\x1b[0m \xff\n") == "password=hidden \ufffd\n".encode()


@given(JSON)
def test_whatever_it_holds_it_stays_json_of_the_same_shape(value: Any) -> None:
    assert shape(json_of(value)) == shape(value)


def shape(value: Any) -> Any:
    """Without its texts."""
    if isinstance(value, dict):
        return [shape(item) for item in value.values()]
    return [shape(item) for item in value] if isinstance(value, list) else None if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"a": "password=hunter2', "artifact_not_json"),
        (b'{"a" "b": 1}', "artifact_not_json"),
        (b"[" * 100_000, "artifact_not_json"),
        (b"", "artifact_not_json"),
        (b'{"a": "\xff"}', "artifact_not_text"),
    ],
)
def test_half_a_file_is_refused(data: bytes, code: str) -> None:
    assert cleaned("manifest.json", data) == Because(code)
