"""Databases whose tables are there: bringing an empty one up to date costs more than most tests, so it is done once and copied.

What begins with an empty one: the demo, and several that start at once (test_fleet.py).
"""

import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

Migrate = Callable[[dict[str, str]], None]
FILE = "runbell.sqlite3"
TEMPLATE = "runbell_tables"


def lay_in_sqlite(home: Path, migrate: Migrate) -> None:
    """In a home that is not there yet."""
    home.mkdir(mode=0o700)
    shutil.copy(_sqlite(migrate), home / FILE)


@cache
def _sqlite(migrate: Migrate) -> Path:
    home = Path(os.environ["RUNBELL_HOME"]) / "template"  # of this test process, which removes it
    migrate({"RUNBELL_HOME": str(home)})
    return home / FILE


def lay_in_postgres(url: str, migrate: Migrate) -> None:
    """Instead of the empty database at the URL."""
    parts = urlsplit(url)
    template = parts._replace(path=f"/{TEMPLATE}").geturl()
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone():
            connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
            migrate({"RUNBELL_HOME": str(Path(os.environ["RUNBELL_HOME"]) / "postgres"), "RUNBELL_DATABASE_URL": template})
        name = parts.path.lstrip("/")
        connection.execute(f"DROP DATABASE {name}".encode())
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}".encode())
