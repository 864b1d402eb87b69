"""`runbell run` around a dbt that plays recorded samples, and a server in good and bad moods."""

import json
import resource
import stat
import sys
from pathlib import Path

import pytest
from tests.e2e.cli.conftest import RUNBELL, SAMPLES, Stage, wait_until
from tests.fakes.runbell_server import TOKEN

from runbell.core.runs import MAX_LOG_END

RUN = ("run", "--job", "nightly")


@pytest.mark.parametrize("code", [0, 1, 2, 77, 255])
def test_the_exit_code_is_the_commands(stage: Stage, code: int) -> None:
    done = stage.run(*RUN, "--", "sh", "-c", f"echo out; echo err >&2; exit {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "out\n", "err\n")
    assert stage.server.finished[0]["steps"][0]["exit_code"] == code


def test_a_run_is_told_twice_under_one_key(stage: Stage) -> None:
    script = "while [ ! -e go ]; do sleep 0.02; done"
    running = stage.start(RUNBELL, *RUN, "--", "sh", "-c", script)
    (started,) = stage.server.wait_for(1, "started")
    assert stage.server.finished == []
    (stage.folder / "go").touch()
    running.communicate(timeout=60)
    (finished,) = stage.server.finished
    assert finished["key"] == started["key"]
    assert started["key"].startswith("cli:")
    assert started["started_at"] == finished["started_at"] <= finished["finished_at"]
    assert started["job"] == finished["job"] == {"project": "shop", "environment": "prod", "name": "nightly"}
    assert started["steps"][0]["command"] == f"sh -c '{script}'"
    assert "outcome" not in started


def test_details_come_from_the_artifacts(stage: Stage) -> None:
    stage.play("mixed_all")
    stage.env["DBT_TARGET_PATH"] = "elsewhere"
    done = stage.run(*RUN, "-v", "--", "dbt", "build")
    assert done.returncode == 1
    assert "reported as failed: http://127.0.0.1" in done.stderr
    (report,) = stage.server.finished
    (step,) = report["steps"]
    assert step["counts"]["warned"] == 3
    assert step["counts"]["skipped"] == 2
    assert any("does not exist" in node.get("message", "") or "Error" in node.get("message", "") for node in step["nodes"])
    assert report["aliases"] == [f"inv:{step['invocation_id']}"]
    assert "Done. PASS=9 WARN=3 ERROR=2" in report["log_end"]


def test_an_artifact_of_an_earlier_command_is_not_read(stage: Stage) -> None:
    """Even one written a moment before: dbt leaves it there when it cannot compile."""
    broken = f"env PLAY={SAMPLES / 'stale_run_results_compile_error'} dbt build"
    stage.play("build_with_warn")
    done = stage.run(*RUN, "--step", "dbt build", "--step", broken)
    assert done.returncode == 2
    first, second = stage.server.finished[0]["steps"]
    assert first["counts"]["warned"] > 0
    assert "counts" not in second
    assert "nodes" not in second
    assert stage.server.finished[0]["outcome"] == "failed"


def test_steps_stop_at_the_first_failure(stage: Stage) -> None:
    steps = ("--step", "sh -c 'exit 0'", "--step", "sh -c 'exit 3'", "--step", "touch later", "--step", "sh -c 'exit 4'")
    assert stage.run(*RUN, *steps).returncode == 3
    assert not (stage.folder / "later").exists()
    assert [step["exit_code"] for step in stage.server.finished[0]["steps"]] == [0, 3]
    assert stage.run(*RUN, *steps, "--keep-going").returncode == 3
    assert (stage.folder / "later").exists()
    again = stage.server.finished[1]
    assert [step["exit_code"] for step in again["steps"]] == [0, 3, 0, 4]
    assert [step["index"] for step in again["steps"]] == [1, 2, 3, 4]
    assert again["steps"][2]["command"] == "touch later"
    assert again["outcome"] == "failed"


def test_warnings_of_any_step_count(stage: Stage) -> None:
    fresh, build = (f"env PLAY={SAMPLES / name} dbt build" for name in ("freshness_warn", "success"))
    assert stage.run(*RUN, "--step", fresh, "--step", build).returncode == 0
    (report,) = stage.server.finished
    assert report["outcome"] == "warned"
    assert [step["counts"].get("warned", 0) for step in report["steps"]] == [1, 0]
    assert len(report["aliases"]) == 2


@pytest.mark.parametrize(
    ("words", "code", "line"), [(["nope"], 127, "nope: command not found"), (["./text"], 126, "./text: cannot be run")]
)
def test_a_command_that_cannot_start(stage: Stage, words: list[str], code: int, line: str) -> None:
    (stage.folder / "text").write_text("hello")
    done = stage.run(*RUN, "--", *words)
    assert done.returncode == code
    assert done.stderr.startswith(f"runbell: {line}")
    assert done.stderr.count("\n") == 1
    (report,) = stage.server.finished
    assert (report["outcome"], report["steps"][0]["exit_code"]) == ("failed", code)


def test_a_script_without_an_interpreter_line(stage: Stage) -> None:
    (stage.folder / "script").write_text("exit 0\n")
    (stage.folder / "script").chmod(0o755)
    done = stage.run(*RUN, "--", "./script")
    assert done.returncode == 126
    assert "Exec format error" in done.stderr


def test_dry_run_sends_nothing(stage: Stage) -> None:
    done = stage.run(*RUN, "--dry-run", "--", "sh", "-c", "exit 1")
    assert done.returncode == 1
    assert json.loads(done.stdout)["outcome"] == "failed"
    assert stage.server.requests == []
    assert stage.waiting == []


@pytest.mark.parametrize(
    ("artifact", "line"),
    [
        (b'{"metadata": {}, "results": [{"unique', "it is not whole JSON"),
        (b"\xff\xfe\x00", "it is not UTF-8 text"),
        (b"[1, 2]", "it does not look like a dbt artifact"),
        (None, "it is not a file"),
    ],
)
def test_bad_artifacts_are_one_line(stage: Stage, artifact: bytes | None, line: str) -> None:
    (stage.folder / "bad").mkdir()
    if artifact is not None:
        (stage.folder / "bad.json").write_bytes(artifact)
    source = "bad" if artifact is None else "bad.json"
    done = stage.run(*RUN, "--", "sh", "-c", f"mkdir -p target && cp -r {source} target/run_results.json; exit 1")
    assert done.returncode == 1
    assert done.stderr == f"runbell: {stage.folder}/target/run_results.json is not used: {line}\n"
    assert stage.server.finished[0]["outcome"] == "failed"


def test_the_log_is_masked_and_only_its_new_end_is_told(stage: Stage) -> None:
    logs = stage.folder / "logs"
    logs.mkdir()
    (logs / "dbt.log").write_text("an earlier run\n")
    secret = "postgres://shop:hunter2@db.acme.test/shop"
    script = f"yes 'line {'é' * 40}' | head -n 3000 >>logs/dbt.log; echo 'connects to {secret}' >>logs/dbt.log"
    assert stage.run(*RUN, "--", "sh", "-c", script).returncode == 0
    log_end = stage.server.finished[0]["log_end"]
    assert "connects to postgres://shop:hidden@db.acme.test/shop" in log_end
    assert len(log_end.encode()) <= MAX_LOG_END
    assert log_end.startswith("line é")
    stage.run(*RUN, "--", "sh", "-c", "printf '\\033[0m06:46:44 \\033[32mnews\\033[0m\\n' >>logs/dbt.log")
    assert stage.server.finished[1]["log_end"] == "06:46:44 news\n"
    stage.run(*RUN, "--", "sh", "-c", "mv logs/dbt.log logs/dbt.log.1; echo rotated >logs/dbt.log")
    assert stage.server.finished[2]["log_end"] == "rotated\n"
    stage.run(*RUN, "--", "true")
    assert "log_end" not in stage.server.finished[3]


def test_files_that_cannot_be_read(stage: Stage) -> None:
    """Not even by root: reading a process's memory from its start fails."""
    script = "mkdir -p target logs; ln -s /proc/self/mem target/run_results.json; ln -s /proc/self/mem logs/dbt.log; exit 5"
    done = stage.run(*RUN, "--", "sh", "-c", script)
    assert done.returncode == 5
    assert done.stderr == f"runbell: {stage.folder}/target/run_results.json is not used: Input/output error\n"
    assert stage.server.finished[0]["outcome"] == "failed"


def test_a_working_directory_that_is_gone(stage: Stage) -> None:
    script = "mkdir gone && cd gone && rmdir ../gone && runbell run --job nightly -- false"
    done = stage.sh(script)
    assert (done.returncode, done.stderr) == (1, "")
    assert stage.server.finished[0]["job"] == {"project": "default", "environment": "default", "name": "nightly"}


def test_secrets_in_the_command_are_masked(stage: Stage) -> None:
    stage.run(*RUN, "--", "true", "--vars", "{password: hunter2}")
    assert "hunter2" not in json.dumps(stage.server.reports)


@pytest.mark.parametrize(
    ("mode", "body", "line"),
    [
        (500, b"<h1>Internal Server Error</h1>", "answers HTTP 500"),
        (503, {"error": {"field": None, "message": "the database is locked"}}, "answers HTTP 503: the database is locked"),
        (429, {"error": {"field": None, "message": "too many reports"}}, "answers HTTP 429: too many reports"),
        (401, {"error": {"field": None, "message": "this token was revoked"}}, "refuses the token: this token was revoked"),
        (403, {"error": {"field": None, "message": "this token may not report"}}, "refuses the token: this token may not report"),
        (404, b"<h1>nginx</h1>", "answers HTTP 404"),
        (307, b"", "sends us elsewhere (HTTP 307)"),
        (200, b"<h1>It works!</h1>", "does not answer like Runbell"),
        ("garbage", None, "it does not speak HTTP, or hung up"),
        ("drop", None, "it does not speak HTTP, or hung up"),
    ],
)
def test_what_may_pass_is_kept(stage: Stage, mode: str | int, body: object, line: str) -> None:
    stage.server.mode, stage.server.body = mode, body
    done = stage.run(*RUN, "--", "sh", "-c", "exit 5")
    assert done.returncode == 5
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
    (kept,) = stage.waiting
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(stage.spool.stat().st_mode) == 0o700
    assert TOKEN not in kept.read_text()
    assert json.loads(kept.read_text())["steps"][0]["exit_code"] == 5

    stage.server.mode = "fine"
    stage.server.requests.clear()
    assert stage.run("run", "--job", "hourly", "--", "true").returncode == 0
    assert [report["job"]["name"] for report in stage.server.finished] == ["hourly", "nightly"]
    assert stage.waiting == []


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_what_will_never_be_taken_is_set_aside(stage: Stage, status: int) -> None:
    stage.server.mode = status
    stage.server.body = {"error": {"field": "job.name", "message": "must not be empty"}}
    done = stage.run(*RUN, "--", "sh", "-c", "exit 5")
    assert done.returncode == 5
    assert "refuses the report of nightly: job.name: must not be empty; set aside as" in done.stderr
    assert done.stderr.count("\n") == 1
    assert stage.waiting == []
    (rejected,) = (stage.spool / "rejected").iterdir()
    assert stat.S_IMODE(rejected.stat().st_mode) == 0o600


def test_a_server_that_does_not_listen(stage: Stage) -> None:
    stage.env["RUNBELL_URL"] = "http://127.0.0.1:1"
    done = stage.run(*RUN, "--", "sh", "-c", "exit 5")
    assert done.returncode == 5
    assert "cannot reach http://127.0.0.1:1 (connection refused)" in done.stderr
    assert len(stage.waiting) == 1


def test_a_server_that_never_answers(stage: Stage) -> None:
    stage.server.mode = "hang"
    done = stage.run(*RUN, "--", "sh", "-c", "exit 5")
    assert done.returncode == 5
    assert "no answer within 5 s" in done.stderr
    assert len(stage.waiting) == 1


def test_wait_tries_again_before_it_keeps(stage: Stage) -> None:
    stage.server.mode = 503
    running = stage.start(RUNBELL, *RUN, "--wait", "60", "--", "sh", "-c", "exit 5")
    stage.server.wait_for(2, "finished")
    stage.server.mode = "fine"
    _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (5, "")
    assert stage.waiting == []


def test_nothing_is_set(stage: Stage) -> None:
    for missing in ("RUNBELL_TOKEN", "RUNBELL_URL"):
        del stage.env[missing]
        done = stage.run(*RUN, "--", "sh", "-c", "exit 5")
        assert done.returncode == 5
        assert f"{missing} is not set" in done.stderr
        assert done.stderr.count("\n") == 1
    assert len(stage.waiting) == 2


def test_cron_with_an_empty_environment(stage: Stage) -> None:
    done = stage.sh(f"env -i {RUNBELL} run --job nightly --spool-dir {stage.spool} -- sh -c 'exit 5' </dev/null")
    assert done.returncode == 5
    (kept,) = stage.waiting
    assert json.loads(kept.read_text())["job"] == {"project": "shop", "environment": "prod", "name": "nightly"}


def test_without_a_terminal_and_without_stderr(stage: Stage) -> None:
    stage.server.mode = 500
    assert stage.sh("runbell run --job nightly -- sh -c 'exit 5' <&- >&- 2>&-").returncode == 5
    assert stage.sh("runbell run --job nightly -- sh -c 'exit 5' 2>&1 | true; exit ${PIPESTATUS[0]}").returncode == 5
    assert len(stage.waiting) == 2
    assert stage.sh("runbell run --job nightly --dry-run -- sh -c 'exit 5' | true; exit ${PIPESTATUS[0]}").returncode == 5


def test_a_full_disk(stage: Stage) -> None:
    stage.server.mode = 500
    stage.env["RUNBELL_SPOOL_DIR"] = str(stage.spool)
    for name in [name for name in stage.env if name.startswith("COVERAGE_")]:
        del stage.env[name]  # its own file would not fit either
    done = stage.run(*RUN, "--", "sh", "-c", "exit 5", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)))
    assert done.returncode == 5
    assert "cannot be kept" in done.stderr
    assert "this run is not reported" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(stage.spool.iterdir()) == []


def test_a_spool_that_cannot_be_written(stage: Stage) -> None:
    stage.server.mode = 500
    stage.spool.write_text("a file in its place")
    done = stage.run(*RUN, "--", "sh", "-c", "exit 5")
    assert done.returncode == 5
    assert "cannot be kept" in done.stderr
    assert done.stderr.count("\n") == 1
    stage.server.mode = 422
    stage.server.body = {"error": {"field": "key", "message": "is too long"}}
    done = stage.run(*RUN, "--", "sh", "-c", "exit 5")
    assert "key: is too long; and it cannot be set aside" in done.stderr
    stage.server.mode = "fine"
    done = stage.run(*RUN, "--", "sh", "-c", "exit 5")
    assert (done.returncode, done.stderr) == (5, "")


def test_a_read_only_spool(stage: Stage) -> None:
    """Where nobody makes directories, not even root."""
    stage.server.mode = 500
    stage.env["RUNBELL_SPOOL_DIR"] = "/sys/kernel/runbell"
    done = stage.run(*RUN, "--", "sh", "-c", "exit 5")
    assert done.returncode == 5
    assert "cannot be kept in /sys/kernel/runbell" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_oldest_goes_when_the_spool_is_full(stage: Stage) -> None:
    stage.spool.mkdir()
    old = {"job": {"name": "ancient"}, "started_at": "2020-01-01T00:00:00Z"}
    for number in range(1_000):
        (stage.spool / f"{number:020d}-1-aaaaaa.json").write_text(json.dumps(old))
    stage.server.mode = 500
    done = stage.run(*RUN, "--", "sh", "-c", "exit 5")
    assert done.returncode == 5
    assert "the spool is full: the oldest report was dropped, ancient of 2020-01-01T00:00:00Z" in done.stderr
    assert len(stage.waiting) == 1_000


def test_names_are_trimmed_and_said(stage: Stage) -> None:
    name = "  nightly\nbuild <!channel> <b>🌙</b> \u202egnp" + "x" * 500
    done = stage.run("run", "--job", name, "--", "true")
    assert done.returncode == 0
    assert "the job is written as" in done.stderr
    assert done.stderr.count("\n") == 1
    told = stage.server.finished[0]["job"]["name"]
    assert told.startswith("nightly build <!channel> <b>🌙</b> \u202egnpxxx")
    assert len(told) == 200


def test_bytes_that_are_no_text(stage: Stage) -> None:
    done = stage.sh("runbell run --job $'caf\\xe9' --environment prod -- sh -c 'exit 5' $'\\xff'")
    assert done.returncode == 5
    assert stage.server.finished[0]["job"]["name"] == "caf\ufffd"


def test_a_bad_setting_is_said_and_the_job_runs(stage: Stage) -> None:
    (stage.folder / "runbell.toml").write_text('enviroment = "Production"\nwait = "soon"\nproject = "shop"\n')
    done = stage.run(*RUN, "--", "sh", "-c", "exit 5")
    assert done.returncode == 5
    assert "enviroment" in done.stderr
    assert "must be a number" in done.stderr
    assert stage.server.finished[0]["job"]["project"] == "shop"


def test_two_at_once_share_the_spool(stage: Stage) -> None:
    stage.server.mode = 500
    for _ in range(5):
        stage.run(*RUN, "--", "true")
    stage.server.mode = "fine"
    stage.server.requests.clear()
    both = [stage.start(RUNBELL, "flush") for _ in range(2)]
    for running in both:
        running.communicate(timeout=60)
    wait_until(lambda: not stage.waiting, "an empty spool")
    keys = [report["key"] for report in stage.server.finished]
    assert len(keys) == len(set(keys)) == 5, "each once"


def test_a_large_report_is_packed(stage: Stage) -> None:
    stage.run(*RUN, "--", "sh", "-c", "mkdir logs; yes 'the same line' | head -n 3000 >logs/dbt.log")
    packings = [request.headers["content-encoding"] for request in stage.server.requests if "content-encoding" in request.headers]
    assert packings == ["gzip"]  # the report of the start is small, and may come last
    assert stage.server.finished[0]["log_end"].endswith("the same line\n")


def test_no_ssl_without_https_and_nothing_heavy_before_the_child(stage: Stage, tmp_path: Path) -> None:
    spy = tmp_path / "spy.py"
    spy.write_text(
        "import os, sys\n"
        "bare = set(sys.modules)\n"
        "spawn = os.posix_spawnp\n"
        "def spying(*words, **more):\n"
        "    print(*sorted(set(sys.modules) - bare), flush=True)\n"
        "    return spawn(*words, **more)\n"
        "os.posix_spawnp = spying\n"
        "leave = os._exit\n"
        "def leaving(code):\n"
        "    print('ssl' in sys.modules, 'http.client' in sys.modules, flush=True)\n"
        "    leave(code)\n"
        "os._exit = leaving\n"
        "from runbell.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )
    with stage.start(sys.executable, str(spy), *RUN, "--", "true") as running:
        output, _ = running.communicate(timeout=60)
    before, after = output.splitlines()
    assert after == "False True"
    heavy = {
        "typing",
        "dataclasses",
        "inspect",
        "pathlib",
        "subprocess",
        "threading",
        "socket",
        "json",
        "http.client",
        "datetime",
        "shutil",
    }
    assert heavy.isdisjoint(before.split())
    assert not [module for module in before.split() if module.startswith("runbell.core")]
