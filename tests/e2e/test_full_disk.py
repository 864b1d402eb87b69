"""A disk without room, under the database and under the spool: what is refused is refused, what was accepted arrives.

`make faults` has a disk of a few megabytes, a tmpfs in a mount namespace of its own, and fails on a machine that allows none. `make test` has
a limit on how far files may be written, which the kernel holds everywhere.
"""

import json
import resource
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from tests.e2e.conftest import LONG
from tests.e2e.counts import Count, expected, mails_in
from tests.e2e.processes import family, wait_until
from tests.e2e.stage import BARE, RUNBELL, Server, failed, running, sink

RECIPIENTS = ("ada@partner.example", "bob@partner.example")
MOUNT = 'mount -t tmpfs -o size=12m none "$0" && cp -a "$1/." "$0" && shift && exec "$@"'
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private")
REFUSALS = 5
REPORT = "runbell run --project shop --environment Production --job nightly -- sh -c 'exit 3'"

UNCOMPILED = {"PYTHONDONTWRITEBYTECODE": "1"}  # Python would leave halves of compiled modules behind

Fill = Callable[[bool], None]  # or make room again
Kind = Callable[[Server], AbstractContextManager[Fill]]


@contextmanager
def small_disk(server: Server) -> Iterator[Fill]:
    before = server.home.with_name("before")
    shutil.copytree(server.home, before, ignore=shutil.ignore_patterns("*.socket"))
    server.wrap = (*NAMESPACE, "sh", "-c", MOUNT, str(server.home), str(before))
    server.start()
    assert server.process
    filler = Path(f"/proc/{server.process.pid}/root{server.home}/filler")

    def fill(is_full: bool) -> None:
        if not is_full:
            filler.unlink()
            return
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass

    yield fill


@contextmanager
def short_files(server: Server) -> Iterator[Fill]:
    """The log cannot be written either."""
    with server.log.open("a") as log:
        log.write("\n" * 8192)
    server.env |= UNCOMPILED
    server.start()

    def fill(is_full: bool) -> None:
        assert server.process
        for pid in family(server.process.pid):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096 if is_full else resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    yield fill


KINDS = [pytest.param(small_disk, marks=LONG, id="tmpfs"), pytest.param(short_files, id="limit")]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_full_disk_cannot_keep_is_refused_and_the_rest_arrives(tmp_path: Path, kind: Kind, counted: Count) -> None:
    record = tmp_path / "mails"
    with sink(record) as smtp, running(tmp_path / "home", RUNBELL_SMTP_URL=smtp) as server:
        server.furnish(RECIPIENTS)
        assert server.stop() == 0
        with kind(server) as fill:
            runs = [server.report("cli:before")]
            fill(True)
            refused = until_refused(server, runs)
            kept = command(server, tmp_path, REPORT)
            fill(False)
            runs += [server.report(key) for key in refused]
            sent = command(server, tmp_path, "runbell flush")
            runs.append(server.report("cli:after"))
            wait_until(lambda: not has_messages(server), "the last mail")
            assert server.stop() == 0
    assert (kept.returncode, sent.returncode) == (3, 0)
    assert "answers HTTP 503" in kept.stderr
    mails = mails_in(record)
    [spooled] = {int(run) for run, _ in mails.ids} - set(runs)
    counted(counts := mails.against(promised := expected([*runs, spooled], RECIPIENTS)))
    assert len(set(runs)) == len(runs)
    assert mails.ids.keys() == promised
    assert counts.repeated == 0


def until_refused(server: Server, runs: list[int]) -> list[str]:
    """Reports until some are refused; what SQLite's log still has room for is accepted."""
    refused: list[str] = []
    for number in range(2000):
        try:
            runs.append(int(server.call("POST", "/api/runbell/v1/runs", failed(f"cli:{number}"))["id"]))
        except urllib.error.HTTPError as answer:
            refused.append(f"cli:{number}")
            with answer:
                told = (answer.code, answer.headers["Retry-After"], json.load(answer)["error"]["message"])
            if told != (503, "10", "The database cannot be used right now. Send this again in a moment."):
                raise AssertionError(told) from None
        if len(refused) == REFUSALS:
            return refused
    raise AssertionError("the disk was never full")


def has_messages(server: Server) -> bool:
    """Asked by HTTP: the file is on a disk that only the server sees."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as response:
        return b"runbell_queue_deliveries{" in response.read()


def command(server: Server, folder: Path, line: str) -> "subprocess.CompletedProcess[str]":
    env = spooling(folder) | {"RUNBELL_URL": server.url, "RUNBELL_TOKEN": server.token}
    return subprocess.run(["sh", "-c", line], cwd=folder, env=env, capture_output=True, text=True, check=False)


def spooling(folder: Path) -> dict[str, str]:
    return BARE | UNCOMPILED | {"RUNBELL_SPOOL_DIR": str(folder / "spool"), "PATH": f"{Path(RUNBELL).parent}:{BARE['PATH']}"}


NO_ROOM = {
    "limit": f"ulimit -f 0; {REPORT}",
    "tmpfs": f'mount -t tmpfs -o size=64k none "$RUNBELL_SPOOL_DIR"; cat /dev/zero > "$RUNBELL_SPOOL_DIR/filler" 2> /dev/null; {REPORT}',
}


@pytest.mark.parametrize("kind", ["limit", pytest.param("tmpfs", marks=LONG)])
def test_a_report_that_no_disk_can_keep_is_named_and_the_exit_code_stays(tmp_path: Path, kind: str) -> None:
    (tmp_path / "spool").mkdir(mode=0o700)
    env = spooling(tmp_path) | {"RUNBELL_URL": "http://127.0.0.1:9", "RUNBELL_TOKEN": "rb_none"}
    script = f'{NO_ROOM[kind]}; code=$?; ls "$RUNBELL_SPOOL_DIR"; exit $code'
    namespace = NAMESPACE if kind == "tmpfs" else ()
    done = subprocess.run([*namespace, "sh", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "this run is not reported" in done.stderr
    assert [name for name in done.stdout.split() if name.endswith((".json", ".part"))] == []
