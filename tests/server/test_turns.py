"""Writers of one process take turns with SQLite, whoever comes first first."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections, transaction
from pytest_django import DjangoDbBlocker

from runbell.server.db.sqlite.turns import Turns

PATIENCE = 20.0


def in_line(turns: Turns, *work: Callable[[], None]) -> list[threading.Thread]:
    """Threads that wait for their turn one behind the other."""
    threads = []
    for number, each in enumerate(work, 1):

        def wait(each: Callable[[], None] = each) -> None:
            if turns.take(PATIENCE):
                each()
                turns.end()

        threads.append(threading.Thread(target=wait))
        threads[-1].start()
        while len(turns._line) < number:
            time.sleep(0.001)
    return threads


def test_whoever_waits_longest_is_next_and_not_whoever_runs() -> None:
    turns, done = Turns(), list[int]()
    assert turns.take(0)
    threads = in_line(turns, *(lambda number=number: done.append(number) for number in range(5)))
    turns.end()
    assert turns.take(PATIENCE)
    done.append(99)
    turns.end()
    for thread in threads:
        thread.join()
    assert done == [0, 1, 2, 3, 4, 99]
    assert turns.take(0)


def test_whoever_gives_up_is_passed_over() -> None:
    turns, done = Turns(), list[int]()
    assert turns.take(0)
    assert not turns.take(0.01)
    (thread,) = in_line(turns, lambda: done.append(1))
    turns.end()
    thread.join()
    assert done == [1]


@pytest.fixture
def a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The alias of a database on disk, as installations have it: who finds one in memory busy is refused at once."""
    options = {"timeout": PATIENCE, "transaction_mode": "IMMEDIATE"}
    one = {
        **connections["default"].settings_dict,
        "ENGINE": "runbell.server.db.sqlite",
        "NAME": str(tmp_path / "file.sqlite3"),
        "OPTIONS": options,
    }
    monkeypatch.setitem(connections.settings, "file", one)
    with django_db_blocker.unblock():
        with connections["file"].cursor() as cursor:
            cursor.execute("CREATE TABLE said (word TEXT)")
        yield "file"
        connections["file"].close()


def test_a_transaction_waits_for_the_one_before_and_a_failed_one_ends_its_turn(a_file: str) -> None:
    seen = list[list[str]]()

    def say(word: str) -> None:
        with connections[a_file].cursor() as cursor:
            cursor.execute("INSERT INTO said VALUES (%s)", [word])

    def other() -> None:
        with transaction.atomic(a_file), connections[a_file].cursor() as cursor:
            cursor.execute("SELECT word FROM said ORDER BY word")
            seen.append([word for (word,) in cursor.fetchall()])
        connections[a_file].close()

    thread = threading.Thread(target=other)
    with transaction.atomic(a_file):
        thread.start()
        time.sleep(0.05)
        assert seen == []
        say("first")
        transaction.on_commit(lambda: say("second"), using=a_file)
    thread.join(PATIENCE)
    assert "first" in seen[0]
    with pytest.raises(ZeroDivisionError), transaction.atomic(a_file):
        raise ZeroDivisionError
    with transaction.atomic(a_file):
        connections[a_file].close()
    thread = threading.Thread(target=other)
    thread.start()
    thread.join(PATIENCE)
    assert seen[1:] == [["first", "second"]]
