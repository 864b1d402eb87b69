"""Databases to run a server on, and what its faults came to."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import count

import psycopg
import pytest
from tests.e2e.counts import Count
from tools.with_postgres import Cluster, cluster


@dataclass(frozen=True)
class Database:
    """An empty one of its own. `cluster` is None beside SQLite."""

    env: dict[str, str]
    cluster: Cluster | None = None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One that survives a crash: fsync is on."""
    with cluster(options=()) as made:
        yield made


NUMBERS = count()


LONG = pytest.mark.long  # for a parameter or a test that `make test` leaves to `make faults` and `make slack`


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    return database_of(request)


def database_of(request: pytest.FixtureRequest) -> Database:
    return Database({}) if request.param == "sqlite" else fresh(request.getfixturevalue("postgres"))


@pytest.fixture
def on_postgres(postgres: Cluster) -> Database:
    return fresh(postgres)


def fresh(postgres: Cluster) -> Database:
    name = f"runbell_{next(NUMBERS)}"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return Database({"RUNBELL_DATABASE_URL": postgres.url(name)}, postgres)


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> Count:
    """tests/conftest.py adds them up."""
    return lambda counts: record_property("counts", asdict(counts))
