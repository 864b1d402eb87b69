"""dbt-jobs-as-code, which keeps jobs in a file: https://pypi.org/project/dbt-jobs-as-code/"""

from pathlib import Path
from typing import Any

from tests.clients.conftest import Desk

PACKAGE = "dbt-jobs-as-code"
FILE = """
jobs:
  hourly:
    account_id: {account}
    project_id: {project}
    environment_id: {environment}
    name: hourly
    settings: {{threads: 4, target_name: prod}}
    run_generate_sources: false
    execute_steps: [dbt build]
    generate_docs: false
    schedule: {{cron: "{cron}"}}
    triggers: {{github_webhook: false, git_provider_webhook: false, schedule: true}}
"""


def as_code(desk: Desk, tmp_path: Path, *words: str) -> str:
    env = {"DBT_API_KEY": desk.server.token, "DBT_BASE_URL": f"https://{desk.host}"}
    return desk.run_client(PACKAGE, "dbt-jobs-as-code", *words, env=env, cwd=tmp_path)


def write(desk: Desk, tmp_path: Path, cron: str) -> str:
    [place] = desk.server.call("GET", f"/api/v3/accounts/{desk.server.account}/environments/")["data"]
    ids = {"account": desk.server.account, "project": place["project_id"], "environment": place["id"]}
    (tmp_path / "jobs.yml").write_text(FILE.format(cron=cron, **ids))
    return "jobs.yml"


def jobs(desk: Desk) -> dict[str, Any]:
    return {row["name"]: row for row in desk.server.call("GET", f"/api/v2/accounts/{desk.server.account}/jobs/")["data"]}


def test_a_file_of_jobs_is_planned_and_synced(desk: Desk, tmp_path: Path) -> None:
    before = jobs(desk)
    file = write(desk, tmp_path, "0 5 * * *")
    as_code(desk, tmp_path, "plan", file)
    assert jobs(desk) == before
    as_code(desk, tmp_path, "sync", file)
    made = jobs(desk)["hourly [[hourly]]"]
    assert (made["schedule"]["cron"], made["execute_steps"]) == ("0 5 * * *", ["dbt build"])
    as_code(desk, tmp_path, "sync", write(desk, tmp_path, "0 6 * * *"))
    assert jobs(desk)["hourly [[hourly]]"]["schedule"]["cron"] == "0 6 * * *"


def test_jobs_that_were_reported_are_imported(desk: Desk, tmp_path: Path) -> None:
    assert "name: nightly" in as_code(desk, tmp_path, "import-jobs", "--account-id", str(desk.server.account))
