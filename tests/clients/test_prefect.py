"""prefect-dbt's client of the dbt platform: https://docs.prefect.io/integrations/prefect-dbt"""

import json
from pathlib import Path

from tests.clients.conftest import ARTIFACTS, GOOD_MANIFEST, Desk

SCRIPT = """
import asyncio, json, os, sys
from prefect_dbt.cloud.clients import DbtCloudAdministrativeClient

account, domain, run, job, project, environment = sys.argv[1:]


async def main():
    client, found = DbtCloudAdministrativeClient(os.environ["TOKEN"], int(account), domain), {}
    found["job"] = (await client.get_job(job)).json()["data"]["name"]
    data = (await client.get_run(run, include_related=["trigger", "job", "run_steps"])).json()["data"]
    found["run"] = [data["id"], data["status"], data["job"]["name"], [step["status_humanized"] for step in data["run_steps"]]]
    found["artifacts"] = (await client.list_run_artifacts(run)).json()["data"]
    found["files"] = {name: (await client.get_run_artifact(run, name, step=1)).json() for name in found["artifacts"]}
    found["of job"] = (await client.get_job_artifact(job, "manifest.json")).json()
    made = (await client.create_job(int(project), int(environment), "ad hoc")).json()["data"]["id"]
    found["deleted"] = (await client.delete_job(made)).json()["data"]["state"]
    try:
        await client.trigger_job_run(job)
    except Exception as error:
        found["trigger"] = error.response.json()["status"]["user_message"]
    print("found", json.dumps(found))


asyncio.run(main())
"""


def test_the_client_reads_runs_and_artifacts_and_makes_jobs(desk: Desk, tmp_path: Path) -> None:
    desk.add_good_run()
    [place] = desk.server.call("GET", f"/api/v3/accounts/{desk.server.account}/environments/")["data"]
    ids = [str(number) for number in (desk.run, desk.job, place["project_id"], place["id"])]
    words = (str(desk.server.account), desk.host, *ids)
    said = desk.run_client("prefect", "python", "-c", SCRIPT, *words, env={"PREFECT_HOME": str(tmp_path), "TOKEN": desk.server.token})
    found = json.loads(said.rpartition("found ")[2])
    assert (found["job"], found["run"]) == ("nightly", [desk.run, 20, "nightly", ["Error"]])
    assert (found["artifacts"], found["files"]) == (list(ARTIFACTS), ARTIFACTS)
    assert (found["of job"], found["deleted"]) == (GOOD_MANIFEST, 2)
    assert found["trigger"].startswith("Runbell reports runs, it does not execute them.")
