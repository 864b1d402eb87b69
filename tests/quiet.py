"""Secrets of Slack that tests make carry a mark, and the mark is looked for wherever a secret must not be, after each test that made any:

captured output and log, down to debug      pytest_runtest_makereport
answers of our pages and our API            Listener
messages in Slack                           the fake, as it keeps them
columns, sessions and cache                 pytest_runtest_call
log and home of a server with processes     tests/e2e/stage.py

A state is made by Runbell and has no mark: whoever sees one `remembers` it.
"""

import zlib
from base64 import b64decode, urlsafe_b64decode
from binascii import Error
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

MARK = "QuietPlease"
_seen: set[str] = {MARK}
_leaks: list[str] = []  # noted in the course of a test


def remember(secret: str) -> str:
    _seen.add(secret)
    return secret


def secrets_in(text: str) -> list[str]:
    return sorted(secret for secret in _seen if secret in text)


def note(text: str, where: str) -> None:
    """What is found makes the test fail when it ends."""
    if found := secrets_in(text):
        _leaks.append(f"{where}: {', '.join(found)}")


class Listener:
    """Middleware before all other. The way to Slack alone holds the state."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer

    def __call__(self, request: Any) -> Any:
        response = self.answer(request)
        headers = {name: value for name, value in response.headers.items() if not (name == "Location" and "/oauth/v2/authorize?" in value)}
        body = b"".join(response) if response.streaming else response.content
        if response.streaming:
            response.streaming_content = [body]
        note(f"{headers} {body.decode('utf-8', 'replace')}", f"{request.method} {request.path}")
        return response


def stored(cursor: Any, tables: list[str]) -> Iterator[tuple[str, str]]:
    """Each table with all that is in it; sessions and cache unpacked."""
    for table in tables:
        cursor.execute(f'SELECT * FROM "{table}"')
        rows = cursor.fetchall()
        packed = rows if table in ("django_session", "runbell_cache") else ()
        yield table, repr(rows) + "".join(unpacked(value) for row in packed for value in row if isinstance(value, str))


def unpacked(value: str) -> str:
    """Of a session, signed and squeezed, or of a pickle in the cache."""
    squeezed = value.startswith(".")
    text = value.removeprefix(".").partition(":")[0]
    padded = text + "=" * (-len(text) % 4)
    try:
        data = urlsafe_b64decode(padded) if squeezed or ":" in value else b64decode(padded)
        return (zlib.decompress(data) if squeezed else data).decode("utf-8", "replace")
    except (Error, ValueError, zlib.error):
        return ""


def check_database() -> None:
    """Where Slack is in it at all, and it can still be asked."""
    from django.db import connection

    from runbell.server.db.models import Destination, SlackApp, SlackWorkspace

    if connection.needs_rollback or not any(
        rows.exists() for rows in (SlackWorkspace.objects, SlackApp.objects, Destination.objects.filter(kind__startswith="slack"))
    ):
        return
    with connection.cursor() as cursor:
        for table, text in stored(cursor, connection.introspection.table_names(cursor)):
            note(text, f"the table {table}")


def check_files(*places: Path) -> None:
    """Bytes of a database too: what was deleted or rolled back is still in its pages."""
    for place in places:
        for path in [place] if place.is_file() else place.rglob("*"):
            if path.is_file():
                note(path.read_bytes().decode("utf-8", "replace"), path.name)


def check_served_database(path: Path, url: str = "") -> None:
    """PostgreSQL at the URL, else SQLite."""
    import sqlite3
    from contextlib import closing

    import psycopg

    database: Any = psycopg.connect(url) if url else sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'" if url else "SELECT name FROM sqlite_master WHERE type = 'table'"
    with closing(database):
        cursor = database.cursor()
        cursor.execute(names)
        for table, text in stored(cursor, [row[0] for row in cursor.fetchall()]):
            note(text, f"the table {table}")


def settle() -> None:
    found = list(_leaks)
    _leaks.clear()
    assert not found, "a secret of Slack is where none may be: " + "; ".join(found)


def _has_database(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return item.get_closest_marker("django_db") is not None or bool({"db", "transactional_db"} & set(fixtures))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Before the fixtures end, while the rows are there."""
    result = yield
    if _has_database(item):
        check_database()
    settle()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    found = [name for name, text in report.sections if report.when in name and secrets_in(text)]
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = f"a secret of Slack is in: {', '.join(found)}"
    return report
