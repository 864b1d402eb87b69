import json
import os
import stat
from pathlib import Path

import pytest

from runbell.cli.spool import FORGOTTEN, Spool


def report(job: str) -> bytes:
    return json.dumps({"job": {"name": job}, "started_at": "2026-11-24T02:00:00Z"}).encode()


def jobs(spool: Spool) -> list[str]:
    return [json.loads(path.read_bytes())["job"]["name"] for path in spool.waiting()]


def test_reports_wait_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "deep" / "spool")
    assert spool.waiting() == []
    for job in ("first", "second", "third"):
        assert spool.keep(report(job)) == []
    assert jobs(spool) == ["first", "second", "third"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in spool.waiting()} == {0o600}
    assert stat.S_IMODE(spool.directory.stat().st_mode) == 0o700


def test_too_many(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_files=2)
    dropped = [spool.keep(report(job)) for job in ("first", "second", "third", "fourth")]
    assert dropped == [[], [], ["first of 2026-11-24T02:00:00Z"], ["second of 2026-11-24T02:00:00Z"]]
    assert jobs(spool) == ["third", "fourth"]


def test_too_large(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=150)
    for job in ("first", "second"):
        spool.keep(report(job))
    assert len(spool.keep(report("third" * 40))) == 2
    assert jobs(spool) == ["third" * 40], "the newest stays, however large"


def test_dropping_what_is_no_report(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_files=1)
    (tmp_path / "0-odd.json").write_text("{")
    assert spool.keep(report("first")) == ["0-odd.json"]


def test_setting_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    paths = [spool.reject(report(f"job {number}")) for number in range(102)]
    assert not paths[0].exists()
    assert stat.S_IMODE(paths[-1].stat().st_mode) == 0o600
    assert len(list(spool.rejected.iterdir())) == 100
    assert spool.waiting() == []


def test_leftovers_of_a_killed_writer_go(tmp_path: Path) -> None:
    old, young = tmp_path / "old.part", tmp_path / "young.part"
    for path in (old, young):
        path.write_text("half a rep")
    status = old.stat()
    os.utime(old, (status.st_atime, status.st_mtime - FORGOTTEN - 60))
    Spool(tmp_path).keep(report("first"))
    assert not old.exists()
    assert young.exists(), "somebody may be writing it now"


def test_one_sends_at_a_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with spool.sending() as first, spool.sending() as second:
        assert (first, second) == (True, False)
    with spool.sending() as again:
        assert again
    with Spool(tmp_path / "missing").sending() as nowhere:
        assert not nowhere


def test_somebody_elses_directory_in_a_shared_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, theirs = tmp_path / "tmp", tmp_path / "tmp" / "runbell-spool-1000"
    theirs.mkdir(parents=True)
    shared.chmod(0o1777)
    Spool(theirs).keep(report("first"))
    monkeypatch.setattr(os, "geteuid", lambda: theirs.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="belongs to another user"):
        Spool(theirs).keep(report("second"))
