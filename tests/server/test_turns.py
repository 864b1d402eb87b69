"""Writers of one process take turns with SQLite, whoever comes first first."""

import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from runbell.server.db.models import Account
from runbell.server.db.sqlite.turns import Turns
from tests.server.people import NOW

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


@pytest.mark.django_db(transaction=True)
def test_a_transaction_waits_for_the_one_before_and_a_failed_one_ends_its_turn() -> None:
    if connection.vendor != "sqlite":
        assert not hasattr(connection, "_take_turn")  # PostgreSQL has its own way
        return
    seen = list[bool]()

    def other() -> None:
        with transaction.atomic():
            seen.append(Account.objects.filter(name="First").exists())
        connection.close()

    thread = threading.Thread(target=other)
    with transaction.atomic():
        thread.start()
        time.sleep(0.05)
        assert seen == []
        Account.objects.create(name="First", created_at=NOW)
        transaction.on_commit(lambda: Account.objects.create(name="Behind", created_at=NOW))
    thread.join()
    assert seen == [True]
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        raise ZeroDivisionError
    with transaction.atomic():
        connection.close()
    thread = threading.Thread(target=other)
    thread.start()
    thread.join(PATIENCE)
    assert seen == [True, True]
