"""The how-to pages' snippets, run as they stand with each system's own environment; only addresses and folders are exchanged."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.cli.conftest import Stage

PAGES = Path(__file__).parents[3] / "docs" / "howto"
GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_RUN_ID": "17",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_WORKFLOW": "nightly",
    "GITHUB_EVENT_NAME": "schedule",
    "GITHUB_ACTOR": "ada",
    "GITHUB_REF_NAME": "main",
    "GITHUB_SHA": "a1b2",
}
GITHUB_TRIGGER = {
    "cause": "workflow nightly, event schedule",
    "category": "scheduled",
    "url": "https://github.com/acme/shop/actions/runs/17",
    "actor": "ada",
}


def snippets(page: str, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", (PAGES / page).read_text(), re.M | re.S)
    assert found, f"{page} has no {language}"
    return found


def told(stage: Stage) -> Any:
    """The one run that was reported, after what every page promises."""
    (report,) = stage.server.finished
    assert report["job"] == {"project": "shop", "environment": "Production", "name": "nightly"}
    assert report["outcome"] == "warned"
    assert report["steps"][0]["command"] == "dbt build"
    assert report["steps"][0]["counts"]["warned"] == 3
    return report


@pytest.fixture(autouse=True)
def sample(stage: Stage) -> None:
    stage.play("build_with_warn")


def test_cron(stage: Stage, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(stage.server.token)
    (crontab,) = snippets("cron.md", "crontab")
    exchanges = {
        "https://runbell.example.com": stage.server.url,
        "/home/dbt/.config/runbell/token": str(token),
        "/srv/shop/.venv/bin": stage.env["PATH"].split(":")[0],
        "/srv/shop": str(stage.folder),
    }
    for page, here in exchanges.items():
        crontab = crontab.replace(page, here)
    lines = [line for line in crontab.splitlines() if line]
    settings = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
    nightly, flush = (line.split(None, 5)[5] for line in lines if re.match(r"[\d*]", line))
    env = {"HOME": str(tmp_path), "LOGNAME": "ada", "SHELL": "/bin/sh", "PLAY": stage.env["PLAY"], **settings}

    # crond, as a process of that name above us; that is how cron is known.
    crond = tmp_path / "crond"
    shutil.copy("/bin/sh", crond)
    with stage.start(str(crond), "-c", f"/bin/sh -c {json.dumps(nightly)}; exit $?", env=env) as running:
        _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (0, "")
    trigger = told(stage)["trigger"]
    assert trigger["cause"].startswith("cron on ")
    assert (trigger["category"], trigger["actor"]) == ("scheduled", "ada")

    done = stage.sh(flush, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ({"AIRFLOW__API__BASE_URL": "https://airflow.acme.test"}, "https://airflow.acme.test/dags/shop/runs/scheduled__1/tasks/dbt_build"),
        (
            {"AIRFLOW__WEBSERVER__BASE_URL": "https://airflow.acme.test"},
            "https://airflow.acme.test/dags/shop/grid?dag_run_id=scheduled__1&task_id=dbt_build",
        ),
    ],
)
def test_airflow(stage: Stage, address: dict[str, str], url: str) -> None:
    (task,) = snippets("airflow.md", "python")
    (command,) = re.findall(r'bash_command="(.*)"', task)
    stage.env |= {
        "AIRFLOW_CTX_DAG_ID": "shop",
        "AIRFLOW_CTX_TASK_ID": "dbt_build",
        "AIRFLOW_CTX_DAG_RUN_ID": "scheduled__1",
        "AIRFLOW_CTX_TRY_NUMBER": "1",
        "AIRFLOW_CTX_DAG_OWNER": "ada",
        **address,
    }
    done = stage.sh(command.replace("/opt/shop", str(stage.folder)))
    assert (done.returncode, done.stderr) == (0, "")
    report = told(stage)
    assert report["host_tool"] == "airflow"
    assert report["trigger"] == {"cause": "DAG shop, task dbt_build, run scheduled__1", "category": "scheduled", "url": url, "actor": "ada"}


def test_github_actions(stage: Stage) -> None:
    wrapped, _ = snippets("github-actions.md", "yaml")
    (command,) = re.findall(r"run: (exec runbell .*)", wrapped)
    stage.env |= GITHUB
    done = stage.sh(f"set -e; {command}")
    assert (done.returncode, done.stderr) == (0, "")
    report = told(stage)
    assert (report["host_tool"], report["trigger"], report["git"]) == ("github-actions", GITHUB_TRIGGER, {"branch": "main", "sha": "a1b2"})


@pytest.mark.parametrize(
    ("sample", "code", "outcome"), [("build_with_warn", 0, "warned"), ("mixed_all", 1, "failed"), ("compile_error", 2, "failed")]
)
def test_github_actions_in_a_step_of_its_own(stage: Stage, sample: str, code: int, outcome: str) -> None:
    _, afterwards = snippets("github-actions.md", "yaml")
    (script,) = re.findall(r"run: \|\n(.*?)        env:", afterwards, re.S)
    stage.env |= GITHUB
    stage.play(sample)
    done = stage.sh(f"set -e\n{script}")
    assert (done.returncode, done.stderr) == (code, "")
    (report,) = stage.server.finished
    assert (report["outcome"], report["trigger"]) == (outcome, GITHUB_TRIGGER)
    assert bool(report["steps"][0].get("nodes")) == (sample != "compile_error")


def test_gitlab(stage: Stage) -> None:
    (job,) = snippets("gitlab.md", "yaml")
    (command,) = re.findall(r"- (runbell run .*)", job)
    stage.env |= {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_PIPELINE_ID": "17",
        "CI_PIPELINE_SOURCE": "web",
        "CI_JOB_NAME": "dbt",
        "CI_JOB_URL": "https://gitlab.acme.test/shop/-/jobs/3",
        "CI_COMMIT_REF_NAME": "main",
        "CI_COMMIT_SHA": "a1b2",
        "GITLAB_USER_LOGIN": "ada",
    }
    done = stage.sh(f"set -eo pipefail; {command}")
    assert (done.returncode, done.stderr) == (0, "")
    report = told(stage)
    assert report["host_tool"] == "gitlab-ci"
    assert report["git"] == {"branch": "main", "sha": "a1b2"}
    assert report["trigger"] == {
        "cause": "pipeline 17, job dbt, source web",
        "category": "ui",
        "url": "https://gitlab.acme.test/shop/-/jobs/3",
        "actor": "ada",
    }


def test_kubernetes(stage: Stage) -> None:
    (manifest,) = snippets("kubernetes.md", "yaml")
    (words,) = re.findall(r"command: (\[.*\])", manifest)
    stage.env |= {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "nightly-29401200-x7k2p", "POD_NAMESPACE": "data"}
    with stage.start(*json.loads(words)) as running:
        _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (0, "")
    report = told(stage)
    assert report["host_tool"] == "kubernetes"
    assert report["trigger"] == {"cause": "pod nightly-29401200-x7k2p, namespace data", "category": "scheduled"}
    assert float(re.findall(r"RUNBELL_WAIT\n\s+value: \"(\d+)\"", manifest)[0]) < float(
        re.findall(r"GracePeriodSeconds: (\d+)", manifest)[0]
    )
