import os
from pathlib import Path

import pytest

from runbell.cli.places import Marks, Places, dbt_words, nearest_project, option
from runbell.cli.project import default_target, read_scalars

PROJECT = """\
# name: wrong
name: 'shop'  # the name
version: "1.0"
profile: "{{ env_var('SHOP_PROFILE', 'shop') }}"

models:
  name: nested
  shop:
    +materialized: table
target-path: "{{ env_var('SHOP_TARGET') }}"
log-path: "{{ var('logs') }}"
empty:
nothing: ~
commented: # only this
- item: in a list
name: second
"""
PROFILES = """\
config:
  target: wrong
other:
  target: other
shop:
  outputs:
    target: nested
    dev: {type: duckdb}
  target: "{{ env_var('DBT_TARGET', 'prod') }}"
last:
  outputs: {}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dbt_project.yml").write_text(PROJECT)
    (tmp_path / "profiles.yml").write_text(PROFILES)
    (tmp_path / "models" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def places(command: str, environ: dict[str, str] | None = None, project_dir: str | None = None) -> Places:
    return Places(command.split(), environ or {}, project_dir)


def test_scalars(project: Path) -> None:
    assert read_scalars("dbt_project.yml", {"SHOP_TARGET": "out"}) == {
        "name": "shop",
        "version": "1.0",
        "profile": "shop",
        "target-path": "out",
        "log-path": "",
    }
    assert read_scalars("missing.yml", {}) == {}
    assert read_scalars("models", {}) == {}


def test_a_file_of_bytes(tmp_path: Path) -> None:
    (tmp_path / "odd.yml").write_bytes(b"\xef\xbb\xbfname: caf\xe9\nplain\n")
    assert read_scalars(str(tmp_path / "odd.yml"), {}) == {"name": "caf\ufffd"}


def test_targets(project: Path) -> None:
    assert default_target("profiles.yml", "shop", {}) == "prod"
    assert default_target("profiles.yml", "shop", {"DBT_TARGET": "ci"}) == "ci"
    assert default_target("profiles.yml", "other", {}) == "other"
    assert default_target("profiles.yml", "last", {}) == ""
    assert default_target("profiles.yml", "missing", {}) == ""


@pytest.mark.parametrize(
    ("command", "environ", "target"),
    [
        ("dbt build --target ci", {}, "ci"),
        ("dbt build --target=ci --target=late", {}, "late"),
        ("uv run dbt build -t ci", {}, "ci"),
        ("python -m dbt.cli.main build -t ci", {}, "ci"),
        ("./build.sh --target ci", {}, "prod"),
        ("dbt build", {"DBT_TARGET": "old"}, "old"),
        ("dbt build", {"DBT_ENGINE_TARGET": "new", "DBT_TARGET": "old"}, "new"),
        ("dbt build --profile other", {}, "other"),
        ("dbt build --profile missing", {}, ""),
        ("dbt build --profiles-dir models", {}, ""),
        ("dbt build -t", {}, "prod"),
    ],
)
def test_the_target_is_dbts(project: Path, command: str, environ: dict[str, str], target: str) -> None:
    assert places(command, environ).target == target


def test_profiles_at_home(project: Path) -> None:
    home = project / "home"
    (home / ".dbt").mkdir(parents=True)
    (project / "profiles.yml").rename(home / ".dbt" / "profiles.yml")
    assert places("dbt build", {"HOME": str(home)}).target == "prod"
    assert places("dbt build").target == ""


def test_paths(project: Path) -> None:
    plain = places("dbt build")
    assert (plain.project_dir, plain.target_dir, plain.log_file) == (str(project), f"{project}/target", f"{project}/logs/dbt.log")
    assert places("dbt build", {"SHOP_TARGET": "out"}).target_dir == f"{project}/out"
    assert places("dbt build --target-path /abs").target_dir == "/abs"
    assert places("dbt build", {"DBT_TARGET_PATH": "env"}).target_dir == f"{project}/env"
    assert places("dbt build --log-path var", {"DBT_LOG_PATH": "env"}).log_file == f"{project}/var/dbt.log"


def test_where_the_project_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "models" / "deep")
    assert places("dbt build").project_dir == str(project)
    assert places("dbt build --project-dir ..").project_dir == str(project / "models" / "deep" / "..")
    assert places("dbt build", {"DBT_PROJECT_DIR": "/elsewhere"}, "flag").project_dir == "/elsewhere"
    assert places("dbt build", {}, "flag").project_dir == str(project / "models" / "deep" / "flag")
    assert places("dbt build --log-path logs").log_file == str(project / "models" / "deep" / "logs" / "dbt.log")
    assert nearest_project("/") == "/"


def test_words() -> None:
    assert dbt_words(["make", "all"]) == ()
    assert list(dbt_words(["/opt/venv/bin/dbt", "build"])) == ["build"]
    assert option(["--target"], "--target") == ""


def test_marks(project: Path) -> None:
    (project / "target").mkdir()
    (project / "logs").mkdir()
    results, log = project / "target" / "run_results.json", project / "logs" / "dbt.log"
    results.write_text("{}")
    log.write_text("before\n")
    marks = Marks(places("dbt build"))
    assert not marks.is_changed("run_results.json")
    assert not marks.is_changed("sources.json")
    with log.open("a") as file:
        file.write("after\n")
    assert marks.log_begin() == len("before\n")
    os.utime(results, ns=(1, 1))
    assert marks.is_changed("run_results.json")
    log.write_text("new\n")
    assert marks.log_begin() == 0
    log.unlink()
    assert marks.log_begin() == 0
