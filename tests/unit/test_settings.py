"""The table of settings, how each is read, and its reference."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from runbell.server import environment
from runbell.server.settings import database

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_every_setting_is_in_the_reference_as_the_table_has_it() -> None:
    rows = [line for line in REFERENCE.read_text().splitlines() if line.startswith("| `RUNBELL_")]
    assert [row.split("`")[1] for row in rows] == [setting.name for setting in environment.SETTINGS]
    for row, setting in zip(rows, environment.SETTINGS, strict=True):
        assert setting.help in row


def test_a_secret_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text("smtp://relay:25\n")
    monkeypatch.setenv("RUNBELL_SMTP_URL_FILE", str(tmp_path / "url"))
    assert environment.read("RUNBELL_SMTP_URL") == "smtp://relay:25"
    monkeypatch.setenv("RUNBELL_SMTP_URL_FILE", str(tmp_path / "none"))
    with pytest.raises(ImproperlyConfigured, match="RUNBELL_SMTP_URL_FILE: cannot read"):
        environment.read("RUNBELL_SMTP_URL")


@pytest.mark.parametrize(("text", "meant"), [("90s", timedelta(seconds=90)), ("15m", timedelta(minutes=15)), ("7d", timedelta(days=7))])
def test_times(text: str, meant: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBELL_MAX_AGE", text)
    assert environment.span("RUNBELL_MAX_AGE") == meant


@pytest.mark.parametrize("text", ["", "soon", "5", "h", "5y"])
def test_a_wrong_time_names_the_variable(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBELL_MAX_AGE", text)
    with pytest.raises(ImproperlyConfigured, match="RUNBELL_MAX_AGE"):
        environment.span("RUNBELL_MAX_AGE")


def test_a_generated_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secret_key"
    key = environment.key_file(path)
    assert len(key) >= 48
    assert environment.key_file(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["secret_key"]


def test_database_urls(tmp_path: Path) -> None:
    assert database("", tmp_path)["NAME"] == str(tmp_path / "runbell.sqlite3")
    postgres = database("postgresql://run%40bell:p%2Fw@db:5433/runbell?sslmode=require", tmp_path)
    assert (postgres["USER"], postgres["PASSWORD"], postgres["HOST"], postgres["PORT"]) == ("run@bell", "p/w", "db", "5433")
    assert postgres["OPTIONS"] == {"sslmode": "require"}
    with pytest.raises(ImproperlyConfigured, match="mysql:// is not known"):
        database("mysql://x", tmp_path)
