"""`flush`, `check`, `init`, https, and the way to the server's commands."""

import signal
import ssl
import stat
import sys
import tomllib
from pathlib import Path

import pytest
import trustme
from tests.e2e.cli.conftest import RUNBELL, Stage
from tests.fakes.runbell_server import TOKEN, FakeRunbell

from runbell.cli.spool import Spool


def keep(stage: Stage, *jobs: str) -> None:
    mode, stage.server.mode = stage.server.mode, 500
    for job in jobs:
        stage.run("run", "--job", job, "--", "true")
    stage.server.mode = mode
    stage.server.requests.clear()
    assert len(stage.waiting) >= len(jobs)


def test_flush_sends_the_oldest_first(stage: Stage) -> None:
    assert stage.run("flush").returncode == 0
    keep(stage, "first", "second", "third")
    done = stage.run("flush")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"3 of 3 reports sent or set aside, 0 left in {stage.spool}\n"
    assert [report["job"]["name"] for report in stage.server.finished] == ["first", "second", "third"]


@pytest.mark.parametrize("mode", [500, 401, "drop"])
def test_flush_says_while_something_is_left(stage: Stage, mode: str | int) -> None:
    stage.server.mode = mode
    keep(stage, "first", "second")
    done = stage.run("flush")
    assert done.returncode == 1
    assert done.stdout.startswith("0 of 2 reports sent or set aside, 2 left in")
    assert stage.server.url in done.stderr
    assert len(stage.server.requests) == 1, "one is enough to know"


def test_flush_sets_aside_what_is_refused(stage: Stage) -> None:
    keep(stage, "first", "second")
    stage.server.mode, stage.server.body = 422, {"error": {"field": "key", "message": "is taken"}}
    done = stage.run("flush")
    assert done.returncode == 0
    assert "the server refuses the report of first: key: is taken; set aside as" in done.stderr
    assert len(list((stage.spool / "rejected").iterdir())) == 2


def test_flush_goes_past_what_is_not_a_report(stage: Stage) -> None:
    keep(stage, "second")
    (stage.spool / "00000000000000000001-1-aaaaaa.json").mkdir()
    done = stage.run("flush")
    assert done.returncode == 1
    assert "cannot read" in done.stderr
    assert [report["job"]["name"] for report in stage.server.finished] == ["second"]


def test_flush_while_another_one_sends(stage: Stage) -> None:
    keep(stage, "first")
    with Spool(stage.spool).sending() as is_ours:
        assert is_ours
        done = stage.run("flush")
    assert done.returncode == 1
    assert done.stderr == "runbell: another process is sending, or the server does not answer\n"


def test_flush_interrupted(stage: Stage) -> None:
    keep(stage, "first")
    stage.server.mode = "hang"
    running = stage.start(RUNBELL, "flush")
    stage.server.wait_for(1, "finished")
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert len(stage.waiting) == 1


def test_flush_with_settings_that_make_no_sense(stage: Stage) -> None:
    done = stage.run("flush", "--url", "nonsense")
    assert done.returncode == 2
    assert "--url must be an address" in done.stderr


def test_check(stage: Stage) -> None:
    done = stage.run("check", "--job", "nightly")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"server   {stage.server.url}, Runbell 0.1.0",
        "account  Acme",
        "token    ci, acts as ada@acme.test, may report, read",
        "job      shop › prod › nightly",
        "told     succeeded 0, warned 2, failed 3, cancelled 1",
        f"spool    0 waiting in {stage.spool}",
    ]
    assert stage.server.requests[0].path == "/api/runbell/v1/check?project=shop&environment=prod&job=nightly"
    assert "job" not in stage.run("check").stdout


def test_check_in_a_terminal_of_another_alphabet(stage: Stage) -> None:
    stage.env["PYTHONIOENCODING"] = "latin-1"
    done = stage.run("check", "--job", "nightly")
    assert done.returncode == 0
    assert "shop \\u203a prod \\u203a nightly" in done.stdout


@pytest.mark.parametrize(
    ("mode", "body", "complaint"),
    [
        (401, {"error": {"field": None, "message": "this token was revoked"}}, "answers HTTP 401: this token was revoked"),
        (404, b"<h1>nginx</h1>", "answers HTTP 404: it may not be Runbell"),
        (200, b"<h1>It works!</h1>", "does not answer like Runbell"),
        ("drop", None, "cannot reach"),
    ],
)
def test_check_finds_trouble(stage: Stage, mode: str | int, body: object, complaint: str) -> None:
    stage.server.mode, stage.server.body = mode, body
    done = stage.run("check", "--job", "nightly")
    assert done.returncode == 1
    assert complaint in done.stderr
    assert TOKEN not in done.stderr + done.stdout


def test_check_says_what_is_missing(stage: Stage) -> None:
    stage.server.permissions = ("read",)
    assert "this token may not report runs" in stage.run("check").stderr
    del stage.env["RUNBELL_TOKEN"]
    assert "no token: set RUNBELL_TOKEN" in stage.run("check").stderr
    del stage.env["RUNBELL_URL"]
    assert "no server: set RUNBELL_URL" in stage.run("check").stderr
    assert stage.run("check", "--url", "http://user:hunter2@x").returncode == 2


def test_init(stage: Stage) -> None:
    done = stage.run("init", "--url", stage.server.url, "--token-file", "secret")
    assert done.returncode == 0
    text = (stage.folder / "runbell.toml").read_text()
    assert tomllib.loads(text) == {"url": stage.server.url, "token_file": "secret", "project": "shop"}
    assert '# environment = "prod"' in text
    assert TOKEN not in text

    again = stage.run("init")
    assert again.returncode == 1
    assert "is there already; --force writes over it" in again.stderr
    assert (stage.folder / "runbell.toml").read_text() == text

    (stage.folder / "secret").write_text(f"{TOKEN}\n")
    del stage.env["RUNBELL_URL"], stage.env["RUNBELL_TOKEN"]
    assert stage.run("check", "--job", "nightly").returncode == 0

    assert stage.run("init", "--force", "--environment", 'the "big" one').returncode == 0
    assert tomllib.loads((stage.folder / "runbell.toml").read_text())["environment"] == 'the "big" one'
    assert stage.run("init", "--url", "nonsense").returncode == 2
    assert "cannot write" in stage.run("init", "--project-dir", "/nowhere").stderr


def test_https(stage: Stage, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with FakeRunbell(tls=context) as server:
        stage.env["RUNBELL_URL"] = server.url
        done = stage.run("run", "--job", "nightly", "--", "sh", "-c", "exit 5")
        assert done.returncode == 5
        assert "certificate: unable to get local issuer certificate" in done.stderr
        assert server.requests == [], "the token has not left"
        stage.env["SSL_CERT_FILE"] = str(tmp_path / "ca.pem")
        done = stage.run("run", "--job", "hourly", "--", "sh", "-c", "exit 5")
        assert (done.returncode, done.stderr) == (5, "")
        assert [report["job"]["name"] for report in server.finished] == ["hourly", "nightly"]


def test_the_commands_know_each_other(stage: Stage) -> None:
    assert "runbell run --job nightly" in stage.run("--help").stdout
    assert stage.run().stdout == stage.run("help").stdout == stage.run("--help").stdout
    assert stage.run("--version").stdout == "runbell 0.1.0\n"
    wrong = stage.run("chekc")
    assert (wrong.returncode, wrong.stderr) == (2, "runbell: there is no command chekc; did you mean check?\n")
    assert "see runbell --help" in stage.run("xyz").stderr


def test_a_server_command_without_the_server(stage: Stage) -> None:
    """`-S` leaves out site-packages: what remains is the base install."""
    source = Path(__file__).parents[3] / "src"
    script = f"import sys; sys.path.insert(0, {str(source)!r}); from runbell.cli.main import main; sys.exit(main(['serve']))"
    with stage.start(sys.executable, "-S", "-c", script) as running:
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 2
    assert errors == "runbell: `runbell serve` runs on the server: pip install 'runbell[server]'\n"


def test_the_spool_is_for_its_owner_alone(stage: Stage) -> None:
    keep(stage, "first")
    assert stat.S_IMODE(stage.spool.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in stage.spool.iterdir()} == {0o600}
