"""dbtc, a Python client and command line for the dbt platform: https://pypi.org/project/dbtc/"""

import json
from typing import Any

import pytest

from tests.clients.conftest import ARTIFACTS, GOOD_MANIFEST, Desk

PACKAGE = "dbtc"


def dbtc(desk: Desk, *words: str) -> Any:
    env = {"DBT_CLOUD_SERVICE_TOKEN": desk.server.token, "DBT_CLOUD_HOST": desk.host, "DBT_CLOUD_ACCOUNT_ID": str(desk.server.account)}
    return json.loads(desk.run_client(PACKAGE, "dbtc", *words, env=env) or "null")


def test_notifications_are_made_changed_and_deleted(desk: Desk) -> None:
    user = desk.server.call("GET", "/api/v2/whoami/")["data"]["user"]["id"]
    boxes: dict[str, list[int]] = {"on_cancel": [], "on_failure": [desk.job], "on_success": [], "on_warning": []}
    setting = {"account_id": desk.server.account, "user_id": user, "type": 4, "state": 1, "external_email": "team@partner.example", **boxes}
    made = dbtc(desk, "notifications", "create", "--payload", json.dumps(setting))["data"]
    key = ("--notification-id", str(made["id"]))
    assert [row["id"] for row in dbtc(desk, "notifications", "list")["data"]] == [made["id"]]
    changed = dbtc(desk, "notifications", "update", *key, "--payload", json.dumps({**made, "on_warning": [desk.job]}))["data"]
    assert (changed["on_failure"], changed["on_warning"]) == ([desk.job], [desk.job])
    assert dbtc(desk, "notifications", "get", *key)["data"]["on_warning"] == [desk.job]
    with pytest.raises(AssertionError, match="JSONDecodeError"):  # the documented answer, 204, has no body; dbtc reads one
        dbtc(desk, "notifications", "delete", *key)
    assert dbtc(desk, "notifications", "list")["data"] == []


def test_jobs_and_runs_are_read(desk: Desk) -> None:
    assert [row["id"] for row in dbtc(desk, "jobs", "list")["data"]] == [desk.job]
    assert dbtc(desk, "jobs", "get", "--job-id", str(desk.job))["data"]["name"] == "nightly"
    assert desk.run in [row["id"] for row in dbtc(desk, "runs", "list")["data"]]
    run = dbtc(desk, "runs", "get", "--run-id", str(desk.run), "--include-related", '["run_steps"]')["data"]
    assert [step["status_humanized"] for step in run["run_steps"]] == ["Error"]


def test_artifacts_are_listed_and_read(desk: Desk) -> None:
    run = ("--run-id", str(desk.run))
    assert dbtc(desk, "runs", "list-artifacts", *run)["data"] == list(ARTIFACTS)
    for name, file in ARTIFACTS.items():
        assert dbtc(desk, "runs", "get-artifact", *run, "--path", name, "--step", "1") == file
    desk.add_good_run()
    assert dbtc(desk, "runs", "get-most-recent-artifact", "--job-id", str(desk.job), "--path", "manifest.json") == GOOD_MANIFEST


def test_a_job_is_changed(desk: Desk) -> None:
    """`dbtc jobs create` of this version stops by itself, before it asks anybody."""
    [job] = dbtc(desk, "jobs", "list")["data"]
    payload = json.dumps({**job, "execute_steps": ["dbt run"]})
    assert dbtc(desk, "jobs", "update", "--job-id", str(job["id"]), "--payload", payload)["data"]["execute_steps"] == ["dbt run"]
