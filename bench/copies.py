"""Millions of rows: copies of stored ones, with some columns of their own, made inside the database.

COPY from outside takes twice as long: most of a row is the same JSON, which PostgreSQL would read and compress again for each. Indexes are
built afterwards, all of them, and in PostgreSQL two tables are filled side by side.
"""

import os
import sqlite3
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

SIDE_BY_SIDE = 2
SQLITE_FILLING = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-1000000"
POSTGRES_FILLING = "-c session_replication_role=replica -c maintenance_work_mem=512MB"  # replica: references are not looked up


@dataclass(frozen=True)
class Copies:
    """Rows with the ids from `first` on, as the row `like`, but for `columns`: SQL in both dialects, in which `n` counts from 0.

    `at`: the column is a time, in seconds since 1970.
    """

    table: str
    like: int
    first: int
    count: int
    columns: Mapping[str, str]
    at: Mapping[str, str]

    def sql(self, every: Iterable[str], time: str, series: str) -> str:
        """`every`: the columns of the table; `time`: how seconds since 1970 become one."""
        own = {"id": f"{self.first} + n", **self.columns, **{name: time.format(seconds) for name, seconds in self.at.items()}}
        names = {f'"{name}"': own.get(name, f'"{name}"') for name in every}
        return f"""
            INSERT INTO {self.table} ({", ".join(names)})
            SELECT {", ".join(names.values())} FROM {series.format(self.count)}, (SELECT * FROM {self.table} WHERE id = {self.like}) same"""


class SqliteFiller:
    """`home` is that of a database which nobody else has open."""

    def __init__(self, home: Path) -> None:
        self._path = home / "runbell.sqlite3"

    def number(self, sql: str) -> int:
        with closing(sqlite3.connect(self._path)) as database:
            return int(database.execute(sql).fetchone()[0])

    def add(self, copies: Iterable[Copies]) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as database:
            database.executescript(SQLITE_FILLING)
            for each in copies:
                self._add(database, each)
        os.sync()  # else whoever commits first waits for some gigabytes, longer than others wait for it

    def _add(self, database: sqlite3.Connection, copies: Copies) -> None:
        every = [name for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", [copies.table])]
        indexes = list(
            database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> '' AND tbl_name = ?", [copies.table])
        )
        series = "(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {}) SELECT n FROM s) series"
        database.execute("BEGIN")
        for name, _ in indexes:
            database.execute(f"DROP INDEX {name}")
        database.execute(copies.sql(every, "strftime('%Y-%m-%d %H:%M:%f', {}, 'unixepoch')", series))
        for _, sql in indexes:
            database.execute(sql)
        database.execute("COMMIT")


class PostgresFiller:
    def __init__(self, url: str) -> None:
        self._url = url

    def number(self, sql: str) -> int:
        with self._connected() as connection:
            (found,) = connection.execute(sql.encode()).fetchall()
            return int(found[0])

    def add(self, copies: Iterable[Copies]) -> None:
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(self._add, copies))
        with self._connected() as connection:
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")

    def _add(self, copies: Copies) -> None:
        with self._connected() as connection:
            found = connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped", [copies.table]
            )
            every = [name for (name,) in found]
            connection.execute("UPDATE pg_index SET indisready = false WHERE indrelid = %s::regclass", [copies.table])
            connection.execute(copies.sql(every, "to_timestamp({})", "generate_series(0, {} - 1) AS series(n)").encode())
            connection.execute(f"REINDEX TABLE {copies.table}".encode())
            connection.execute(f"SELECT setval(pg_get_serial_sequence('{copies.table}', 'id'), {copies.first + copies.count})".encode())

    def _connected(self) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(self._url, autocommit=True, options=POSTGRES_FILLING)


Filler = SqliteFiller | PostgresFiller
