"""The two databases, as they would be run: SQLite in the home, PostgreSQL in a cluster of its own, with fsync."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import psycopg
from tools.with_postgres import Cluster, cluster

from bench.bell import Bell
from bench.copies import Filler, PostgresFiller, SqliteFiller
from bench.processes import spent_seconds

NUMBERS = count()
CAREFUL = ("max_wal_size=4GB",)  # besides what PostgreSQL does by itself: no checkpoint in the middle of what is measured


@dataclass(frozen=True)
class Store:
    name: str
    cluster: Cluster | None = None

    def settings(self) -> dict[str, str]:
        """Of a Bell: where its database is, made for it."""
        if self.cluster is None:
            return {}
        name = f"bench_{next(NUMBERS)}"
        with psycopg.connect(self.cluster.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return {"RUNBELL_DATABASE_URL": self.cluster.url(name)}

    def filler(self, bell: Bell) -> Filler:
        return PostgresFiller(bell.env["RUNBELL_DATABASE_URL"]) if self.cluster else SqliteFiller(bell.home)

    def look_around(self, bell: Bell) -> None:
        """PostgreSQL learns how large its tables are, as it does by itself within a minute; nobody does it in an SQLite of ours."""
        if self.cluster:
            with psycopg.connect(bell.env["RUNBELL_DATABASE_URL"], autocommit=True) as connection:
                connection.execute("ANALYZE")

    def spent(self, *pids: int) -> float:
        """Processor seconds so far, of these processes and of the database's: everything that PostgreSQL runs."""
        own = [self.cluster.process.pid] if self.cluster and self.cluster.process else []
        return sum(map(spent_seconds, [*pids, *own]))


def stores() -> Iterator[Store]:
    """One after the other."""
    yield Store("SQLite")
    with postgres() as store:
        yield store


@contextmanager
def postgres() -> Iterator[Store]:
    with cluster(CAREFUL) as made:
        yield Store("PostgreSQL", made)
