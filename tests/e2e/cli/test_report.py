"""`runbell report`, and the keys by which a run told twice is one run."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.cli.conftest import RUNBELL, SAMPLES, Stage

REPORT = ("report", "--job", "nightly", "--artifacts", "target")
STARTED = "2026-11-24T00:00:00Z"


def lay(stage: Stage, sample: str, *names: str) -> dict[str, Any]:
    """Puts a sample's artifacts into target/; returns the last one's metadata."""
    target = stage.folder / "target"
    target.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(SAMPLES / sample / name, target / name)
    metadata: dict[str, Any] = json.loads((target / names[-1]).read_text())["metadata"]
    return metadata


def test_a_run_reported_twice_has_one_key(stage: Stage) -> None:
    metadata = lay(stage, "mixed_all", "run_results.json")
    words = (*REPORT, "--exit-code", "1", "--command", "dbt build")
    for more in ((), ("--started-at", STARTED)):
        assert stage.run(*words, *more).returncode == 0
    first, second = stage.server.finished
    assert first["key"] == second["key"] == f"inv:{metadata['invocation_id']}"
    assert first["started_at"] == metadata["invocation_started_at"]
    assert first["finished_at"] == second["finished_at"] == metadata["generated_at"]
    assert second["started_at"] == STARTED
    assert first["steps"][0]["nodes"]


def test_without_artifacts_the_key_is_made_of_what_was_said(stage: Stage) -> None:
    words = (*REPORT, "--exit-code", "2", "--command", "dbt build", "--started-at", STARTED)
    stage.run(*words)
    stage.run(*words)
    stage.run(*words[:6], "3", *words[7:])
    stage.run(*words, "--key", "deploy-17")
    keys = [report["key"] for report in stage.server.finished]
    assert keys[0] == keys[1] != keys[2]
    assert keys[0].startswith("sha256:")
    assert keys[3] == "deploy-17"


def test_artifacts_of_another_command_stay_out(stage: Stage) -> None:
    """Their invocation id would make this run one with the other, and its end would go unheard."""
    build = lay(stage, "mixed_all", "run_results.json")
    freshness = lay(stage, "freshness_warn", "sources.json")
    stage.run(*REPORT, "--exit-code", "1", "--command", "dbt build")
    stage.run(*REPORT, "--exit-code", "0", "--command", "dbt source freshness")
    first, second = stage.server.finished
    assert first["aliases"] == [f"inv:{build['invocation_id']}"]
    assert second["aliases"] == [f"inv:{freshness['invocation_id']}"]
    assert (first["outcome"], second["outcome"]) == ("failed", "warned")


def test_without_a_command_the_newest_artifact_counts(stage: Stage) -> None:
    build = lay(stage, "success", "run_results.json")
    freshness = lay(stage, "freshness_warn", "sources.json")
    stage.run(*REPORT, "--exit-code", "0")
    newest = max(build, freshness, key=lambda metadata: str(metadata["generated_at"]))
    assert stage.server.finished[0]["key"] == f"inv:{newest['invocation_id']}"


def test_an_artifact_that_does_not_fit_the_exit_code_is_not_used(stage: Stage) -> None:
    lay(stage, "success", "run_results.json")
    done = stage.run(*REPORT, "--exit-code", "1", "--command", "dbt build")
    assert "do not fit the exit code" in done.stderr
    (report,) = stage.server.finished
    assert report["outcome"] == "failed"
    assert "aliases" not in report


@pytest.mark.parametrize(
    ("code", "outcome", "step"),
    [
        ("-15", "cancelled", {"exit_code": 143, "signal": 15}),
        ("143", "cancelled", {"exit_code": 143, "signal": 15}),
        ("130", "cancelled", {"exit_code": 130, "signal": 2}),
        ("-9", "failed", {"exit_code": 137, "signal": 9}),
        ("2", "failed", {"exit_code": 2}),
        ("0", "succeeded", {"exit_code": 0}),
    ],
)
def test_exit_codes_of_every_form(stage: Stage, code: str, outcome: str, step: dict[str, int]) -> None:
    assert stage.run(*REPORT[:3], "--exit-code", code).returncode == 0
    (report,) = stage.server.finished
    assert report["outcome"] == outcome
    assert {name: report["steps"][0].get(name) for name in step} == step


def test_a_caller_who_knows_it_was_cancelled(stage: Stage) -> None:
    assert stage.run(*REPORT[:3], "--outcome", "cancelled").returncode == 0
    assert stage.run(*REPORT[:3], "--outcome", "cancelled", "--exit-code", "0").returncode == 0
    assert [report["outcome"] for report in stage.server.finished] == ["cancelled", "cancelled"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "give --exit-code, or --outcome cancelled"),
        (["--exit-code", "one"], "--exit-code: invalid int value: 'one'"),
        (["--exit-code", "99999999999"], "--exit-code must be between"),
        (["--outcome", "broken"], "--outcome: invalid choice: 'broken'"),
        (["--exit-code", "0", "--started-at", "yesterday"], "--started-at: must be a time like 2026-11-24T02:00:00Z"),
        (["--exit-code", "0", "--started-at", ""], "--started-at: must be a time like 2026-11-24T02:00:00Z"),
        (["--exit-code", "0", "--started-at", "2026-11-24T02:00:00"], "--started-at: must carry a zone"),
        (["--exit-code", "0", "--started-at", "2199-01-01T00:00:00Z"], "--started-at is more than a day in the future"),
        (["--exit-code", "0", "--started-at", STARTED, "--finished-at", "2026-11-23T00:00:00Z"], "--finished-at is before started_at"),
        (["--exit-code", "0", "--command", "dbt 'build"], "--command: No closing quotation"),
        (["--exit-code", "0", "--key", "k" * 201], "--key must have at most 200 characters, has 201"),
        (["--exit-code", "0", "--url", "ftp://x"], "--url must be an address like https://runbell.example.com"),
    ],
)
def test_bad_options_name_themselves(stage: Stage, words: list[str], complaint: str) -> None:
    done = stage.run(*REPORT[:3], *words)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert stage.server.requests == []
    assert stage.waiting == []


def test_a_missing_artifact_folder(stage: Stage) -> None:
    done = stage.run(*REPORT, "--exit-code", "2")
    assert done.returncode == 0
    assert done.stderr == "runbell: target is not a directory; reporting without artifacts\n"
    assert stage.server.finished[0]["outcome"] == "failed"


def test_kept_is_fine_and_refused_is_not(stage: Stage) -> None:
    stage.server.mode = 500
    assert stage.run(*REPORT[:3], "--exit-code", "0").returncode == 0
    assert len(stage.waiting) == 1
    stage.server.mode, stage.server.body = 422, {"error": {"field": "job.name", "message": "is reserved"}}
    done = stage.run(*REPORT[:3], "--exit-code", "0")
    assert done.returncode == 1
    assert "job.name: is reserved" in done.stderr


def test_interrupted_while_sending(stage: Stage) -> None:
    stage.server.mode = "hang"
    running = stage.start(RUNBELL, *REPORT[:3], "--exit-code", "0")
    stage.server.wait_for(1, "finished")
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 0
    assert errors.startswith("runbell: interrupted; the report of nightly is kept")
    assert len(stage.waiting) == 1


def test_the_target_directory_is_found_without_being_named(stage: Stage) -> None:
    metadata = lay(stage, "success", "run_results.json")
    inner = stage.folder / "models"
    inner.mkdir()
    stage.sh(f"cd {inner} && runbell report --job nightly --exit-code 0 --command 'dbt build'")
    assert stage.server.finished[0]["key"] == f"inv:{metadata['invocation_id']}"


def test_twenty_thousand_failures_fit(stage: Stage) -> None:
    target = stage.folder / "target"
    target.mkdir()
    artifact = json.loads((SAMPLES / "mixed_all" / "run_results.json").read_text())
    broken = next(result for result in artifact["results"] if result["status"] == "error")
    artifact["results"] = [{**broken, "unique_id": f"model.shop.m{number}", "message": "é" * 20_000} for number in range(20_000)]
    (target / "run_results.json").write_text(json.dumps(artifact, ensure_ascii=False).replace("é" * 20_000, "é" * 3_000))
    assert stage.run(*REPORT, "--exit-code", "1").returncode == 0
    (step,) = stage.server.finished[0]["steps"]
    assert step["counts"]["failed"] == 20_000
    assert len(step["nodes"]) == 200


def test_settings_that_make_no_sense_stop_it(stage: Stage) -> None:
    Path(stage.folder, "runbell.toml").write_text("url = [1]\n")
    done = stage.run(*REPORT[:3], "--exit-code", "0")
    assert done.returncode == 2
    assert "url in" in done.stderr
    assert stage.server.requests == []
