"""What cannot be meant ends with 2 before anything is run."""

import sys
from types import ModuleType

import pytest

from runbell.cli.main import main
from runbell.cli.run import parse


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("run -- touch ran", "the following arguments are required: --job"),
        ("run --job x", "what to run? give -- COMMAND, or --step"),
        ("run --job x --", "what to run? give -- COMMAND, or --step"),
        ("run --job x touch ran", "unexpected touch ran; the command goes behind --"),
        ("run --job x --frobnicate -- touch ran", "unexpected --frobnicate; the command goes behind --"),
        ("run --job x --step true -- touch ran", "--step and -- COMMAND exclude each other"),
        ("run --job x --wait soon -- touch ran", "--wait: must be seconds between 0 and 86400, not 'soon'"),
        ("run --job x --wait -1 -- touch ran", "--wait: must be seconds between 0 and 86400, not '-1'"),
        ("run --job x --wait nan -- touch ran", "--wait: must be seconds between 0 and 86400, not 'nan'"),
        ("report --job x --exit-code 0 --environment \u2028", "--environment: must not be empty"),
        ("check --nothing", "unrecognized arguments: --nothing"),
    ],
)
def test_complaints(words: str, complaint: str, capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split(" "))
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--job", " \n\t", "--", "true"], "--job: must not be empty"),
        (["--job", "x", "--step", "dbt 'build"], "--step dbt 'build: No closing quotation"),
        (["--job", "x", "--step", " "], "--step must not be empty"),
        (["--job", "x", *["--step", "true"] * 201], "at most 200 steps"),
    ],
)
def test_complaints_about_run(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_what_is_run() -> None:
    options, (step,) = parse(["--job", "nightly", "--", "dbt", "build", "--", "--job", "a b"])
    assert options.job == "nightly"
    assert step.words == ["dbt", "build", "--", "--job", "a b"]
    assert step.text == "dbt build -- --job 'a b'"
    _, steps = parse(["--job", "nightly", "--step", "dbt  seed", "--step", "sh -c 'a && b'"])
    assert [list(step.words) for step in steps] == [["dbt", "seed"], ["sh", "-c", "a && b"]]
    assert steps[0].text == "dbt  seed"


def test_commands_of_the_server(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    commands = ModuleType("runbell.server.commands")
    monkeypatch.setattr(commands, "main", lambda words: len(words), raising=False)
    monkeypatch.setitem(sys.modules, "runbell.server.commands", commands)
    assert main(["admin", "token", "create"]) == 3
    monkeypatch.setitem(sys.modules, "django", None)
    assert main(["serve"]) == 2
    assert capsys.readouterr().err == "runbell: `runbell serve` runs on the server: pip install 'runbell[server]'\n"


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"], ["-h"], ["help"]):
        assert main(words) == 0
        assert "runbell run --job nightly --environment Production -- dbt build" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert main(["runn"]) == 2
    assert capsys.readouterr().err == "runbell: there is no command runn; did you mean run?\n"
