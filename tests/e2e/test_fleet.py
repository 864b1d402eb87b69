"""Any number of `runbell serve` and `runbell worker` on one PostgreSQL: nothing is lost, nothing comes twice, and who joins takes its share.

make scale    the same with 30,000 deliveries
"""

import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from tests.e2e.conftest import Database
from tests.e2e.counts import Address, Count, Mails, expected, mails_in
from tests.e2e.processes import wait_until
from tests.e2e.stage import BARE, RUNBELL, Server, failed, sink

DELIVERIES = int(os.environ.get("RUNBELL_TEST_FLEET_DELIVERIES", "600"))
RECIPIENTS = ("ada@partner.example", "bob@partner.example", "eve@partner.example")
REPORTS = DELIVERIES // len(RECIPIENTS)
MANY = 10_000  # from here on the shares even out
BATCH = 25
SERVERS, WORKERS = 2, 4
PATIENCE = 180 + DELIVERIES / 10  # seconds, for a machine that does other things too
THREADS = 4  # RUNBELL_WEB_THREADS, as it is unless set
CONNECTIONS = SERVERS * THREADS + (SERVERS + WORKERS + 1) * 4  # docs/howto/scale.md: of each web server and each worker

# PostgreSQL's own, such as autovacuum, are listed too; and the one that asks.
OF_CLIENTS = """SELECT COUNT(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""


@contextmanager
def worker(server: Server, home: Path, **env: str) -> Iterator["subprocess.Popen[bytes]"]:
    """On a host of its own, as it were: another home, the same database and keys. Ends in order."""
    home.mkdir()
    keys = {f"{name}_FILE": str(server.home / file) for name, file in KEYS.items()}
    with home.with_suffix(".log").open("wb") as log:
        environ = server.environ | keys | {"RUNBELL_HOME": str(home)} | env
        with subprocess.Popen([RUNBELL, "worker"], env=environ, stdout=log, stderr=log) as process:
            yield process
            process.terminate()
            assert process.wait() == 0, home.with_suffix(".log").read_text()


KEYS = {"RUNBELL_SECRET_KEY": "secret_key", "RUNBELL_ENCRYPTION_KEYS": "encryption_keys"}


@contextmanager
def fleet(folder: Path, env: dict[str, str]) -> Iterator[list[Server]]:
    """Two servers that start at once on an empty database, and four workers beside them."""
    first = Server(folder / "serve0", env)
    with ExitStack() as stack:
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(first.start)
            wait_until(lambda: (first.home / "encryption_keys").exists() and (first.home / "secret_key").exists(), "the keys")
            keys = {f"{name}_FILE": str(first.home / file) for name, file in KEYS.items()}
            others = [Server(folder / f"serve{number}", env | keys) for number in range(1, SERVERS)]
            for server in others:
                server.start()
            starting.result()
        for server in (first, *others):
            stack.callback(server.stop)
        for number in range(WORKERS):
            stack.enter_context(worker(first, folder / f"worker{number}"))
        wait_until(lambda: listening(first) == SERVERS + WORKERS, "every worker")
        yield [first, *others]


def listening(server: Server) -> int:
    return server.number("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'")


def report(server: Server, keys: range) -> list[int]:
    """A batch of failed runs; their ids."""
    answer = server.call("POST", "/api/runbell/v1/runs:batch", {"reports": [failed(f"cli:{key}") for key in keys]})
    assert {result["status"] for result in answer["results"]} == {201}
    return [result["id"] for result in answer["results"]]


def tell(servers: list[Server], keys: range) -> set[int]:
    """Through all servers at the same time."""
    parts = [range(start, min(start + BATCH, keys.stop)) for start in range(keys.start, keys.stop, BATCH)]
    with ThreadPoolExecutor(2 * SERVERS) as pool:
        told = [pool.submit(report, servers[number % SERVERS], part) for number, part in enumerate(parts)]
    return {run for batch in told for run in batch.result()}


def test_none_is_lost_none_is_doubled_and_a_newcomer_takes_its_share(tmp_path: Path, on_postgres: Database, counted: Count) -> None:
    ours, theirs = tmp_path / "mails", tmp_path / "mails of the newcomer"
    with sink(ours) as smtp, sink(theirs) as other, fleet(tmp_path, {"RUNBELL_SMTP_URL": smtp, **on_postgres.env}) as servers:
        first = servers[0]
        first.furnish(RECIPIENTS)
        for server in servers:
            server.token = first.token
        runs = tell(servers, range(REPORTS // 3))
        with worker(first, tmp_path / "newcomer", RUNBELL_SMTP_URL=other):
            wait_until(lambda: listening(first) == SERVERS + WORKERS + 1, "the newcomer")
            before = sent(mails_in(ours))
            keys = range(REPORTS // 3, REPORTS)
            runs |= tell(servers, keys)
            # Of a few hundred that take a second, what each gets is up to the machine: more come until it had some.
            while not sent(mails_in(theirs)) and len(runs) < 5 * REPORTS:
                keys = range(keys.stop, keys.stop + BATCH)
                runs |= tell(servers, keys)
            connections = first.number(OF_CLIENTS)
            tomorrow(on_postgres.env["RUNBELL_DATABASE_URL"])
            wait_until(lambda: not first.pending(), "the last mail", PATIENCE)
        runs |= tell(servers, range(keys.stop, keys.stop + BATCH))
        wait_until(lambda: not first.pending(), "what old workers send on a newer schema")
    mails = together(mails_in(ours), mails_in(theirs))
    promised = expected(runs, RECIPIENTS)
    counted(counts := mails.against(promised))
    assert len(runs) == keys.stop + BATCH
    assert (counts.lost, counts.repeated) == (0, 0)
    assert mails.ids.keys() == promised
    late = sent(mails) - before - BATCH * len(RECIPIENTS)
    share, fair = sent(mails_in(theirs)), late / (SERVERS + WORKERS + 1)
    print(f"the newcomer sent {share} of {late}; fair were {fair:.0f}; {connections} connections")
    assert share > (fair / 4 if DELIVERIES >= MANY else 0)
    assert connections <= CONNECTIONS


def tomorrow(url: str) -> None:
    """What the migrations of a newer version may do while an older one still runs: tests/server/test_migrations.py."""
    with psycopg.connect(url) as database:
        database.execute("ALTER TABLE runbell_delivery ADD COLUMN tomorrow text NULL")
        database.execute("ALTER TABLE runbell_run ADD COLUMN tomorrow integer DEFAULT 1 NOT NULL")
        database.execute("CREATE TABLE runbell_tomorrow (id bigint PRIMARY KEY)")
        database.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('runbell', '9999_tomorrow', now())")


def sent(mails: Mails) -> int:
    return sum(len(ids) for ids in mails.ids.values())


def together(*found: Mails) -> Mails:
    ids: dict[Address, list[str]] = defaultdict(list)
    for mails in found:
        for address, each in mails.ids.items():
            ids[address] += each
    return Mails(ids)


def test_several_that_start_at_once_bring_the_database_up_to_date_once(tmp_path: Path, database: Database) -> None:
    environ = BARE | {"RUNBELL_HOME": str(tmp_path / "home")} | database.env
    starting = [subprocess.Popen([RUNBELL, "migrate"], env=environ, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in starting] == [("", 0)] * 3


def test_a_worker_that_is_newer_than_the_database_says_so(tmp_path: Path) -> None:
    ended = subprocess.run([RUNBELL, "worker"], env=BARE | {"RUNBELL_HOME": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (ended.returncode, "run `runbell migrate` first" in ended.stderr) == (2, True)
