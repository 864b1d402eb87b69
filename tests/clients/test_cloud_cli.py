"""dbt-cloud-cli, a command line for the dbt platform: https://pypi.org/project/dbt-cloud-cli/"""

import json
from typing import Any

from tests.clients.conftest import ARTIFACTS, Desk

PACKAGE = "dbt-cloud-cli"


def cloud(desk: Desk, *words: str) -> Any:
    env = {"DBT_CLOUD_API_TOKEN": desk.server.token, "DBT_CLOUD_HOST": desk.host, "DBT_CLOUD_ACCOUNT_ID": str(desk.server.account)}
    return json.loads(desk.run_client(PACKAGE, "dbt-cloud", *words, env=env))


def test_jobs_and_runs_are_read(desk: Desk) -> None:
    assert desk.job in [row["id"] for row in cloud(desk, "job", "list")["data"]]
    assert cloud(desk, "job", "get", "--job-id", str(desk.job))["data"]["name"] == "nightly"
    assert [row["id"] for row in cloud(desk, "run", "list")["data"]] == [desk.run]
    assert cloud(desk, "run", "get", "--run-id", str(desk.run))["data"]["status"] == 20


def test_artifacts_are_listed_and_read(desk: Desk) -> None:
    run = ("--run-id", str(desk.run))
    assert cloud(desk, "run", "list-artifacts", *run)["data"] == list(ARTIFACTS)
    for name, file in ARTIFACTS.items():
        assert cloud(desk, "run", "get-artifact", *run, "--path", name) == file


def test_projects_environments_and_accounts_are_read(desk: Desk) -> None:
    assert [row["id"] for row in cloud(desk, "account", "list")["data"]] == [desk.server.account]
    [project] = cloud(desk, "project", "list")["data"]
    [place] = cloud(desk, "environment", "list", "--project-id", str(project["id"]))["data"]
    assert place["name"] == "Production"


def test_a_job_is_made_and_deleted(desk: Desk) -> None:
    [place] = desk.server.call("GET", f"/api/v3/accounts/{desk.server.account}/environments/")["data"]
    where = ("--project-id", str(place["project_id"]), "--environment-id", str(place["id"]))
    made = cloud(desk, "job", "create", *where, "--name", "made by hand", "--execute-steps", '["dbt build"]')["data"]
    cloud(desk, "job", "delete", "--job-id", str(made["id"]))
    assert made["id"] not in [row["id"] for row in cloud(desk, "job", "list")["data"]]
