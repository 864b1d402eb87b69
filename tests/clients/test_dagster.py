"""dagster-dbt's client of the dbt platform: https://docs.dagster.io/integrations/libraries/dbt/dbt-cloud"""

import json
from pathlib import Path

from tests.clients.conftest import ARTIFACTS, Desk

SCRIPT = """
import json, os, sys
from datetime import datetime, timezone
from dagster_dbt.cloud_v2.client import DbtCloudWorkspaceClient
from dagster_dbt.cloud_v2.types import DbtCloudRun

account, url, run, job, project, environment = sys.argv[1:]
client = DbtCloudWorkspaceClient(
    account_id=int(account), token=os.environ["TOKEN"], access_url=url, request_max_retries=0, request_retry_delay=0, request_timeout=30
)
run, job, project, environment = int(run), int(job), int(project), int(environment)
client.verify_connection()
found = {"jobs": [row["id"] for row in client.list_jobs(project, environment)], "job": client.get_job_details(job)["name"]}
between = datetime(2026, 11, 24, tzinfo=timezone.utc), datetime(2026, 11, 25, tzinfo=timezone.utc)
rows, found["total"] = client.get_runs_batch(project, environment, *between)
found["runs"] = [DbtCloudRun.from_run_details(row).id for row in rows]
found["status"] = DbtCloudRun.from_run_details(client.poll_run(run)).status.name
found["active"] = list(client.get_active_job_ids(project, environment, [job]))
found["logs"] = client.get_run_logs(run, max_retries=1)
found["names"] = [client.get_project_details(project)["name"], client.get_environment_details(environment)["name"]]
found["artifacts"] = client.list_run_artifacts(run)
found["files"] = {"manifest.json": client.get_run_manifest_json(run), "run_results.json": client.get_run_results_json(run)}
made = client.create_job(project_id=project, environment_id=environment, job_name="ad hoc")["id"]
found["made"] = made in [row["id"] for row in client.list_jobs(project, environment)]
client.destroy_job(made)
found["gone"] = client.destroy_job(made)
print("found", json.dumps(found))
"""


def test_the_client_reads_runs_and_artifacts_and_makes_jobs(desk: Desk, tmp_path: Path) -> None:
    [place] = desk.server.call("GET", f"/api/v3/accounts/{desk.server.account}/environments/")["data"]
    ids = [str(number) for number in (desk.run, desk.job, place["project_id"], place["id"])]
    words = (str(desk.server.account), f"https://{desk.host}", *ids)
    said = desk.run_client("dagster", "python", "-c", SCRIPT, *words, env={"DAGSTER_HOME": str(tmp_path), "TOKEN": desk.server.token})
    found = json.loads(said.rpartition("found ")[2])
    assert (found["jobs"], found["job"]) == ([desk.job], "nightly")
    assert (found["runs"], found["total"], found["status"], found["active"]) == ([desk.run], 1, "ERROR", [])
    assert found["names"] == ["shop", "Production"]
    assert (found["artifacts"], found["files"]) == (list(ARTIFACTS), ARTIFACTS)
    assert (found["made"], found["gone"]) == (True, None)
