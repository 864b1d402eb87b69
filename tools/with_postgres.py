"""Runs a command beside a PostgreSQL of its own: `python tools/with_postgres.py pytest tests/server`.

A throw-away cluster on a Unix socket, from the binaries on PATH or under /usr/lib/postgresql; its URL is in
RUNBELL_TEST_DATABASE_URL. initdb refuses root, so root drops to an unprivileged user. fsync is off, except in the fault suite.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER = "nobody"
PATIENCE = 20.0  # seconds
CARELESS = ("fsync=off", "full_page_writes=off")


def binary(name: str) -> str:
    places = [Path(found)] if (found := shutil.which(name)) else []
    places += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    if not places:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql (its server binaries are enough)")
    return str(places[0])


def unprivileged(*command: str) -> list[str]:
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups", *command]


@dataclass
class Cluster:
    """`start` and `stop` as often as wanted. The postmaster is a child of ours: killed, it leaves nothing behind that looks alive."""

    home: Path
    options: tuple[str, ...] = CARELESS
    process: "subprocess.Popen[bytes] | None" = None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://runbell@/{database}?host={self.home}"

    def create(self) -> None:
        words = ["-D", self._data, "-U", "runbell", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(unprivileged(binary("initdb"), *words), check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        given = ("listen_addresses=", f"unix_socket_directories={self.home}", "max_connections=60", *self.options)
        end = time.monotonic() + PATIENCE
        while not self._has_started([word for option in given for word in ("-c", option)]):
            said = (self.home / "log").read_text()[-4000:]
            # A backend that was just born when its postmaster was killed sees only a moment later that it has no parent.
            if "is still in use" not in said or time.monotonic() > end:
                sys.exit(f"PostgreSQL did not start:\n{said}")
            time.sleep(0.2)

    def _has_started(self, options: list[str]) -> bool:
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(unprivileged(binary("postgres"), "-D", self._data, *options), stdout=log, stderr=log, cwd="/")
        while subprocess.run([binary("pg_isready"), "-q", "-h", self.home, "-t", "60"], check=False).returncode:
            if self.process.poll() is not None:
                return False
            time.sleep(0.05)
        return True

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT: at once, as pg_ctl's "immediate"; SIGINT: its "fast"."""
        assert self.process
        self.process.send_signal(how)
        self.process.wait()

    @property
    def _data(self) -> str:
        return str(self.home / "data")


@contextmanager
def cluster(options: tuple[str, ...] = CARELESS) -> Iterator[Cluster]:
    """A running cluster; stopped and removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="runbell-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(home, USER)
        made = Cluster(home, options)
        made.create()
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def main() -> int:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with cluster() as made:
        return subprocess.run(sys.argv[1:], env={**os.environ, "RUNBELL_TEST_DATABASE_URL": made.url()}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
