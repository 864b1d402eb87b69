import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbell.core.redact import HIDDEN, redact, redact_report, without_colours
from runbell.core.runs import MAX_LOG_END, JobRef, NodeReport, NodeStatus, RunReport, RunState, StepReport, Trigger

SAMPLES = Path(__file__).parents[2] / "data" / "dbt"
NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
S = "hunter2"  # the secret that must not be seen


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        # URLs
        ("postgres://loader:hunter2@pg/raw", "postgres://loader:hidden@pg/raw"),
        ("snowflake://u:p%40ss@acme.eu/db?warehouse=w", "snowflake://u:hidden@acme.eu/db?warehouse=w"),
        ("postgres://u:hunter2@x/y#@pg:5432/raw", "postgres://u:hidden@x/y#@pg:5432/raw"),  # one @ too many: the first host is taken
        ("postgres://u:p@hunter2@pg/raw", "postgres://u:hidden@pg/raw"),
        ("postgres://u:hunter2/hunter2#@pg/raw", "postgres://u:hidden@pg/raw"),
        ("a://b:hunter2@c b://c:hunter2@d", "a://b:hidden@c b://c:hidden@d"),
        ("https://0123456789abcdef0123@git.acme.test/shop", "https://hidden@git.acme.test/shop"),
        ("jdbc:x://h?url=https://u:hunter2@h2/", "jdbc:x://h?url=https://u:hidden@h2/"),
        # names
        ("password=hunter2 host=pg", "password=hidden host=pg"),
        ("PWD=hunter2;Server=pg", "PWD=hidden;Server=pg"),
        ("connect(host='pg', password='hunter2', port=1)", "connect(host='pg', password='hidden', port=1)"),
        ("connect(password=hunter2, host=pg)", "connect(password=hidden, host=pg)"),
        ("PGPASSWORD='hunter two' psql", "PGPASSWORD='hidden' psql"),
        ('{"client_secret": "hunter2", "a": 1}', '{"client_secret": "hidden", "a": 1}'),
        (r'{"msg": "{\"token\": \"hunter2\"}"}', r'{"msg": "{\"token\": \"hidden\"}"}'),
        (r'password="hun\"ter2", x', 'password="hidden", x'),
        ("password='it''s hunter2'", "password='hidden'"),
        ('password="hunter2', 'password="hidden'),
        ("password: hunter2\nuser: loader", "password: hidden\nuser: loader"),
        ("private_key_passphrase => 'hunter2'", "private_key_passphrase => 'hidden'"),
        ("AccountKey=hunter2==;EndpointSuffix=x", "AccountKey=hidden;EndpointSuffix=x"),
        ("AWS_SECRET_ACCESS_KEY=hunter2/x+y", "AWS_SECRET_ACCESS_KEY=hidden"),
        ("DBT_ENV_SECRET_GIT=hunter2", "DBT_ENV_SECRET_GIT=hidden"),
        ("dbt run --vars '{api_key: hunter2}'", "dbt run --vars '{api_key: hidden}'"),
        ("tool --db-password hunter2 --api-key 'hunter 2' x", "tool --db-password hidden --api-key 'hidden' x"),
        ("create user u password 'hunter2'", "create user u password 'hidden'"),
        ("ALTER USER u IDENTIFIED BY 'hunter2';", "ALTER USER u IDENTIFIED BY 'hidden';"),
        # addresses
        ("GET /x?sig=abc123&v=1", "GET /x?sig=hidden&v=1"),
        ("/x?v=1&key=hunter2&X-Amz-Signature=hunter2", "/x?v=1&key=hidden&X-Amz-Signature=hidden"),
        ("https://hooks.slack.com/services/T000/B000/XXXX", "https://hooks.slack.com/services/hidden"),
        ("https://hooks.slack-gov.com/services/T0/B0/X.", "https://hooks.slack-gov.com/services/hidden."),
        ("https://acme.webhook.office.com/webhookb2/a@b/c/d", "https://acme.webhook.office.com/hidden"),
        ("https://discord.com/api/webhooks/1/hunter2", "https://discord.com/api/webhooks/hidden"),
        # headers
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer hidden"),
        ("{'Authorization': 'Token hunter2'}", "{'Authorization': 'hidden'}"),
        ("authorization: hunter2", "authorization: hidden"),
        ("curl -H 'Bearer " + "a1" * 12 + "'", "curl -H 'Bearer hidden'"),
        ("Set-Cookie: session=hunter2; Path=/\nnext", "Set-Cookie: hidden\nnext"),
        # shapes
        ("token rb_AbCdEf12_" + "x" * 32 + " refused", "token hidden refused"),
        ("key AKIAIOSFODNN7EXAMPLE.", "key hidden."),
        ("xoxb-123456789012-abcdef", "hidden"),
        ("xoxe.xoxp-1-" + "a" * 20, "hidden"),
        ("ghp_" + "a" * 36, "hidden"),
        ("glpat-" + "a" * 20, "hidden"),
        ("dapi" + "0" * 32 + "-2", "hidden"),
        ("dbtc_" + "a" * 40 + " dbtu_" + "b" * 40, "hidden hidden"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def", "hidden"),
        ("AIza" + "a" * 35, "hidden"),
        # keys
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nnext", "hidden\nnext"),
        (r'"private_key": "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"', '"private_key": "hidden"'),
        ("a\n-----BEGIN OPENSSH PRIVATE KEY-----\nMIIE", "a\nhidden"),
        ("MIIEabc+/=\nMIIE\n-----END PRIVATE KEY-----\nnext", "hidden\nnext"),
    ],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert redact(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        'Binder Error: Referenced column "token_count" not found in FROM clause!',
        "Got 1 result, configured to fail if != 0",
        "select passenger, author from signatures where id = 3",
        "https://airflow.acme.test/dags/nightly?run=3",
        "ssh://git@github.test/shop.git",
        "http://pg:8080/people/ada@acme.test",
        "mail ada@acme.test, see http://pg/a@b",
        "syntax error: unexpected token: select at line 3",
        "mismatched input, unexpected token stg_orders_2024_backup_of_last_year",
        "on a.token = b.token and a.auth = b.auth",
        'column "password" does not exist',
        'FATAL: password authentication failed for user "loader"',
        "Basic authentication is not supported",
        "unique_key: order_id, surrogate_key: md5",
        "column pass: 3 of 7 rows",
        "2 tests passed, 3 compass=north",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_the_words_of_real_runs_are_left_alone() -> None:
    for path in SAMPLES.glob("*/run_results.json"):
        for result in json.loads(path.read_text())["results"]:
            message = result.get("message") or ""
            assert redact(message) == message
    for path in SAMPLES.glob("*/std*.txt"):
        assert redact(path.read_text()) == path.read_text()


PIECES = (
    *(
        "password",
        "PWD",
        "secret",
        "token",
        "key",
        "auth",
        "sig",
        "Authorization",
        "Bearer",
        "cookie",
        "identified by",
        "private_key",
        "--",
    ),
    *("=", ":", " ", "=>", "'", '"', "\\", "\n", ";", "&", "?", ",", ")", "://", "@", "/", "#", ".", "-", "_", "<"),
    *(
        "hidden",
        "hunter2",
        "a",
        "loader",
        "ghp_" + "a" * 20,
        "xoxb-12345678",
        "eyJ" + "a" * 20,
        "rb_AbCdEf12_" + "x" * 32,
        "AKIA" + "A" * 16,
    ),
    *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "https://hooks.slack.com/services/", "0123456789abcdef0123456789abcdef"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
def test_twice_is_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@given(st.sampled_from(["password=", "://u:", "ghp_hunter2", "Authorization: Bearer "]), st.lists(st.sampled_from(PIECES), max_size=6))
def test_what_stands_around_does_not_hinder(begin: str, before: list[str]) -> None:
    secret = "hunter3" + "x" * 20
    assert secret not in redact("".join([*before, " ", begin, secret, "@h"]))


@pytest.mark.parametrize("piece", ["://a:", 'password="', "--a-", "-----BEGIN A ", "eyJ" + "a" * 20 + "."])
def test_a_megabyte_of_nasty_text_is_taken(piece: str) -> None:
    """Any pattern that goes back over what it has read would take minutes here."""
    assert len(redact("token=:// key authorization private key -- " + piece * (1_000_000 // len(piece)))) > 40


def test_a_report_is_masked_wherever_it_holds_free_text() -> None:
    node = NodeReport("model.shop.a", NodeStatus.ERROR, message=f"password={S}")
    report = RunReport(
        key="cli:1",
        state=RunState.FINISHED,
        job=JobRef("shop", "Production", "token=nightly"),
        started_at=NOW,
        finished_at=NOW,
        trigger=Trigger(cause=f"by token={S}", url=f"https://ci:{S}@acme.test/?token={S}"),
        log_end=f"PGPASSWORD={S}\n",
        steps=(StepReport(1, f"dbt build --vars '{{password: {S}}}'", exit_code=1, nodes=(node,)),),
    )
    masked = redact_report(report)
    assert S not in repr(masked)
    assert masked.trigger.url == "https://ci:hidden@acme.test/?token=hidden"
    assert masked.job == report.job
    assert redact_report(masked) == masked


def test_masking_never_makes_a_text_too_long() -> None:
    report = RunReport("k", RunState.STARTED, JobRef("p", "e", "j"), NOW, log_end="pwd=a\n" * (MAX_LOG_END // 6))
    masked = redact_report(report).log_end
    assert len(masked.encode()) <= MAX_LOG_END
    assert masked.startswith(f"pwd={HIDDEN}\n")
    assert redact_report(replace(report, log_end="")).log_end == ""


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[31mERROR\x1b[0m in \x1b[1;38;5;4mmodel\x1b[m", "ERROR in model"),
        ("\x1b]8;;https://acme.test\x1b\\run\x1b]8;;\x07 done\x1b[2K", "run done"),
        ("array[0m] costs 5[31m", "array[0m] costs 5[31m"),
        ("cut \x1b[3", "cut [3"),
    ],
)
def test_terminals_colours_go_and_nothing_else(text: str, plain: str) -> None:
    assert without_colours(text) == plain


def test_a_report_comes_in_without_colours_and_they_hide_no_secret() -> None:
    node = NodeReport("model.shop.a", NodeStatus.ERROR, message=f"\x1b[31mpass\x1b[0mword={S}\x1b[0m")
    step = StepReport(1, "dbt build", exit_code=1, nodes=(node,))
    report = RunReport("k", RunState.STARTED, JobRef("p", "e", "j"), NOW, log_end="\x1b[32mPASS=1\x1b[0m", steps=(step,))
    masked = redact_report(report)
    assert (masked.log_end, masked.steps[0].nodes[0].message) == ("PASS=1", f"password={HIDDEN}")
