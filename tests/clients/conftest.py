"""Programs written for the dbt Admin API, each in a virtual environment of its own, beside a running Runbell behind TLS."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.tls_front import TlsFront
from tests.e2e.stage import BARE, ROOT, Server, failed

VENVS = ROOT / "var" / "clients"
CORE = "dbt-core<1.12"  # a newer one fetches a part of itself from elsewhere while it is installed
PACKAGES = {
    "dbtc": ["dbtc==0.11.7", "pyarrow<20"],  # its pandas does not go with a newer one
    "dbt-jobs-as-code": ["dbt-jobs-as-code==1.22.0"],
    "dbt-cloud-cli": ["dbt-cloud-cli==0.9.1"],
    "airflow": ["apache-airflow-providers-dbt-cloud==4.11.1"],
    "prefect": ["prefect-dbt==0.7.25", CORE],
    "dagster": ["dagster-dbt==0.29.27", CORE],
}
ARTIFACTS: dict[str, object] = {
    "manifest.json": {"metadata": {"project_name": "shop"}},
    "run_results.json": {"metadata": {"invocation_id": "af0793ae"}, "results": []},
}
GOOD_MANIFEST: dict[str, object] = {"nodes": {}}


@dataclass(frozen=True)
class Desk:
    """A server with one account, a run that failed and left its artifacts, and a token that may do everything."""

    server: Server
    front: TlsFront
    job: int
    run: int

    @property
    def host(self) -> str:
        return f"localhost:{self.front.port}"

    def add_good_run(self) -> None:
        """One that succeeded and left a manifest."""
        steps = [{"index": 1, "command": "dbt build", "exit_code": 0}]
        self.server.call("POST", "/api/runbell/v1/runs", {**failed("good"), "steps": steps})
        self.server.call("PUT", "/api/runbell/v1/runs/good/artifacts/1/manifest.json", GOOD_MANIFEST)

    def run_client(self, package: str, *command: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
        """What the program prints; its failure is the test's. The command and both ends of its answer are printed."""
        trust = {name: str(self.front.ca_file) for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")}
        program = str(venv_of(package) / "bin" / command[0])
        done = subprocess.run([program, *command[1:]], env=BARE | trust | (env or {}), cwd=cwd, capture_output=True, text=True, timeout=300)
        said = done.stdout or done.stderr
        print(f"$ {' '.join(command)}\n{said if len(said) < 900 else f'{said[:300]} … {said[-600:]}'}")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout


def venv_of(package: str) -> Path:
    """Made once; without a package registry the test is skipped and says so."""
    venv = VENVS / package
    if not (venv / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *PACKAGES[package]]
        done = subprocess.run(pip, capture_output=True, text=True, env=dict(os.environ))
        if done.returncode:
            pytest.skip(f"the package registry did not give {package}: {done.stderr[-300:]}")
        (venv / "ready").touch()
    return venv


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    directory = tmp_path_factory.mktemp("clients")
    server = Server(directory / "home", {})
    server.start()
    try:
        server.account = int(server.admin("account", "create", "Acme", "--admin", "ada@acme.test", "--password-file", "-"))
        can = "report,read,notifications,admin"
        server.token = server.admin("token", "create", "--account", str(server.account), "--name", "clients", "--can", can)
        run = server.report("the first")
        for name, file in ARTIFACTS.items():
            server.call("PUT", f"/api/runbell/v1/runs/the%20first/artifacts/1/{name}", file)
        [job] = server.call("GET", f"/api/v2/accounts/{server.account}/jobs/")["data"]
        with TlsFront(server.port, directory) as front:
            yield Desk(server, front, job["id"], run)
    finally:
        server.stop()
