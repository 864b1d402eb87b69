"""What started the run and where: CI systems, orchestrators, Kubernetes and cron, recognised from the environment.

Each recogniser names the variables it trusts, with the page that documents them. The first that fits wins: orchestrators before
CI systems before Kubernetes, because the inner one knows more. `category` is the dbt Admin API's word.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from runbell.core.runs import Git, Trigger

Environ = Mapping[str, str]
NO_GIT = Git()
CRONS = ("cron", "crond", "anacron", "fcron", "supercronic")
NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Context:
    """`git` is what the CI system says about the checkout: there, the checkout itself is often on no branch."""

    host_tool: str
    trigger: Trigger
    git: Git = NO_GIT


def recognise(environ: Environ, ancestors: Sequence[str] = (), host: str = "") -> Context:
    """`ancestors` are the names of the processes above us: cron leaves no variable of its own."""
    for marker, read in RECOGNISERS:
        if environ.get(marker):
            return read(environ)
    if any(name.lower() in CRONS for name in ancestors) or _is_like_cron(environ):
        return _cron(environ, host)
    user = environ.get("USER") or environ.get("LOGNAME", "")
    return Context("", Trigger(cause=" on ".join(filter(None, (user, host))), actor=user))


def _words(*parts: tuple[str, str | None]) -> str:
    return ", ".join(f"{word} {value}".strip() for word, value in parts if value)


def _airflow(env: Environ) -> Context:
    """https://airflow.apache.org/docs/apache-airflow/stable/howto/operator/bash.html, and Airflow's own configuration for the link."""
    dag, task, run = (env.get(f"AIRFLOW_CTX_{name}", "") for name in ("DAG_ID", "TASK_ID", "DAG_RUN_ID"))
    kind = run.partition("__")[0].split("_")[0]
    kinds = {"scheduled": "scheduled", "manual": "ui", "backfill": "rerun", "dataset": "job completion", "asset": "job completion"}
    base3, base2 = env.get("AIRFLOW__API__BASE_URL", "").rstrip("/"), env.get("AIRFLOW__WEBSERVER__BASE_URL", "").rstrip("/")
    url = ""
    if base3:  # Airflow 3
        url = f"{base3}/dags/{quote(dag)}/runs/{quote(run, safe='')}/tasks/{quote(task)}"
    elif base2:
        url = f"{base2}/dags/{quote(dag)}/grid?dag_run_id={quote(run, safe='')}&task_id={quote(task)}"
    cause = _words(("DAG", dag), ("task", task), ("run", run))
    return Context("airflow", Trigger(cause, kinds.get(kind, ""), url, env.get("AIRFLOW_CTX_DAG_OWNER", "")))


def _prefect(env: Environ) -> Context:
    """`PREFECT__FLOW_RUN_ID` is set for every flow run that a worker or runner starts."""
    run, base = env["PREFECT__FLOW_RUN_ID"], env.get("PREFECT_UI_URL", "").rstrip("/")
    return Context("prefect", Trigger(f"flow run {run}", "", f"{base}/runs/flow-run/{run}" if base else ""))


def _dagster(env: Environ) -> Context:
    """`DAGSTER_RUN_JOB_NAME` is set by the container launchers (Docker, ECS, Kubernetes)."""
    return Context("dagster", Trigger(_words(("job", env["DAGSTER_RUN_JOB_NAME"]), ("step", env.get("DAGSTER_RUN_STEP_KEY")))))


def _github(env: Environ) -> Context:
    """https://docs.github.com/en/actions/reference/workflows-and-actions/variables"""
    event = env.get("GITHUB_EVENT_NAME", "")
    category = {"schedule": "scheduled", "workflow_dispatch": "ui", "repository_dispatch": "api"}.get(event, "ci")
    url = f"{env.get('GITHUB_SERVER_URL', 'https://github.com')}/{env.get('GITHUB_REPOSITORY', '')}/actions/runs/{env.get('GITHUB_RUN_ID', '')}"
    if env.get("GITHUB_RUN_ATTEMPT", "1") != "1":
        url += f"/attempts/{env['GITHUB_RUN_ATTEMPT']}"
    cause = _words(("workflow", env.get("GITHUB_WORKFLOW")), ("event", event))
    actor = env.get("GITHUB_TRIGGERING_ACTOR") or env.get("GITHUB_ACTOR", "")
    branch = env.get("GITHUB_HEAD_REF") or env.get("GITHUB_REF_NAME", "")
    return Context("github-actions", Trigger(cause, category, url, actor), Git(branch, env.get("GITHUB_SHA", "")))


def _gitlab(env: Environ) -> Context:
    """https://docs.gitlab.com/ci/variables/predefined_variables/"""
    source = env.get("CI_PIPELINE_SOURCE", "")
    categories = {"schedule": "scheduled", "web": "ui", "chat": "ui", "api": "api", "trigger": "api", "pipeline": "api"}
    cause = _words(("pipeline", env.get("CI_PIPELINE_ID")), ("job", env.get("CI_JOB_NAME")), ("source", source))
    url = env.get("CI_JOB_URL") or env.get("CI_PIPELINE_URL", "")
    branch = env.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME") or env.get("CI_COMMIT_REF_NAME", "")
    trigger = Trigger(cause, categories.get(source, "ci"), url, env.get("GITLAB_USER_LOGIN", ""))
    return Context("gitlab-ci", trigger, Git(branch, env.get("CI_COMMIT_SHA", "")))


def _azure(env: Environ) -> Context:
    """https://learn.microsoft.com/azure/devops/pipelines/build/variables"""
    reason = env.get("BUILD_REASON", "")
    category = {"Schedule": "scheduled", "Manual": "ui", "ResourceTrigger": "job completion"}.get(reason, "ci")
    base, build = env.get("SYSTEM_COLLECTIONURI", ""), env.get("BUILD_BUILDID", "")
    url = f"{base}{quote(env.get('SYSTEM_TEAMPROJECT', ''))}/_build/results?buildId={build}" if base and build else ""
    cause = _words(("pipeline", env.get("BUILD_DEFINITIONNAME")), ("reason", reason))
    trigger = Trigger(cause, category, url, env.get("BUILD_REQUESTEDFOR", ""))
    return Context("azure-pipelines", trigger, Git(env.get("BUILD_SOURCEBRANCHNAME", ""), env.get("BUILD_SOURCEVERSION", "")))


def _jenkins(env: Environ) -> Context:
    """https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables"""
    cause = _words(("job", env.get("JOB_NAME")), ("build", env.get("BUILD_NUMBER")))
    trigger = Trigger(cause, "ci", env.get("BUILD_URL", ""), env.get("BUILD_USER_ID", ""))
    return Context("jenkins", trigger, Git(env.get("GIT_BRANCH", "").removeprefix("origin/"), env.get("GIT_COMMIT", "")))


def _circleci(env: Environ) -> Context:
    """https://circleci.com/docs/reference/variables/"""
    trigger = Trigger(_words(("job", env.get("CIRCLE_JOB"))), "ci", env.get("CIRCLE_BUILD_URL", ""), env.get("CIRCLE_USERNAME", ""))
    return Context("circleci", trigger, Git(env.get("CIRCLE_BRANCH", ""), env.get("CIRCLE_SHA1", "")))


def _bitbucket(env: Environ) -> Context:
    """https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/"""
    build, origin = env["BITBUCKET_BUILD_NUMBER"], env.get("BITBUCKET_GIT_HTTP_ORIGIN", "")
    trigger = Trigger(_words(("pipeline", build)), "ci", f"{origin}/pipelines/results/{build}" if origin else "")
    return Context("bitbucket-pipelines", trigger, Git(env.get("BITBUCKET_BRANCH", ""), env.get("BITBUCKET_COMMIT", "")))


def _kubernetes(env: Environ) -> Context:
    """The pod's name is its host name; the pods of a CronJob end in `-<minutes since 1970>-<5 characters>`."""
    pod = env.get("HOSTNAME", "")
    middle = pod.split("-")[-2:-1]
    is_cron_job = bool(middle) and middle[0].isdigit() and len(middle[0]) >= 8
    try:
        namespace = NAMESPACE.read_text().strip()
    except (OSError, ValueError):
        namespace = env.get("POD_NAMESPACE", "")
    return Context("kubernetes", Trigger(_words(("pod", pod), ("namespace", namespace)), "scheduled" if is_cron_job else ""))


def _cron(env: Environ, host: str) -> Context:
    user = env.get("LOGNAME") or env.get("USER", "")
    return Context("cron", Trigger(f"cron on {host}" if host else "cron", "scheduled", "", user))


def _is_like_cron(env: Environ) -> bool:
    """crontab(5): its own SHELL and PATH, and no terminal. Where processes cannot be looked at, as on macOS."""
    return "TERM" not in env and env.get("SHELL") == "/bin/sh" and env.get("PATH") == "/usr/bin:/bin" and "LOGNAME" in env


RECOGNISERS: tuple[tuple[str, Callable[[Environ], Context]], ...] = (
    ("AIRFLOW_CTX_DAG_ID", _airflow),
    ("PREFECT__FLOW_RUN_ID", _prefect),
    ("DAGSTER_RUN_JOB_NAME", _dagster),
    ("GITHUB_ACTIONS", _github),
    ("GITLAB_CI", _gitlab),
    ("TF_BUILD", _azure),
    ("JENKINS_URL", _jenkins),
    ("CIRCLECI", _circleci),
    ("BITBUCKET_BUILD_NUMBER", _bitbucket),
    ("KUBERNETES_SERVICE_HOST", _kubernetes),
)


def ancestor_names(pid: int, *, limit: int = 8) -> list[str]:
    """The names of the processes above `pid`, nearest first. proc_pid_stat(5): `pid (name) state parent …`."""
    names: list[str] = []
    while pid > 1 and len(names) < limit:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            break
        name, _, rest = stat.partition("(")[2].rpartition(")")
        names.append(name)
        pid = int(rest.split()[1])
    return names
