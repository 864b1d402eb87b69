"""Airflow's hook for the dbt platform: https://airflow.apache.org/docs/apache-airflow-providers-dbt-cloud/"""

import json
from pathlib import Path
from typing import Any

from tests.clients.conftest import ARTIFACTS, Desk

SCRIPT = """
import json, sys
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook, DbtCloudJobRunException

hook, run, found = DbtCloudHook(), int(sys.argv[1]), {}
found["connection"] = hook.test_connection()
found["account"] = hook.get_account().json()["data"]["name"]
found["job"] = hook.get_job_by_name(project_name="shop", environment_name="Production", job_name="nightly")["id"]
found["runs"] = [row["id"] for page in hook.list_job_runs(include_related=["job", "environment"], order_by="-id") for row in page.json()["data"]]
found["run"] = hook.get_job_run(run, include_related=["run_steps"]).json()["data"]["run_steps"][0]["status_humanized"]
found["status"] = hook.get_job_run_status(run)
try:
    hook.wait_for_job_run_status(run, check_interval=1)
except DbtCloudJobRunException as error:
    found["wait"] = str(error)
found["artifacts"] = hook.list_job_run_artifacts(run).json()["data"]
found["files"] = {name: hook.get_job_run_artifact(run, name, step=1).json() for name in found["artifacts"]}
try:
    hook.trigger_job_run(found["job"], cause="by hand")
except Exception as error:
    found["trigger"] = str(error)
print("found", json.dumps(found))
"""


def airflow(desk: Desk, tmp_path: Path, script: str, *words: str) -> Any:
    connection = {"conn_type": "dbt_cloud", "host": desk.host, "login": str(desk.server.account), "password": desk.server.token}
    env = {"AIRFLOW_CONN_DBT_CLOUD_DEFAULT": json.dumps(connection), "AIRFLOW_HOME": str(tmp_path)}
    said = desk.run_client("airflow", "python", "-c", script, *words, env=env)
    return json.loads(said.rpartition("found ")[2])


def test_the_hook_tests_its_connection_and_reads_jobs_runs_and_artifacts(desk: Desk, tmp_path: Path) -> None:
    found = airflow(desk, tmp_path, SCRIPT, str(desk.run))
    assert found["connection"] == [True, "Successfully connected to dbt Cloud."]
    assert (found["account"], found["job"], found["runs"]) == ("Acme", desk.job, [desk.run])
    assert (found["run"], found["status"]) == ("Error", 20)
    assert "reached terminal status ERROR" in found["wait"]
    assert (found["artifacts"], found["files"]) == (list(ARTIFACTS), ARTIFACTS)
    assert "409" in found["trigger"]
