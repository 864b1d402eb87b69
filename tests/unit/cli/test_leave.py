"""Which files are left with a run, in which order, and what is said of those that are not."""

from pathlib import Path

import pytest
from tests.fakes.runbell_server import FakeRunbell

from runbell.cli import leave
from runbell.cli.deliver import never
from runbell.cli.leave import File, files_of, last_ones, log_of
from runbell.cli.settings import Settings

FILES = [File(1, "manifest.json", b"{}"), File(1, "dbt.log", b"x"), File(2, "dbt.log", b"x"), File(2, "manifest.json", b"[]")]


def settings(url: str, token: str = "", folder: Path = Path()) -> Settings:
    return Settings(url=url, token=token, spool_dir=folder)


def test_small_ones_go_first_and_large_ones_once() -> None:
    assert last_ones(FILES) == [FILES[1], FILES[2], FILES[3]]


def test_the_log_is_of_this_step_and_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "dbt.log"
    assert log_of(1, log, 0) == []
    log.write_text("before\nthis\nand that\n")
    assert log_of(1, log, 7) == [File(1, "dbt.log", b"this\nand that\n")]
    assert log_of(1, log, 21) == []
    monkeypatch.setattr(leave, "MAX_LOG", 11)
    assert log_of(1, log, 7) == [File(1, "dbt.log", b"and that\n")]


def test_what_is_not_there_or_too_large_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("manifest.json", "{}"), ("catalog.json", '{"a": 1}')):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(leave, "MAX_FILE", 5)
    paths = [tmp_path / name for name in ("manifest.json", "catalog.json", "sources.json")]
    assert files_of(1, paths) == [File(1, "manifest.json", b"{}")]
    assert "catalog.json is not used: it has more than 5 bytes" in capsys.readouterr().err


def test_a_server_that_is_gone_is_tried_once(capsys: pytest.CaptureFixture[str]) -> None:
    leave.leave("cli:1", FILES, settings=settings("http://127.0.0.1:9"), is_stopped=never)
    assert capsys.readouterr().err.count("is not kept: cannot reach http://127.0.0.1:9") == 1


@pytest.mark.parametrize("is_stopped", [False, True])
def test_what_there_was_no_time_for_is_named(is_stopped: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(leave, "LIMIT", 30.0 if is_stopped else 0.2)
    with FakeRunbell() as server:
        server.mode = "hang"
        leave.leave("cli:1", FILES[:2], settings=settings(server.url, server.token), is_stopped=lambda: is_stopped)
    assert "no time left for dbt.log of step 1, manifest.json of step 1" in capsys.readouterr().err
