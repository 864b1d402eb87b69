import json
import socket
import ssl
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from runbell.cli.gather import WORDS
from runbell.cli.reports import encode, uuid4
from runbell.cli.run import MAX_STEPS, Guard
from runbell.cli.say import one_line, say, show
from runbell.cli.send import Accepted, Refused, Unsent, cause, error_message, judge
from runbell.cli.waits import pause_for, within
from runbell.core import runs
from runbell.core.artifacts import CODES
from runbell.core.runs import MAX_BODY, JobRef, NodeReport, NodeStatus, RunReport, RunState, StepReport, parse_report

URL = "https://runbell.test"
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def error(message: str, field: str | None = None) -> dict[str, object]:
    return {"error": {"field": field, "message": message}}


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (201, {"id": 7}, Accepted({"id": 7})),
        (200, {"id": 7, "ignored": ["outcome"]}, Accepted({"id": 7, "ignored": ["outcome"]})),
        (200, [], Unsent(f"{URL} does not answer like Runbell; check the address", is_patient=False)),
        (204, None, Unsent(f"{URL} answers HTTP 204", is_patient=False)),
        (302, None, Unsent(f"{URL} sends us elsewhere (HTTP 302); set RUNBELL_URL to the final address", is_patient=False)),
        (400, error("must be text", "job.name"), Refused("job.name: must be text")),
        (404, None, Unsent(f"{URL} answers HTTP 404", is_patient=False)),
        (401, error("was revoked"), Unsent(f"{URL} refuses the token: was revoked", is_patient=False)),
        (403, None, Unsent(f"{URL} refuses the token: 403", is_patient=False)),
        (413, None, Refused("the report is too large for a server in between")),
        (429, None, Unsent(f"{URL} answers HTTP 429")),
        (502, None, Unsent(f"{URL} answers HTTP 502")),
    ],
)
def test_what_answers_mean(status: int, answer: object, expected: object) -> None:
    assert judge(URL, status, answer) == expected


@pytest.mark.parametrize("answer", [None, [], "no", {}, {"error": "no"}, {"error": {}}, {"error": {"message": ""}}])
def test_answers_without_an_error(answer: object) -> None:
    assert error_message(answer) == ""


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (TimeoutError("timed out"), "no answer within 5 s"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "name or service not known"),
        (OSError(), "OSError"),
        (ValueError("Invalid header value b'Token rb_secret'"), "not an address"),
    ],
)
def test_causes_in_words(trouble: Exception, words: str) -> None:
    assert cause(trouble, 5.0) == words


def test_a_certificate_in_words() -> None:
    trouble = ssl.SSLCertVerificationError(1, "failed")
    trouble.verify_message = "self-signed certificate"
    assert cause(trouble, 5.0) == "certificate: self-signed certificate"


def test_waiting_ends() -> None:
    never, at_once = (lambda: False), (lambda: True)
    assert within(30, lambda: 7, never) == 7
    assert within(0.05, lambda: time.sleep(1), never) is None
    assert within(30, lambda: time.sleep(1), at_once) is None
    pause_for(30, at_once)
    pause_for(0.01, never)
    with pytest.raises(ZeroDivisionError):
        within(30, lambda: 1 / 0, never)


def test_a_huge_report_is_cut_until_it_fits() -> None:
    nodes = tuple(NodeReport(f"model.shop.m{number}", NodeStatus.ERROR, "é" * 4_000) for number in range(200))
    steps = tuple(StepReport(index, "dbt build", exit_code=1, counts={"failed": 20_000}, nodes=nodes) for index in range(1, 201))
    job = JobRef("shop", "prod", "nightly")
    report = RunReport(key="cli:1", state=RunState.FINISHED, job=job, started_at=NOW, finished_at=NOW, steps=steps)
    body = encode(report)
    assert len(body) <= MAX_BODY
    told = parse_report(json.loads(body), now=NOW)
    assert [step.counts["failed"] for step in told.steps] == [20_000] * 200
    assert len(told.steps[0].nodes) == 10
    small = replace(report, steps=steps[:1])
    assert parse_report(json.loads(encode(small)), now=NOW) == small


@pytest.mark.parametrize("random", [bytes(16), b"\xff" * 16, bytes(range(16))])
def test_uuids(random: bytes) -> None:
    assert uuid4(random) == str(uuid.UUID(bytes=random, version=4))


def test_a_guard_says_where_and_never_what(capsys: pytest.CaptureFixture[str]) -> None:
    with Guard():
        raise ValueError("hunter2")
    said = capsys.readouterr().err
    assert said.startswith("runbell: this run is not fully reported: ValueError at test_send.py:")
    assert "hunter2" not in said
    with pytest.raises(KeyboardInterrupt), Guard():
        raise KeyboardInterrupt


def test_lines_are_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert one_line("a\nb\x1b[2Jc\u202e") == "a b [2Jc "
    say("two\nlines")
    assert capsys.readouterr().err == "runbell: two lines\n"
    monkeypatch.setattr("sys.stderr", None)
    say("nobody hears")
    show("shown")
    assert capsys.readouterr().out == "shown\n"


def test_numbers_and_words_written_twice_agree() -> None:
    assert runs.MAX_STEPS == MAX_STEPS
    assert set(WORDS) == set(CODES)
