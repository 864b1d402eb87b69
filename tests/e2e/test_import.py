"""Settings carried over from the dbt platform: the page step by step, killed in the middle, and out of one Runbell account into another."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.stage import ON, ROOT, RUNBELL, Server, lay, running
from tests.fakes.dbt_platform import FakeDbt

PAGE = (ROOT / "docs" / "howto" / "dbt-platform.md").read_text()
COMMANDS = re.findall(r"```sh\n\s+(.*import dbt-platform.*)\n\s+```", PAGE)
# What there is, by names: ids differ.
FACTS = {
    "members": """
        SELECT u.email, u.name, m.role FROM runbell_member m JOIN runbell_user u ON u.id = m.user_id""",
    "jobs": """
        SELECT p.name, e.name, j.name, j.external_id FROM runbell_job j
        JOIN runbell_environment e ON e.id = j.environment_id JOIN runbell_project p ON p.id = e.project_id""",
    "boxes": """
        SELECT d.kind, d.address, d.address_key, d.state, d.revision, u.email, j.name, r.outcome
        FROM runbell_destination d LEFT JOIN runbell_rule r ON r.destination_id = d.id LEFT JOIN runbell_job j ON j.id = r.job_id
        LEFT JOIN runbell_member m ON m.id = d.member_id LEFT JOIN runbell_user u ON u.id = m.user_id""",
    "audit": "SELECT action, subject FROM runbell_auditentry",
}


@pytest.fixture
def dbt() -> Iterator[FakeDbt]:
    """240 settings of all kinds with 120 jobs: more than two batches of each."""
    with FakeDbt() as fake:
        world = fake.world
        world.projects[2], world.environments[12] = "crm", (2, "Production")
        world.jobs = {1001 + number: (11 + number % 2, f"job {number}") for number in range(120)}
        jobs = list(world.jobs)
        for number in range(120):
            boxes = {"on_failure": jobs[number : number + 3], "on_warning": jobs[:1], "on_cancel": [], "on_success": jobs[-2:]}
            user = world.add_user(f"person{number}@acme.example", licence="developer" if number % 2 else "read_only")
            world.add_setting(1, user, boxes=boxes)
            if number % 10:
                world.add_setting(4, user, boxes=boxes, external_email=f"team{number}@partner.example")
            else:
                world.add_setting(2, user, boxes=boxes, slack_channel_id=f"C0{number:08}", slack_channel_name=f"#alerts-{number}")
        yield fake


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """One account and its admin, to copy from."""
    server = Server(tmp_path_factory.mktemp("empty") / "home", {})
    lay(server)
    server.admin("account", "create", "Acme", "--admin", "ada@acme.test", "--password-file", "-")
    return server


def copy_of(server: Server, home: Path) -> Server:
    shutil.copytree(server.home, home)
    return Server(home, {})


def words(dbt: FakeDbt, tmp_path: Path) -> list[str]:
    (tmp_path / "token").write_text(dbt.token)
    return ["admin", "import", "dbt-platform", "--host", dbt.url, "--account", "7", "--token-file", str(tmp_path / "token"), "--apply"]


def facts(server: Server) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(f"file:{server.home / 'runbell.sqlite3'}?mode=ro", uri=True)) as lite:
        return {name: sorted(lite.execute(sql).fetchall(), key=str) for name, sql in FACTS.items()}


def test_the_page_step_by_step(dbt: FakeDbt, empty: Server, tmp_path: Path) -> None:
    server = copy_of(empty, tmp_path / "home")
    (tmp_path / "dbt-token").write_text(dbt.token)
    path = {"PATH": f"{Path(RUNBELL).parent}:{os.environ['PATH']}"}
    said = []
    for line in COMMANDS:
        line = line.replace("ab123.us1.dbt.com", dbt.url).replace("--account 12345", "--account 7")
        done = subprocess.run(["sh", "-ec", line], cwd=tmp_path, env=server.environ | path, capture_output=True, text=True, check=True)
        assert dbt.token not in done.stdout + done.stderr
        said.append(" ".join(done.stdout.split()))
    look, apply = said
    assert "Nothing was changed" in look
    assert "boxes 1,434 0" in look
    assert "Carried over." in apply
    found = facts(server)
    assert len(found["jobs"]) == 120
    assert ("person1@acme.example", "Person1", "developer") in found["members"]
    assert len([row for row in found["boxes"] if row[7]]) == 1434
    for file in server.home.iterdir():
        assert dbt.token.encode() not in file.read_bytes(), file


def test_killed_in_the_middle_and_run_again_is_as_one_clean_run(dbt: FakeDbt, empty: Server, tmp_path: Path) -> None:
    """How far it comes before the signal reaches it is the machine's to say; what it comes to is not."""
    clean, killed = copy_of(empty, tmp_path / "clean"), copy_of(empty, tmp_path / "killed")
    command = [RUNBELL, *words(dbt, tmp_path)]
    subprocess.run(command, env=clean.environ, check=True, capture_output=True)
    for at in ("jobs: 100 of", "settings: 100 of"):
        with subprocess.Popen(command, env=killed.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            for line in process.stderr:
                if at in line:
                    process.send_signal(signal.SIGKILL)
    subprocess.run(command, env=killed.environ, check=True, capture_output=True)
    assert facts(killed) == facts(clean)


def test_out_of_one_account_into_an_empty_one(dbt: FakeDbt, tmp_path: Path) -> None:
    """Runbell speaks the Admin API itself: what came from dbt goes on from there, with the rules for whole environments."""
    with running(tmp_path / "home") as server:
        server.furnish(("ops@partner.example",))
        into = ["--into", str(server.account)]
        subprocess.run([RUNBELL, *words(dbt, tmp_path), *into], env=server.environ, check=True, capture_output=True)
        add_environment_rule(server)
        before = settings(server, server.account, server.token)
        copy = int(server.admin("account", "create", "Copy", "--admin", "bo@copy.example", "--password-file", "-"))
        (tmp_path / "token").write_text(server.token)
        source = ["--host", server.url, "--account", str(server.account), "--token-file", str(tmp_path / "token")]
        server.admin("import", "dbt-platform", *source, "--into", str(copy), "--apply")
        token = server.admin("token", "create", "--account", str(copy), "--name", "look", "--can", "read,notifications")
        assert settings(server, copy, token) == before
        assert len(before) == 242
        assert server.stop() == 0


def add_environment_rule(server: Server) -> None:
    base = f"/api/v2/accounts/{server.account}"
    [place] = [row for row in server.call("GET", f"{base}/environments/")["data"] if row["name"] == "Production"][:1]
    body = {"type": 4, "external_email": "all@partner.example", "runbell_environments": {"on_failure": [place["id"]]}}
    server.call("POST", f"{base}/notifications/", body)


def settings(server: Server, account: int, token: str) -> dict[tuple[Any, ...], Any]:
    """By recipient: the names of what each list holds."""
    server.token, kept = token, server.token
    base, places = f"/api/v2/accounts/{account}", f"/api/v3/accounts/{account}"
    emails = {row["id"]: row["email"] for row in server.call("GET", f"{places}/users/?limit=1000")["data"]}
    projects = {row["id"]: row["name"] for row in server.call("GET", f"{places}/projects/")["data"]}
    environments = {row["id"]: (projects[row["project_id"]], row["name"]) for row in server.call("GET", f"{places}/environments/")["data"]}
    jobs = {
        row["id"]: (*environments[row["environment_id"]], row["name"]) for row in server.call("GET", f"{base}/jobs/?limit=1000")["data"]
    }
    rows = server.call("GET", f"{base}/notifications/?limit=1000")["data"]
    server.token = kept
    found = {}
    for row in rows:
        mine = {name: sorted(jobs[key] for key in row[name]) for name in ON}
        mine |= {f"all {name}": sorted(environments[key] for key in row["runbell_environments"][name]) for name in ON}  # type: ignore[misc]
        to = emails[row["user_id"]] if row["type"] == 1 else row["external_email"] or (row["slack_channel_id"], row["slack_channel_name"])
        if any(mine.values()):
            found[row["type"], to] = mine
    return found
