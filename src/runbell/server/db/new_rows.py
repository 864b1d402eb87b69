"""What is told of new rows (db/inserts.py): the columns of a table that differ from row to row, by the names of their models' fields."""

from datetime import datetime
from typing import Any, TypedDict


class RunKey(TypedDict):
    account_id: int
    key: str
    run_id: int


class Step(TypedDict):
    run_id: int
    index: int
    command: str
    outcome: str
    exit_code: int | None
    signal: int | None
    started_at: datetime | None
    finished_at: datetime | None
    invocation_id: str
    dbt_version: str
    counts: dict[str, int]


class Node(TypedDict):
    step_id: int
    unique_id: str
    name: str
    status: str
    resource_type: str
    path: str
    message: str
    failures: int | None
    facts: dict[str, Any]


class Receipt(TypedDict):
    run_id: int
    destination_id: int
    rule_id: int | None
    is_told: bool
    because: dict[str, Any]
    at: datetime


class Message(TypedDict):
    run_id: int
    language: str
    body: dict[str, Any]
    created_at: datetime


class Delivery(TypedDict):
    account_id: int
    run_id: int
    destination_id: int
    message_id: int
    lane: str
    because: dict[str, Any]
    due_at: datetime
    created_at: datetime
