"""What is in the account: projects, environments, jobs, and runs with steps and artifacts as dbt really wrote them (tests/data/dbt)."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

DATA = Path(__file__).parents[2] / "data" / "dbt"
SUCCESS, ERROR, CANCELLED, RUNNING = 10, 20, 30, 3
WORDS = {1: "Queued", 2: "Starting", RUNNING: "Running", SUCCESS: "Success", ERROR: "Error", CANCELLED: "Cancelled"}
BEYOND_INT = 2**31 + 70_000


@dataclass
class Step:
    command: str
    code: int
    artifact: str = ""  # a folder of tests/data/dbt


@dataclass
class FakeRun:
    """`has_artifacts` False: the run ended and its artifacts are not there yet."""

    id: int
    job: int
    code: int
    started_at: datetime
    finished_at: datetime | None
    steps: list[Step]
    has_artifacts: bool = True
    said: str | None = None
    name: str = field(default_factory=lambda: uuid4().hex)

    def artifact(self, name: str, step: int) -> bytes | None:
        """Re-dated to this run: recorded ones are months old, and would be stale."""
        number = step - 4  # clone, connect and deps come first
        found = self.steps[number] if 0 <= number < len(self.steps) else None
        path = DATA / found.artifact / name if found and found.artifact else None
        if not self.has_artifacts or path is None or not path.exists():
            return None
        said = json.loads(path.read_text())
        said["metadata"] |= {
            "generated_at": stamp(self.started_at + timedelta(seconds=60 + 10 * step)),
            "invocation_started_at": stamp(self.started_at + timedelta(seconds=52 + 10 * step)),
            "invocation_id": f"{self.name}-{step}",
        }
        said["metadata"].setdefault("env", {})["DBT_CLOUD_RUN_ID"] = str(self.id)
        return json.dumps(said).encode()


@dataclass
class World:
    account: int = 7
    projects: dict[int, str] = field(default_factory=lambda: {1: "shop"})
    environments: dict[int, tuple[int, str]] = field(default_factory=lambda: {11: (1, "Production")})
    jobs: dict[int, tuple[int, str]] = field(default_factory=lambda: {101: (11, "nightly")})
    runs: dict[int, FakeRun] = field(default_factory=dict)
    users: dict[int, dict[str, Any]] = field(default_factory=dict)
    settings: dict[int, dict[str, Any]] = field(default_factory=dict)

    def add_user(self, email: str, *, licence: str = "developer", **facts: Any) -> int:
        key = 501 + len(self.users)
        first, _, last = email.partition("@")[0].title().partition(".")
        permissions = [{"license_type": licence, "state": 1, "groups": []}]
        self.users[key] = {
            "id": key,
            "email": email,
            "first_name": first,
            "last_name": last,
            "is_active": True,
            "permissions": permissions,
        } | facts
        return key

    def add_setting(self, kind: int, user: int, *, boxes: dict[str, list[int]], **facts: Any) -> int:
        """`boxes`: such as {"on_failure": [101]}."""
        key = 9001 + len(self.settings)
        none: dict[str, Any] = {"external_email": None, "slack_channel_id": None, "slack_channel_name": None}
        lists = {name: boxes.get(name, []) for name in ("on_cancel", "on_failure", "on_success", "on_warning")}
        self.settings[key] = {"id": key, "account_id": self.account, "user_id": user, "type": kind, "state": 1} | none | lists | facts
        return key

    def add_run(self, kind: str, *, job: int = 101, ended_at: datetime | None = None, run_id: int = 0, **facts: Any) -> FakeRun:
        """kind: succeeded, warned, failed, cancelled or running."""
        code, steps = {
            "succeeded": (SUCCESS, [Step("dbt build", SUCCESS, "success")]),
            "warned": (SUCCESS, [Step("dbt build", SUCCESS, "build_with_warn")]),
            "failed": (ERROR, [Step("dbt seed", SUCCESS, "seed_only"), Step("dbt build", ERROR, "model_error_skipped")]),
            "cancelled": (CANCELLED, [Step("dbt build", CANCELLED)]),
            "stale": (SUCCESS, [Step("dbt source freshness", ERROR), Step("dbt build", SUCCESS, "success")]),
            "running": (RUNNING, [Step("dbt build", RUNNING)]),
        }[kind]
        ended_at = ended_at or datetime.now(UTC)
        run = FakeRun(
            id=run_id or BEYOND_INT + len(self.runs),
            job=job,
            code=code,
            started_at=ended_at - timedelta(minutes=5),
            finished_at=None if code == RUNNING else ended_at,
            steps=steps,
            **facts,
        )
        self.runs[run.id] = run
        return run

    def run_json(self, run: FakeRun, *, whole: bool) -> dict[str, Any]:
        environment, name = self.jobs.get(run.job, (11, "deleted"))
        project, environment_name = self.environments[environment]
        said = {
            "id": run.id,
            "account_id": self.account,
            "project_id": project,
            "environment_id": environment,
            "job_definition_id": run.job,
            "job_id": run.job,
            "status": run.code,
            "status_humanized": WORDS[run.code],
            "status_message": run.said,
            "git_branch": "main",
            "git_sha": "4f2a9c1d0b",
            "created_at": admin_time(run.started_at),
            "started_at": admin_time(run.started_at),
            "finished_at": admin_time(run.finished_at),
            "href": f"https://cloud.getdbt.com/deploy/{self.account}/projects/{project}/runs/{run.id}/",
            "artifacts_saved": run.has_artifacts,
            "a_new_field": {"of": "tomorrow"},
        }
        if whole:
            said["job"] = {"id": run.job, "name": name}
            said["environment"] = {"id": environment, "name": environment_name}
            said["trigger"] = {"cause": "scheduled", "cause_category": "scheduled"}
            said["run_steps"] = self._steps(run)
        return said

    def _steps(self, run: FakeRun) -> list[dict[str, Any]]:
        first = [
            ("Clone git repository", SUCCESS),
            ("Create profile from connection Shop", SUCCESS),
            ("Invoke dbt with `dbt deps`", SUCCESS),
        ]
        names = [*first, *((f"Invoke dbt with `{step.command}`", step.code) for step in run.steps)]
        return [
            {
                "index": index,
                "name": name,
                "status": code,
                "status_humanized": WORDS[code],
                "logs": f"{name}\nDone.\n",
                "started_at": admin_time(run.started_at + timedelta(seconds=50 + 10 * index)),
                "finished_at": admin_time(run.started_at + timedelta(seconds=62 + 10 * index)),
            }
            for index, (name, code) in enumerate(names, 1)
        ]


def admin_time(at: datetime | None) -> str | None:
    """As the Admin API writes it."""
    return at.astimezone(UTC).isoformat(" ", "microseconds") if at else None


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
