"""A stage for real processes: a small dbt project, a `dbt` that plays recorded samples, and a Runbell that listens."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.runbell_server import FakeRunbell

RUNBELL = str(Path(sys.executable).parent / "runbell")
SAMPLES = Path(__file__).parents[2] / "data" / "dbt"
PLAYER = Path(__file__).parents[2] / "fakes" / "play_dbt.py"
PROJECT = "name: shop\nprofile: shop\n"
PROFILES = "shop:\n  target: prod\n  outputs:\n    prod:\n      type: duckdb\n"


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


@dataclass
class Stage:
    """`env` is the whole environment of what is run; `folder` is where."""

    folder: Path
    server: FakeRunbell
    env: dict[str, str] = field(default_factory=dict)

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def waiting(self) -> list[Path]:
        return sorted(self.spool.glob("*.json"))

    @property
    def minutes(self) -> list[str]:
        path = Path(self.env["PLAY_MINUTES"])
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def play(self, sample: str) -> None:
        self.env["PLAY"] = str(SAMPLES / sample)

    def run(self, *words: str, env: Mapping[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
        command = [RUNBELL, *words]
        return subprocess.run(
            command, cwd=self.folder, env=env or self.env, capture_output=True, text=True, timeout=60, check=False, **more
        )

    def sh(self, script: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=env or self.env, capture_output=True, text=True, timeout=60, check=False
        )

    def start(self, *words: str, **more: Any) -> "subprocess.Popen[str]":
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.env, **more}
        return subprocess.Popen(words, cwd=self.folder, text=True, **more)

    def wait_for_minute(self, minute: str) -> None:
        wait_until(lambda: minute in self.minutes, f"minute {minute}, there are {self.minutes}")


@pytest.fixture
def server() -> Iterator[FakeRunbell]:
    with FakeRunbell() as fake:
        yield fake


@pytest.fixture
def stage(tmp_path: Path, server: FakeRunbell) -> Stage:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(PROFILES)
    tools = tmp_path / "bin"
    tools.mkdir()
    dbt = tools / "dbt"
    dbt.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PLAYER}" "$@"\n')
    dbt.chmod(0o755)
    (tools / "runbell").symlink_to(RUNBELL)
    env = {
        "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "RUNBELL_URL": server.url,
        "RUNBELL_TOKEN": server.token,
        "RUNBELL_SPOOL_DIR": str(folder / "spool"),
        "PLAY_MINUTES": str(tmp_path / "minutes"),
    }
    # How coverage follows child processes; absent otherwise.
    env |= {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_") or name == "PYTHONPATH"}
    return Stage(folder, server, env)
