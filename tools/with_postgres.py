"""Runs a command beside a PostgreSQL of its own: `python tools/with_postgres.py pytest tests/server`.

A throw-away cluster on a Unix socket, from the binaries on PATH or under /usr/lib/postgresql; its URL is in
RUNBELL_TEST_DATABASE_URL. initdb refuses root, so root drops to an unprivileged user. fsync is off: crashes are the fault
suite's matter.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "nobody"


def binary(name: str) -> str:
    places = [Path(found)] if (found := shutil.which(name)) else []
    places += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    if not places:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql (its server binaries are enough)")
    return str(places[0])


def unprivileged(command: list[str]) -> list[str]:
    if os.geteuid() != 0:
        return command
    return ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups", *command]


@contextmanager
def cluster() -> Iterator[str]:
    """The URL of a running cluster; stopped and removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="runbell-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(home, USER)
        data = home / "data"
        subprocess.run(
            unprivileged([binary("initdb"), "-D", str(data), "-U", "runbell", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )
        options = f"-c listen_addresses= -c unix_socket_directories={home} -c fsync=off -c full_page_writes=off -c max_connections=60"
        control = [binary("pg_ctl"), "-D", str(data), "-w", "-l", str(home / "log")]
        subprocess.run(unprivileged([*control, "-o", options, "start"]), check=True, stdout=subprocess.DEVNULL, cwd="/")
        try:
            yield f"postgresql://runbell@/postgres?host={home}"
        finally:
            subprocess.run(unprivileged([*control, "-m", "immediate", "stop"]), check=True, stdout=subprocess.DEVNULL, cwd="/")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def main() -> int:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with cluster() as url:
        return subprocess.run(sys.argv[1:], env={**os.environ, "RUNBELL_TEST_DATABASE_URL": url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
