"""`runbell admin database copy`: an installation moves to PostgreSQL, and goes on there as if nothing had been.

make scale    the same with 100,000 runs
"""

import os
import re
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest
from tests.e2e.conftest import Database
from tests.e2e.installation import Installation
from tests.e2e.processes import wait_until
from tests.e2e.seed import RECIPIENTS, SECRETS
from tests.e2e.stage import RUNBELL, Server, sink
from tests.fakes.smtp_server import SmtpServer

RUNS = int(os.environ.get("RUNBELL_TEST_COPY_RUNS", "2000"))
LINE = re.compile(r"^(\w+) +([\d,]+)  ([0-9a-f]{32})$", re.M)
# Keys of the database's own, as if that run had been pruned.
WITHOUT_THE_LAST_RUN = "; ".join(
    f"DELETE FROM runbell_{table} WHERE {column} IN (SELECT {key} FROM runbell_{of} {where})"
    for table, column, key, of, where in (
        ("attempt", "delivery_id", "id", "delivery", "WHERE run_id = (SELECT MAX(id) FROM runbell_run)"),
        ("node", "step_id", "id", "step", "WHERE run_id = (SELECT MAX(id) FROM runbell_run)"),
        ("artifactpart", "artifact_id", "id", "artifact", "WHERE run_id = (SELECT MAX(id) FROM runbell_run)"),
        *((table, "run_id", "MAX(id)", "run", "") for table in ("receipt", "delivery", "message", "step", "artifact", "runkey")),
        ("run", "id", "MAX(id)", "run", ""),
    )
)
Sums = dict[str, tuple[int, str]]


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "home")


def copied(said: str) -> Sums:
    return {table: (int(count.replace(",", "")), checksum) for table, count, checksum in LINE.findall(said)}


def count(url: str, table: str) -> int:
    with psycopg.connect(url) as database:
        return int(database.execute(f"SELECT COUNT(*) FROM {table}".encode()).fetchall()[0][0])


def test_everything_is_there_and_goes_on(here: Installation, on_postgres: Database, tmp_path: Path) -> None:
    token, url = here.seed(RUNS), on_postgres.env["RUNBELL_DATABASE_URL"]
    with here.opened() as database:  # the last ids are gone, and must not come again
        database.executescript(WITHOUT_THE_LAST_RUN)
    there = copied(here.runbell("admin", "database", "copy", "--to", url))
    assert {name: there[f"runbell_{name}"][0] for name in ("run", "delivery", "attempt")} == {
        "run": RUNS - 1,
        "delivery": RECIPIENTS * (RUNS - 1) + 1,
        "attempt": RECIPIENTS * (RUNS - 1),
    }
    assert count(url, "runbell_run") == RUNS - 1
    assert "data already" in here.refused("admin", "database", "copy", "--to", url)

    here.env |= on_postgres.env
    assert here.secrets() == list(SECRETS)
    with SmtpServer() as smtp:
        server = Server(here.home, on_postgres.env | {"RUNBELL_SMTP_URL": smtp.url}, token=token)
        server.start()
        try:
            assert server.report("after the move") == RUNS + 1
            mails = smtp.wait_for(RECIPIENTS, timeout=60)
        finally:
            assert server.stop() == 0
    assert {mail.headers["X-Runbell-Run"] for mail in mails} == {str(RUNS + 1)}
    assert {address for mail in mails for address in mail.recipients} == {f"team{number}@partner.example" for number in range(RECIPIENTS)}


def test_killed_in_the_middle_it_has_done_nothing_and_is_begun_again(here: Installation, on_postgres: Database) -> None:
    url = on_postgres.env["RUNBELL_DATABASE_URL"]
    here.seed(RUNS)
    with psycopg.connect(url, autocommit=True) as watcher:
        command = [RUNBELL, "admin", "database", "copy", "--to", url]
        with subprocess.Popen(command, env=here.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as copying:
            busy = b"SELECT 1 FROM pg_stat_progress_copy WHERE relid = to_regclass('runbell_delivery') AND tuples_processed > 0"
            wait_until(lambda: watcher.execute(busy).fetchall(), "a copy that is under way")
            copying.send_signal(signal.SIGKILL)
        others = b"SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        wait_until(lambda: not watcher.execute(others).fetchall(), "the end of its session")
    assert count(url, "runbell_run") == count(url, "runbell_account") == 0
    assert copied(here.runbell("admin", "database", "copy", "--to", "-", said=f"{url}\n"))["runbell_run"][0] == RUNS
    assert here.number("SELECT COUNT(*) FROM runbell_run") == RUNS


def test_there_and_back_again(here: Installation, on_postgres: Database, tmp_path: Path) -> None:
    """Also by way of a backup of PostgreSQL."""
    url, file = on_postgres.env["RUNBELL_DATABASE_URL"], tmp_path / "file"
    here.seed(20)
    there = copied(here.runbell("admin", "database", "copy", "--to", url))
    on_it = Installation(here.home, on_postgres.env)
    assert copied(on_it.runbell("admin", "database", "copy", "--to", f"sqlite://{tmp_path / 'back.sqlite3'}")) == there
    on_it.runbell("admin", "backup", file, "--with-keys")
    back = Installation(tmp_path / "back")
    back.runbell("admin", "restore", file)
    assert copied(back.runbell("admin", "database", "copy", "--to", f"sqlite://{tmp_path / 'again.sqlite3'}")) == there
    assert back.secrets() == list(SECRETS)
    assert "--force" in on_it.refused("admin", "restore", file)
    on_it.runbell("admin", "restore", file, "--force")
    assert count(url, "runbell_run") == 20
    with psycopg.connect(url) as database:
        database.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('runbell', '9999_tomorrow', now())")
    for words in (
        ("restore", str(file), "--force"),
        ("backup", str(tmp_path / "more")),
        ("database", "copy", "--to", f"sqlite://{tmp_path / 'more.sqlite3'}"),
    ):
        assert "a newer Runbell was here" in on_it.refused("admin", *words)


def test_what_the_target_cannot_hold_is_named_without_its_words(here: Installation, on_postgres: Database) -> None:
    url = on_postgres.env["RUNBELL_DATABASE_URL"]
    here.seed(1)
    with here.opened() as database:
        database.execute("UPDATE runbell_node SET message = 'hush' || char(0)")
    said = here.refused("admin", "database", "copy", "--to", url)
    assert "runbell_node" in said
    assert "hush" not in said
    assert count(url, "runbell_run") == 0


def test_a_target_that_is_not_there_is_said_without_its_password(here: Installation) -> None:
    here.runbell("migrate")
    for url in (
        "postgresql://ada:hush@127.0.0.1:9/runbell",
        "mysql://ada:hush@127.0.0.1/runbell",
        "postgresql://ada:hush@127.0.0.1:port/x",
    ):
        said = here.refused("admin", "database", "copy", "--to", url)
        assert "--to" in said
        assert "hush" not in said
    assert "used now" in here.refused("admin", "database", "copy", "--to", "sqlite://")


def test_nobody_writes_here_while_it_is_copied(here: Installation, on_postgres: Database, tmp_path: Path) -> None:
    here.runbell("migrate")
    with sink(tmp_path / "mails") as smtp:
        server = Server(here.home, {"RUNBELL_SMTP_URL": smtp})
        server.start()
        try:
            assert "stop it first" in here.refused("admin", "database", "copy", "--to", on_postgres.env["RUNBELL_DATABASE_URL"])
        finally:
            server.stop()
