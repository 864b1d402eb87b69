"""What people install: a wheel built from a sdist, and the command beside a real dbt."""

import gettext
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = ROOT / ".tools/uv/bin/uv"
DBT_PYTHON = ROOT / ".venv-dbt/bin/python"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """uv makes the sdist, and the wheel out of that."""
    target = tmp_path_factory.mktemp("built")
    subprocess.run([UV, "build", "--quiet", "--out-dir", target, ROOT], check=True)
    return target


@pytest.fixture
def wheel(built: Path) -> Iterator[zipfile.ZipFile]:
    [path] = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        yield wheel


def test_the_wheel_requires_nothing_without_an_extra(wheel: zipfile.ZipFile) -> None:
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    required = message_from_bytes(wheel.read(name)).get_all("Requires-Dist", [])
    assert required
    assert [line for line in required if "extra == 'server'" not in line] == []


def test_every_catalogue_is_compiled_in_the_wheel_and_none_in_the_sdist(built: Path, wheel: zipfile.ZipFile) -> None:
    sources = {path.relative_to(ROOT / "src").with_suffix(".mo").as_posix() for path in (ROOT / "src").rglob("*.po")}
    assert sources
    assert {name for name in wheel.namelist() if name.endswith(".mo")} == sources
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        assert [name for name in sdist.getnames() if name.endswith(".mo")] == []


def test_a_wheel_from_a_sdist_speaks_russian(wheel: zipfile.ZipFile) -> None:
    catalogues = [gettext.GNUTranslations(wheel.open(name)) for name in wheel.namelist() if "/ru/" in name and name.endswith(".mo")]
    assert "Сбой" in {catalogue.gettext("Failed") for catalogue in catalogues}


def test_beside_dbt_there_is_what_dbt_needs_and_runbell() -> None:
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "examples/shop/requirements.txt").read_text(), re.MULTILINE)
    code = "import importlib.metadata as m; print(*{d.name for d in m.distributions()})"
    installed = subprocess.run([DBT_PYTHON, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {_normal(name) for name in installed} == {_normal(name) for name in [*pinned, "runbell"]}


def _normal(name: str) -> str:
    """https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()
