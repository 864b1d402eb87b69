"""Every recorded run of a real engine comes out as it should: 45 through `report`, the 4 with a SIGINT through `run`."""

import json
import shutil
import signal
from pathlib import Path

import pytest
from tests.e2e.cli.conftest import RUNBELL, SAMPLES, Stage

EXPECTED = json.loads((SAMPLES / "expected.json").read_text())
INTERRUPTED = ("fusion-sigint", "sigint", "sigint_during_parse", "sigint_jsonlog")
REPORTED = tuple(name for name in EXPECTED if name not in INTERRUPTED)


def test_counts() -> None:
    assert (len(EXPECTED), len(REPORTED), len(INTERRUPTED)) == (49, 45, 4)


@pytest.mark.parametrize("sample", REPORTED)
def test_report(stage: Stage, sample: str) -> None:
    expected = EXPECTED[sample]
    artifacts = stage.folder / "target"
    shutil.copytree(SAMPLES / sample, artifacts)
    command = expected["command"].partition("   [")[0]
    done = stage.run(
        *("report", "--job", "nightly", "--exit-code", str(expected["exit_code"]), "--artifacts", str(artifacts), "--command", command),
        "--dry-run",
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["outcome"] == expected["outcome"]
    assert report["state"] == "finished"
    assert (report["job"]["project"], report["job"]["environment"]) == ("shop", "prod")
    assert stage.server.requests == []


def test_stale_artifacts_lend_nothing(stage: Stage) -> None:
    artifacts = stage.folder / "target"
    shutil.copytree(SAMPLES / "stale_run_results_compile_error", artifacts)
    base = ("report", "--job", "nightly", "--exit-code", "2", "--artifacts", str(artifacts), "--dry-run")
    for more in ((), ("--started-at", "2026-11-24T02:30:00Z")):
        report = json.loads(stage.run(*base, *more).stdout)
        assert report["outcome"] == "failed"
        assert "nodes" not in report["steps"][0]
        assert "aliases" not in report
        assert not report["key"].startswith("inv:")


@pytest.mark.parametrize("sample", INTERRUPTED)
def test_run_with_a_real_sigint(stage: Stage, sample: str) -> None:
    stage.play(sample)
    command = EXPECTED[sample]["command"].partition("   [")[0].split()
    running = stage.start(RUNBELL, "run", "--job", "nightly", "--", *command)
    stage.wait_for_minute("ready")
    running.send_signal(signal.SIGINT)
    output, errors = running.communicate(timeout=60)
    assert running.returncode == EXPECTED[sample]["exit_code"]
    assert stage.minutes == ["ready", "2"], "told once"
    assert errors == ""
    assert output == Path(SAMPLES, sample, "stdout.txt").read_text()
    (report,) = stage.server.finished
    assert report["outcome"] == EXPECTED[sample]["outcome"] == "cancelled"
    (step,) = report["steps"]
    assert (step["exit_code"], step["signal"]) == (EXPECTED[sample]["exit_code"], signal.SIGINT)
    assert bool(step.get("invocation_id")) == (SAMPLES / sample / "run_results.json").exists()


def test_a_second_sigint_kills_dbt_as_without_us(stage: Stage) -> None:
    stage.play("sigint")
    running = stage.start(RUNBELL, "run", "--job", "nightly", "--", "dbt", "build")
    stage.wait_for_minute("ready")
    running.send_signal(signal.SIGINT)
    stage.wait_for_minute("2")
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert stage.minutes == ["ready", "2", "a second one"]
    assert stage.server.finished[0]["outcome"] == "cancelled"
