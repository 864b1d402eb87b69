"""Backup and restore, by the commands that an owner types."""

import fcntl
import signal
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from tests.e2e.installation import Installation
from tests.e2e.processes import wait_until
from tests.e2e.seed import SECRETS
from tests.e2e.stage import RUNBELL

RUNS = 50


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    made = Installation(tmp_path_factory.mktemp("furnished") / "home")
    made.seed(RUNS)
    return made


@pytest.fixture
def here(furnished: Installation, tmp_path: Path) -> Installation:
    return furnished.twin(tmp_path / "here")


def test_a_backup_with_keys_is_a_whole_installation(here: Installation, tmp_path: Path) -> None:
    file, there = tmp_path / "all.backup", Installation(tmp_path / "there")
    assert "can read every secret" in here.runbell("admin", "backup", file, "--with-keys")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["all.backup"]
    assert "with its keys" in there.runbell("admin", "restore", file)
    assert there.number("SELECT COUNT(*) FROM runbell_run") == RUNS
    assert there.number("SELECT COUNT(*) FROM runbell_artifactpart WHERE length(data) = 256") == RUNS
    assert there.secrets() == list(SECRETS)
    assert there.number("SELECT COUNT(*) FROM sqlite_master WHERE name = 'runbell_backup'") == 0
    assert sorted(path.name for path in there.home.iterdir()) == ["encryption_keys", "runbell.sqlite3", "secret_key", "worker.lock"]
    assert {stat.S_IMODE((there.home / name).stat().st_mode) for name in ("encryption_keys", "secret_key")} == {0o600}


def test_without_keys_no_secret_is_in_the_file_and_the_keys_of_then_are_needed(here: Installation, tmp_path: Path) -> None:
    file, there = tmp_path / "all.backup", Installation(tmp_path / "there")
    assert "The keys are not in it" in here.runbell("admin", "backup", file)
    content = file.read_bytes()
    keys = [(here.home / name).read_bytes() for name in ("encryption_keys", "secret_key")]
    assert [word for word in [*keys, *(secret.encode() for secret in SECRETS)] if word in content] == []
    assert "RUNBELL_ENCRYPTION_KEYS" in there.refused("admin", "restore", file)
    there.env["RUNBELL_ENCRYPTION_KEYS_FILE"] = str(here.home / "encryption_keys")
    assert "signed with another RUNBELL_SECRET_KEY" in there.runbell("admin", "restore", file)
    assert there.secrets() == list(SECRETS)


def test_nothing_is_overwritten_unasked(here: Installation, tmp_path: Path) -> None:
    file = tmp_path / "all.backup"
    file.write_text("mine")
    assert "--force" in here.refused("admin", "backup", file)
    assert file.read_text() == "mine"
    here.runbell("admin", "backup", file, "--force")
    with here.opened() as database:
        database.execute("DELETE FROM runbell_attempt")
    assert "--force" in here.refused("admin", "restore", file)
    assert here.number("SELECT COUNT(*) FROM runbell_attempt") == 0
    here.runbell("admin", "restore", file, "--force")
    assert here.number("SELECT COUNT(*) FROM runbell_attempt") == 3 * RUNS
    assert here.secrets() == list(SECRETS)


def test_what_is_no_backup_or_damaged_or_of_a_newer_runbell_is_refused_and_changes_nothing(here: Installation, tmp_path: Path) -> None:
    there, file = Installation(tmp_path / "there"), tmp_path / "file"
    assert "No such file" in there.refused("admin", "restore", file)
    for content in (b"", b"SQLite format 3\0 or so", (here.home / "runbell.sqlite3").read_bytes()):
        file.write_bytes(content)
        assert "no backup of Runbell" in there.refused("admin", "restore", file)
    here.runbell("admin", "backup", file, "--force", "--with-keys")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('runbell', '9999_tomorrow', '2027-01-01')")
    assert "made by a newer Runbell" in there.refused("admin", "restore", file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in there.refused("admin", "restore", file)
    assert sorted(path.name for path in there.home.iterdir()) == ["encryption_keys", "secret_key", "worker.lock"]


def test_a_backup_of_an_older_runbell_is_brought_up_to_date(here: Installation, tmp_path: Path) -> None:
    file, there = tmp_path / "file", Installation(tmp_path / "there")
    here.runbell("admin", "backup", file, "--with-keys")
    older = Installation(here.home, {"RUNBELL_DATABASE_URL": f"sqlite://{file}"})
    older.python("from django.core.management import call_command; call_command('migrate', 'runbell', '0005', verbosity=0)")
    there.runbell("admin", "restore", file)
    assert there.number("SELECT COUNT(*) FROM runbell_destination WHERE held_until IS NULL") == 3


def test_a_full_disk_leaves_no_half_backup(here: Installation, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    script = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
    script += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    script += f"from runbell.server.commands import main; sys.exit(main(['admin', 'backup', {str(tmp_path / 'file')!r}]) - 2)"
    here.python(script)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_restore_touches_nothing_that_a_server_uses(here: Installation, tmp_path: Path) -> None:
    file = tmp_path / "file"
    here.runbell("admin", "backup", file)
    with (here.home / "worker.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "stop it first" in here.refused("admin", "restore", file, "--force")


@pytest.mark.parametrize("moment", ["restore.sqlite3", "restore.sqlite3-journal", "runbell.sqlite3-wal"])
def test_a_restore_that_is_killed_leaves_the_old_or_the_new_and_is_begun_again(here: Installation, tmp_path: Path, moment: str) -> None:
    """Here with other keys than the backup's: both kinds stay readable."""
    file, there = tmp_path / "file", Installation(tmp_path / "there")
    here.runbell("admin", "backup", file, "--with-keys")
    there.seed(7)
    with subprocess.Popen([RUNBELL, "admin", "restore", file, "--force"], env=there.environ, stdout=subprocess.DEVNULL) as restoring:
        wait_until(lambda: (there.home / moment).exists() or restoring.poll() is not None, "the moment")
        restoring.send_signal(signal.SIGKILL)
    assert there.number("SELECT COUNT(*) FROM runbell_run") in (7, RUNS)
    assert there.secrets() == list(SECRETS)
    there.runbell("admin", "restore", file, "--force")
    assert there.number("SELECT COUNT(*) FROM runbell_run") == RUNS
    assert there.secrets() == list(SECRETS)
    assert not (there.home / "restore.sqlite3").exists()
