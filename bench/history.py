"""Rules and runs by the million, as copies of one real run: what it left in each table, its message, its deliveries and their tries."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.copies import Copies, Filler

LISTENERS = 200  # who hear of every job
JOBS_OF_A_PLACE = 50
TOLD = 3  # of each run
DAYS = 25  # so far back it goes; nothing of it is old enough to be deleted
TABLES = ("user", "member", "destination", "environment", "job", "rule", "run", "runkey", "step", "node", "message")
TABLES_OF_THE_TOLD = ("receipt", "delivery", "attempt")


@dataclass(frozen=True)
class Size:
    jobs: int
    runs: int

    @property
    def rules(self) -> int:
        return self.jobs * LISTENERS

    def __str__(self) -> str:
        return f"{short(self.rules)} rules, {short(self.runs)} runs"


SMALL = Size(jobs=50, runs=10_000)


def large() -> Size:
    """HISTORY says how many runs, as 10m."""
    wanted = os.environ.get("HISTORY", "1m").lower()
    factor = {"k": 1_000, "m": 1_000_000}.get(wanted[-1:], 1)
    return Size(jobs=5_000, runs=int(wanted.rstrip("km")) * factor)


def short(number: int) -> str:
    return next((f"{number / unit:g}{word}" for unit, word in ((1_000_000, "m"), (1_000, "k")) if number >= unit), str(number))


def fill(filler: Filler, size: Size) -> None:
    """Needs a database in which the last delivery tells of a run that was told to `TOLD`, and no server or worker on it.

    The job of that run gets its share of the runs, and nobody new who hears of it.
    """
    filler.add(sorted(_History(filler, size).copies(), key=lambda copies: -copies.count))


class _History:
    def __init__(self, filler: Filler, size: Size) -> None:
        self._filler, self._size = filler, size
        self._first = {name: filler.number(f"SELECT MAX(id) + 1 FROM runbell_{name}") for name in TABLES + TABLES_OF_THE_TOLD}
        self._run = filler.number("SELECT run_id FROM runbell_delivery ORDER BY id DESC LIMIT 1")
        self._job = filler.number(f"SELECT job_id FROM runbell_run WHERE id = {self._run}")
        self._start, self._step = time.time() - DAYS * 86_400, DAYS * 86_400 / (size.runs + 1)

    def copies(self) -> Iterator[Copies]:
        yield from self._rules()
        yield from self._runs()
        yield from self._told()

    def _rules(self) -> Iterator[Copies]:
        """New members, who hear of every failure of new jobs."""
        jobs, places = self._size.jobs, -(-self._size.jobs // JOBS_OF_A_PLACE)
        yield self._of("user", LISTENERS, {"email": "'member' || n || '@acme.test'"})
        yield self._of("member", LISTENERS, {"user_id": self._next("user", "n"), "role": "'viewer'"})
        listening = {"member_id": self._next("member", "n"), "address": "''", "address_key": "''", "public_id": "'listener' || n"}
        yield self._of("destination", LISTENERS, listening)
        yield self._of("environment", places, {"name": "'Place ' || n"})
        made = {"environment_id": self._next("environment", f"n / {JOBS_OF_A_PLACE}"), "name": "'mart_' || (n % 37) || '_model_' || n"}
        yield self._of("job", jobs, made)
        pair = {
            "environment_id": "NULL",
            "job_id": self._next("job", f"n / {LISTENERS}"),
            "destination_id": self._next("destination", f"n % {LISTENERS}"),
        }
        yield self._of("rule", self._size.rules, pair)

    def _runs(self) -> Iterator[Copies]:
        """The jobs take turns, the one that is told of first."""
        jobs, own = self._size.jobs + 1, f"run_id = {self._run}"
        job = {"job_id": f"CASE n % {jobs} WHEN 0 THEN {self._job} ELSE {self._first['job']} - 1 + n % {jobs} END"}
        ended = dict.fromkeys(("started_at", "finished_at", "received_at", "decided_at"), self._at("n"))
        of_run = {"run_id": self._next("run", "n")}
        yield self._of("run", self._size.runs, job, ended, where=f"id = {self._run}")
        yield self._of("runkey", self._size.runs, {**of_run, "key": "'grown:' || n"}, where=own)
        yield self._of("step", self._size.runs, of_run, where=own)
        broken = f"step_id IN (SELECT id FROM runbell_step WHERE {own})"
        yield self._of("node", self._size.runs, {"step_id": self._next("step", "n")}, where=broken)
        yield self._of("message", self._size.runs, of_run, {"created_at": self._at("n")}, where=own)

    def _told(self) -> Iterator[Copies]:
        """Each run to the next of the listeners."""
        told, run, own = self._size.runs * TOLD, f"n / {TOLD}", f"run_id = {self._run}"
        to = {"run_id": self._next("run", run), "destination_id": self._next("destination", f"n % {LISTENERS}")}
        yield self._of("receipt", told, to, {"at": self._at(run)}, where=own)
        settled = dict.fromkeys(("due_at", "created_at", "settled_at"), self._at(run))
        yield self._of("delivery", told, {**to, "message_id": self._next("message", run)}, settled, where=own)
        tried = f"delivery_id IN (SELECT id FROM runbell_delivery WHERE {own})"
        yield self._of("attempt", told, {"delivery_id": self._next("delivery", "n")}, {"at": self._at(run)}, where=tried)

    def _next(self, table: str, number: str) -> str:
        return f"{self._first[table]} + {number}"

    def _at(self, run: str) -> str:
        return f"{self._start} + ({run}) * {self._step}"

    def _of(self, table: str, count: int, columns: dict[str, str], at: dict[str, str] | None = None, where: str = "1 = 1") -> Copies:
        like = self._filler.number(f"SELECT MIN(id) FROM runbell_{table} WHERE {where}")
        return Copies(f"runbell_{table}", like, self._first[table], count, columns, at or {})
