"""A home with data in it, and the commands of whoever owns the server."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.stage import BARE, ROOT, RUNBELL


@dataclass
class Installation:
    home: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        return BARE | {"RUNBELL_HOME": str(self.home)} | self.env

    @property
    def database(self) -> Path:
        return self.home / "runbell.sqlite3"

    def runbell(self, *words: str | Path, said: str = "") -> str:
        """What a command prints. It must work."""
        ended = self.call(*words, said=said)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def refused(self, *words: str | Path) -> str:
        """What a command says that must refuse, in one line."""
        ended = self.call(*words)
        assert (ended.returncode, ended.stderr.count("\n"), ended.stderr.startswith("runbell: ")) == (2, 1, True), ended.stderr
        return ended.stderr

    def call(self, *words: str | Path, said: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run([RUNBELL, *words], env=self.environ, input=said, capture_output=True, text=True, check=False)

    def seed(self, runs: int) -> str:
        """Returns a token that may do everything."""
        self.runbell("migrate")
        return self.python(f"from tests.e2e.seed import seed; print(seed({runs}))").strip()

    def secrets(self) -> list[str]:
        return self.python("from tests.e2e.seed import read_secrets; print(*read_secrets(), sep='\\n')").splitlines()

    def python(self, code: str) -> str:
        """What a program prints that may use our modules."""
        words = [sys.executable, "-c", f"import django; django.setup(); {code}"]
        environ = self.environ | {"DJANGO_SETTINGS_MODULE": "runbell.server.settings"}
        ended = subprocess.run(words, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def twin(self, home: Path) -> "Installation":
        shutil.copytree(self.home, home)
        return Installation(home, dict(self.env))

    def number(self, sql: str) -> int:
        with self.opened() as database:
            return int(database.execute(sql).fetchone()[0])

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.database)) as database, database:
            yield database
