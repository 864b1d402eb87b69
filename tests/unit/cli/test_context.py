"""One case per system, with the variables its documentation promises."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from runbell.cli import context
from runbell.cli.context import Context, ancestor_names, recognise
from runbell.core.runs import Git, Trigger

GITHUB = {
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
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PIPELINE_ID": "17",
    "CI_PIPELINE_SOURCE": "schedule",
    "CI_JOB_NAME": "dbt",
    "CI_JOB_URL": "https://gitlab.acme.test/shop/-/jobs/3",
    "CI_COMMIT_REF_NAME": "main",
    "CI_COMMIT_SHA": "a1b2",
    "GITLAB_USER_LOGIN": "ada",
}
AIRFLOW = {
    "AIRFLOW_CTX_DAG_ID": "nightly",
    "AIRFLOW_CTX_TASK_ID": "dbt build",
    "AIRFLOW_CTX_DAG_RUN_ID": "scheduled__2026-11-24T02:00:00+00:00",
    "AIRFLOW_CTX_DAG_OWNER": "ada",
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
}
AIRFLOW_CAUSE = "DAG nightly, task dbt build, run scheduled__2026-11-24T02:00:00+00:00"
AZURE = {
    "TF_BUILD": "True",
    "SYSTEM_COLLECTIONURI": "https://dev.azure.com/acme/",
    "SYSTEM_TEAMPROJECT": "the shop",
    "BUILD_BUILDID": "17",
    "BUILD_REASON": "Manual",
    "BUILD_DEFINITIONNAME": "nightly",
    "BUILD_REQUESTEDFOR": "Ada",
    "BUILD_SOURCEBRANCHNAME": "main",
    "BUILD_SOURCEVERSION": "a1b2",
}
JENKINS = {
    "JENKINS_URL": "https://ci.acme.test/",
    "JOB_NAME": "nightly",
    "BUILD_NUMBER": "17",
    "BUILD_URL": "https://ci.acme.test/job/nightly/17/",
    "GIT_BRANCH": "origin/main",
    "GIT_COMMIT": "a1b2",
}
CIRCLECI = {
    "CIRCLECI": "true",
    "CIRCLE_JOB": "dbt",
    "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/shop/17",
    "CIRCLE_USERNAME": "ada",
    "CIRCLE_BRANCH": "main",
    "CIRCLE_SHA1": "a1b2",
}
BITBUCKET = {
    "BITBUCKET_BUILD_NUMBER": "17",
    "BITBUCKET_GIT_HTTP_ORIGIN": "https://bitbucket.org/acme/shop",
    "BITBUCKET_BRANCH": "main",
    "BITBUCKET_COMMIT": "a1b2",
}
MAIN = Git("main", "a1b2")

CASES = {
    "github": (
        GITHUB,
        Context(
            "github-actions",
            Trigger("workflow nightly, event schedule", "scheduled", "https://github.com/acme/shop/actions/runs/17", "ada"),
            MAIN,
        ),
    ),
    "github, a pull request tried again by somebody else": (
        GITHUB
        | {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_TRIGGERING_ACTOR": "bob", "GITHUB_HEAD_REF": "fix"},
        Context(
            "github-actions",
            Trigger("workflow nightly, event pull_request", "ci", "https://github.com/acme/shop/actions/runs/17/attempts/2", "bob"),
            Git("fix", "a1b2"),
        ),
    ),
    "gitlab": (
        GITLAB,
        Context(
            "gitlab-ci",
            Trigger("pipeline 17, job dbt, source schedule", "scheduled", "https://gitlab.acme.test/shop/-/jobs/3", "ada"),
            MAIN,
        ),
    ),
    "gitlab, a merge request": (
        GITLAB | {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "fix"},
        Context(
            "gitlab-ci",
            Trigger("pipeline 17, job dbt, source merge_request_event", "ci", "https://gitlab.acme.test/shop/-/jobs/3", "ada"),
            Git("fix", "a1b2"),
        ),
    ),
    "airflow without an address": (AIRFLOW, Context("airflow", Trigger(AIRFLOW_CAUSE, "scheduled", "", "ada"))),
    "airflow 2": (
        AIRFLOW | {"AIRFLOW__WEBSERVER__BASE_URL": "https://airflow.acme.test"},
        Context(
            "airflow",
            Trigger(
                AIRFLOW_CAUSE,
                "scheduled",
                "https://airflow.acme.test/dags/nightly/grid?dag_run_id=scheduled__2026-11-24T02%3A00%3A00%2B00%3A00&task_id=dbt%20build",
                "ada",
            ),
        ),
    ),
    "airflow 3": (
        AIRFLOW | {"AIRFLOW__API__BASE_URL": "https://airflow.acme.test/", "AIRFLOW_CTX_DAG_RUN_ID": "manual__1"},
        Context(
            "airflow",
            Trigger(
                "DAG nightly, task dbt build, run manual__1",
                "ui",
                "https://airflow.acme.test/dags/nightly/runs/manual__1/tasks/dbt%20build",
                "ada",
            ),
        ),
    ),
    "prefect": (
        {"PREFECT__FLOW_RUN_ID": "f00", "PREFECT_UI_URL": "https://prefect.acme.test"},
        Context("prefect", Trigger("flow run f00", "", "https://prefect.acme.test/runs/flow-run/f00")),
    ),
    "dagster": ({"DAGSTER_RUN_JOB_NAME": "nightly"}, Context("dagster", Trigger("job nightly"))),
    "azure": (
        AZURE,
        Context(
            "azure-pipelines",
            Trigger("pipeline nightly, reason Manual", "ui", "https://dev.azure.com/acme/the%20shop/_build/results?buildId=17", "Ada"),
            MAIN,
        ),
    ),
    "jenkins": (JENKINS, Context("jenkins", Trigger("job nightly, build 17", "ci", "https://ci.acme.test/job/nightly/17/"), MAIN)),
    "circleci": (CIRCLECI, Context("circleci", Trigger("job dbt", "ci", "https://circleci.com/gh/acme/shop/17", "ada"), MAIN)),
    "bitbucket": (
        BITBUCKET,
        Context("bitbucket-pipelines", Trigger("pipeline 17", "ci", "https://bitbucket.org/acme/shop/pipelines/results/17"), MAIN),
    ),
    "cron": (
        {"LOGNAME": "ada", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", "HOME": "/home/ada"},
        Context("cron", Trigger("cron on box", "scheduled", "", "ada")),
    ),
    "by hand": ({"USER": "ada", "TERM": "xterm"}, Context("", Trigger("ada on box", actor="ada"))),
}


@pytest.mark.parametrize("name", CASES)
def test_systems(name: str) -> None:
    environ, expected = CASES[name]
    assert recognise(environ, host="box") == expected


def test_cron_is_above_us() -> None:
    environ: Mapping[str, str] = {"TERM": "xterm", "PATH": "/opt/dbt/bin", "USER": "ada"}
    assert recognise(environ, ["bash", "CRON", "cron"]).trigger == Trigger("cron", "scheduled", "", "ada")
    assert recognise(environ, ["bash", "sshd"]).host_tool == ""


def test_kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "namespace").write_text("data\n")
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "nightly-29401200-x7k2p", "POD_NAMESPACE": "told"}
    monkeypatch.setattr(context, "NAMESPACE", tmp_path / "namespace")
    assert recognise(environ) == Context("kubernetes", Trigger("pod nightly-29401200-x7k2p, namespace data", "scheduled"))
    monkeypatch.setattr(context, "NAMESPACE", tmp_path / "missing")
    assert recognise(environ | {"HOSTNAME": "dbt"}) == Context("kubernetes", Trigger("pod dbt, namespace told"))


def test_ancestors_of_this_very_process() -> None:
    names = ancestor_names(os.getpid())
    assert Path(f"/proc/{os.getpid()}/comm").read_text().strip() == names[0]
    assert len(names) <= 8
    assert ancestor_names(2**30) == []
