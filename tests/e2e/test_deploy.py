"""The Dockerfile, the compose file and the units are read, and their commands run without Docker and systemd; only folders and the port change."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from configparser import RawConfigParser
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.e2e.processes import free_port, wait_until
from tests.e2e.stage import BARE, ROOT

from runbell.server.environment import SETTINGS
from runbell.server.serve import GRACE

DEPLOY = ROOT / "examples/deploy"
NAMES = {setting.name for setting in SETTINGS} | {f"{setting.name}_FILE" for setting in SETTINGS if setting.is_secret}
Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """https://docs.docker.com/reference/dockerfile/, as far as ours uses it."""
    found: list[list[Instruction]] = []
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line and not line.startswith("#"):
            word, rest = line.split(maxsplit=1)
            if word == "FROM":
                found.append([])
            found[-1].append((word, rest))
    return found


BUILD, FINAL = stages()


def of(stage: list[Instruction], word: str) -> list[str]:
    return [rest for found, rest in stage if found == word]


def environment(stage: list[Instruction]) -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in of(stage, "ENV") for pair in shlex.split(rest))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder with what the image would hold, built by the commands of the first stage."""
    root = tmp_path_factory.mktemp("image")
    source = root / "src"
    for copied in of(BUILD, "COPY"):
        *names, target = copied.split()
        for name in names:
            put(ROOT / name, source / target / (name if target.endswith("./") else ""))
    uv, *commands = of(BUILD, "RUN")
    [pinned] = re.findall(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.M)
    assert uv == f"pip install --no-cache-dir uv=={pinned}"  # here it is in .tools
    env = BARE | environment(BUILD) | {"UV_PROJECT_ENVIRONMENT": str(root / "opt/runbell"), "UV_PYTHON": sys.executable}
    env |= {"PATH": f"{ROOT / '.tools/uv/bin'}:{BARE['PATH']}"}
    for command in commands:
        ended = subprocess.run(
            ["sh", "-eu", "-c", command.replace("--no-cache ", "")], cwd=source, env=env, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
    return root


def put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.mo", "__pycache__"))
    else:
        shutil.copy(source, target)


def test_the_build_sees_all_that_it_copies_and_no_more() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sent == {name for copied in of(BUILD, "COPY") for name in copied.split()[:-1]}


def test_the_image_runs_as_nobody_in_particular_and_holds_what_is_locked() -> None:
    assert of(BUILD, "FROM") == ["python:3.11-slim AS build"]
    assert of(FINAL, "FROM") == ["python:3.11-slim"]
    assert of(FINAL, "COPY") == ["--from=build /opt/runbell /opt/runbell"]
    [user], [made] = of(FINAL, "USER"), of(FINAL, "RUN")
    assert int(user) > 0  # a number, for clusters that refuse root
    assert f"--uid {user} " in made
    assert FINAL.index(("USER", user)) > FINAL.index(("RUN", made))
    env = environment(FINAL)
    assert of(FINAL, "VOLUME") == [env["RUNBELL_HOME"]] == re.findall(r"--home-dir (\S+)", made)
    assert of(FINAL, "EXPOSE") == [env["RUNBELL_BIND"].rpartition(":")[2]]
    assert {name for name in env if name.startswith("RUNBELL_")} <= NAMES


def test_the_image_serves_says_that_it_is_well_and_ends_when_asked(image: Path, tmp_path: Path) -> None:
    port = free_port()
    env = {"PATH": f"{image / 'opt/runbell/bin'}:{BARE['PATH']}", "RUNBELL_HOME": str(tmp_path), "RUNBELL_BIND": f"127.0.0.1:{port}"}
    command = [word for name in ("ENTRYPOINT", "CMD") for word in json.loads(of(FINAL, name)[0])]
    health = json.loads(of(FINAL, "HEALTHCHECK")[0].partition("CMD ")[2])
    health = [word.replace(":8484/", f":{port}/") for word in health]

    def is_well() -> bool:
        return subprocess.run(health, env=BARE | env, stderr=subprocess.DEVNULL, check=False).returncode == 0

    assert f":{port}/" in health[-1]
    assert not is_well()
    with served(command, BARE | env) as process:
        wait_until(is_well, "a healthy container")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert not is_well()
    packages = [path.name for path in (image / "opt/runbell/lib/python3.11/site-packages").glob("*.dist-info")]
    assert any(name.startswith("runbell-") for name in packages)
    assert [name for name in packages if name.startswith(("pytest", "mypy", "playwright"))] == []


@contextmanager
def served(command: list[str], env: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_the_compose_file_gives_each_service_settings_and_commands_that_exist() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    ours = {name: service for name, service in services.items() if service["image"] == "runbell"}
    assert ours.keys() == {"serve", "worker"}
    for name, service in ours.items():
        assert service.get("command", json.loads(of(FINAL, "CMD")[0])) == [name]
        assert service["environment"].keys() <= NAMES
        assert (DEPLOY / service["build"] / "Dockerfile").samefile(ROOT / "Dockerfile")
        assert [volume.partition(":")[2] for volume in service["volumes"]] == of(FINAL, "VOLUME")
        assert float(service["stop_grace_period"].removesuffix("s")) > GRACE
    assert services["serve"]["ports"] == [f"127.0.0.1:8484:{port}" for port in of(FINAL, "EXPOSE")]
    assert services["worker"]["deploy"]["replicas"] == 2
    assert "@database/" in services["serve"]["environment"]["RUNBELL_DATABASE_URL"]


@pytest.mark.parametrize("name", ["runbell.service", "runbell-worker@.service"])
def test_a_unit_starts_a_command_that_exists_with_time_to_end(name: str) -> None:
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / name)
    service = unit["Service"]
    command = "worker" if "worker" in name else "serve"
    assert service["ExecStart"] == f"/opt/runbell/bin/runbell {command}"
    assert float(service["TimeoutStopSec"]) > GRACE
    assert service["User"] == "runbell"
    assert service["Environment"] == f"RUNBELL_HOME=/var/lib/{service['StateDirectory']}"
    if verify := shutil.which("systemd-analyze"):
        said = subprocess.run([verify, "verify", "--man=no", DEPLOY / name], capture_output=True, text=True, check=False).stderr
        assert [line for line in said.splitlines() if name in line and "/opt/runbell/bin/runbell" not in line] == []


def test_the_environment_file_names_settings_that_exist_and_doctor_finds_no_error(tmp_path: Path) -> None:
    lines = [line for line in (DEPLOY / "environment").read_text().splitlines() if re.match(r"#?RUNBELL_", line)]
    assert {line.lstrip("#").partition("=")[0] for line in lines} <= NAMES
    env = dict(line.split("=", 1) for line in lines if not line.startswith("#")) | {"RUNBELL_HOME": str(tmp_path)}
    runbell = Path(sys.executable).parent / "runbell"
    said = subprocess.run([runbell, "doctor"], env=BARE | env, capture_output=True, text=True, check=False)
    assert (said.returncode, re.findall(r"^runbell\.\w+", said.stdout, re.M)) == (0, ["runbell.W002"])  # acme.example is nobody's


def test_the_how_to_installs_what_is_here() -> None:
    page = (ROOT / "docs/howto/scale.md").read_text()
    named = set(re.findall(r"examples/deploy/[\w@.-]+", page))
    assert named == {f"examples/deploy/{path.name}" for path in DEPLOY.iterdir()} == {name for name in named if (ROOT / name).exists()}
    assert os.access(ROOT / "Dockerfile", os.R_OK)
