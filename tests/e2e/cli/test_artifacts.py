"""dbt's own files, left with the run where that is on; dbt's exit code whatever becomes of them."""

import json
from pathlib import Path
from shlex import quote

import pytest
from tests.e2e.cli.conftest import Stage
from tests.e2e.cli.test_report import REPORT, lay

RUN = ("run", "--job", "nightly", "--send-artifacts")
MANIFEST = '{"metadata": {"n": N}, "vars": {"api_key": "hunter2"}}'


def write(name: str, text: str) -> str:
    return f"mkdir -p target logs; echo '{text}' > {name}"


def names(stage: Stage) -> list[str]:
    return list(stage.server.files)


def test_each_step_leaves_its_own_and_the_run_its_last_manifest(stage: Stage) -> None:
    stage.play("mixed_all")
    first = write("target/manifest.json", MANIFEST.replace("N", "1"))
    second = f"dbt build; code=$?; {write('target/manifest.json', MANIFEST.replace('N', '2'))}; exit $code"
    done = stage.run(*RUN, "--step", f"sh -c {quote(first)}", "--step", f"sh -c {quote(second)}")
    assert (done.returncode, done.stderr) == (1, "")
    assert names(stage) == ["2/run_results.json", "2/dbt.log", "2/manifest.json"]
    assert json.loads(stage.server.files["2/manifest.json"]) == {"metadata": {"n": 2}, "vars": {"api_key": "hidden"}}
    assert b"Done. PASS=9 WARN=3 ERROR=2" in stage.server.files["2/dbt.log"]
    put = next(request for request in stage.server.requests if request.method == "PUT")
    assert put.path.startswith(f"/api/runbell/v1/runs/{stage.server.finished[0]['key'].replace(':', '%3A')}/artifacts/2/")


@pytest.mark.parametrize(("variable", "toml"), [("on", ""), ("", "send_artifacts = true")])
def test_it_is_off_unless_switched_on(stage: Stage, variable: str, toml: str) -> None:
    command = ("run", "--job", "nightly", "--", "sh", "-c", write("target/manifest.json", "{}"))
    stage.run(*command)
    assert names(stage) == []
    (stage.folder / "runbell.toml").write_text(toml)
    stage.env["RUNBELL_SEND_ARTIFACTS"] = variable
    stage.run(*command)
    assert names(stage) == ["1/manifest.json"]


@pytest.mark.parametrize(
    ("put", "said", "tried"),
    [
        (
            (413, {"error": {"field": "body", "message": "must have at most 9 bytes"}}),
            "dbt.log of step 1 is not kept: body: must have at most",
            2,
        ),
        (
            (403, {"error": {"field": None, "message": "This server keeps no artifacts."}}),
            "is not kept: This server keeps no artifacts.",
            1,
        ),
        ((404, b"<html>"), "is not kept: the server answers HTTP 404", 1),
    ],
)
def test_a_refusal_is_said_and_changes_nothing(stage: Stage, put: tuple[int, object], said: str, tried: int) -> None:
    stage.server.put = put
    done = stage.run(*RUN, "--", "sh", "-c", f"{write('target/manifest.json', '{}')}; echo x > logs/dbt.log; exit 3")
    assert done.returncode == 3
    assert said in done.stderr
    assert len(names(stage)) == tried


def test_half_a_file_stays_behind_alone(stage: Stage) -> None:
    done = stage.run(*RUN, "--", "sh", "-c", f"{write('target/manifest.json', '{')}; {write('target/catalog.json', '{}')}")
    assert (done.returncode, names(stage)) == (0, ["1/catalog.json"])
    assert "manifest.json of step 1 is not kept: it is not whole JSON" in done.stderr


def test_nothing_is_left_with_a_report_that_is_kept_or_only_printed(stage: Stage) -> None:
    command = ("--", "sh", "-c", write("target/manifest.json", "{}"))
    assert stage.run(*RUN, "--dry-run", *command).returncode == 0
    stage.server.mode = 503
    assert stage.run(*RUN, *command).returncode == 0
    assert names(stage) == []


def test_a_report_leaves_what_names_its_invocation(stage: Stage) -> None:
    metadata = lay(stage, "mixed_all", "run_results.json")
    target: Path = stage.folder / "target"
    (target / "manifest.json").write_text(json.dumps({"metadata": {"invocation_id": metadata["invocation_id"]}}))
    (target / "catalog.json").write_text(json.dumps({"metadata": {"invocation_id": "another"}}))
    words = (*REPORT, "--exit-code", "1", "--command", "dbt build", "--send-artifacts")
    assert stage.run(*words).returncode == 0
    assert names(stage) == ["1/run_results.json", "1/manifest.json"]
    stage.server.put = (500, None)
    assert stage.run(*words).returncode == 0
