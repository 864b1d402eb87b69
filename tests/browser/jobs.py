"""dbt jobs beside the browser: `runbell run` before a `dbt` that plays recorded runs of the real one."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.browser.people import People
from tests.e2e.stage import BARE, ROOT, RUNBELL

PLAYER, SAMPLES = ROOT / "tests/fakes/play_dbt.py", ROOT / "tests/data/dbt"


@dataclass
class Jobs:
    folder: Path
    people: People

    def __post_init__(self) -> None:
        (self.folder / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
        dbt = self.folder / "bin/dbt"
        dbt.parent.mkdir()
        dbt.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PLAYER}" "$@"\n')
        dbt.chmod(0o755)

    def run(self, job: str, environment: str, sample: str) -> int:
        """The exit code is dbt's own."""
        command = (SAMPLES / sample / "command.txt").read_text().partition("   [")[0].split()
        words = [RUNBELL, "run", "--job", job, "--environment", environment, "--", *command]
        env = BARE | {
            "PATH": f"{self.folder / 'bin'}:{os.defpath}",
            "RUNBELL_URL": self.people.server.url,
            "RUNBELL_TOKEN": self.people.acme.token,
            "RUNBELL_SPOOL_DIR": str(self.folder / "spool"),
            "RUNBELL_WAIT": "30",
            "PLAY": str(SAMPLES / sample),
        }
        done = subprocess.run(words, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        assert done.stderr == "", done.stderr
        return done.returncode
