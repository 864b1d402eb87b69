"""Rules added and removed by the thousand: a fixed number of statements, where Django would need one for every 166 on SQLite."""
# ruff: noqa: S608  # what is put into the SQL are this module's own literals; values are parameters

from collections.abc import Iterable
from datetime import datetime

from django.db import connection

from runbell.server.db.listed import item, items, listed, moment
from runbell.server.db.models import Rule

Row = tuple[int | None, int | None, str]  # job, environment, outcome


def add_rules(destination_id: int, rows: Iterable[Row], *, set_by: int | None, set_at: datetime) -> None:
    """One statement. A rule that is there stays as it is."""
    add_rules_of_many(((destination_id, *row) for row in rows), set_by=set_by, set_at=set_at)


def add_rules_of_many(rows: Iterable[tuple[int, int | None, int | None, str]], *, set_by: int | None, set_at: datetime) -> None:
    """The same; each row begins with its destination."""
    sql = f"""
        INSERT INTO {Rule._meta.db_table} (destination_id, job_id, environment_id, outcome, set_by_id, set_at)
        SELECT {item(0, "bigint")}, {item(1, "bigint")}, {item(2, "bigint")}, {item(3, "text")}, {item(4, "bigint")}, {item(5, "timestamptz")}
        FROM {items()} WHERE true ON CONFLICT DO NOTHING"""
    with connection.cursor() as cursor:
        cursor.execute(sql, [listed((*row, set_by, moment(set_at)) for row in rows)])


def remove_rules(ids: Iterable[int]) -> None:
    """Two statements: receipts outlive the rules they name."""
    chosen, given = f"(SELECT {item(0, 'bigint')} FROM {items()})", listed([pk] for pk in ids)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE runbell_receipt SET rule_id = NULL WHERE rule_id IN {chosen}", [given])
        cursor.execute(f"DELETE FROM {Rule._meta.db_table} WHERE id IN {chosen}", [given])
