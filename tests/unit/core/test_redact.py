import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbell.core.redact import redact

SAMPLES = Path(__file__).parents[2] / "data" / "dbt"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgres://loader:hunter2@pg/raw", "postgres://loader:hidden@pg/raw"),
        ("snowflake://u:p%40ss@acme.eu/db?warehouse=w", "snowflake://u:hidden@acme.eu/db?warehouse=w"),
        ("password=hunter2 host=pg", "password=hidden host=pg"),
        ("PGPASSWORD='hunter two' psql", "PGPASSWORD=hidden psql"),
        ('{"client_secret": "hunter2", "a": 1}', '{"client_secret": hidden, "a": 1}'),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer hidden"),
        ("GET /x?sig=abc123&v=1", "GET /x?sig=hidden&v=1"),
        ("token rb_AbCdEf12_" + "x" * 32 + " refused", "token hidden refused"),
        ("key AKIAIOSFODNN7EXAMPLE.", "key hidden."),
        ("xoxb-123456789012-abcdef", "hidden"),
        ("ghp_" + "a" * 36, "hidden"),
        ("https://hooks.slack.com/services/T000/B000/XXXX", "https://hooks.slack.com/services/hidden"),
        ("DBT_ENV_SECRET_GIT=abc", "DBT_ENV_SECRET_GIT=hidden"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def", "hidden"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nnext", "hidden\nnext"),
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
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_the_words_of_real_errors_are_left_alone() -> None:
    for path in SAMPLES.glob("*/run_results.json"):
        for result in json.loads(path.read_text())["results"]:
            message = result.get("message") or ""
            assert redact(message) == message


@given(st.text(st.sampled_from("aZ09:/@='\"&?._- \npaswordtken"), max_size=200))
def test_twice_is_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize("piece", ["a://", "password=", "eyJ" + "a" * 20 + ".", "-----BEGIN PRIVATE KEY-----", "x:y@", "'\"="])
def test_a_megabyte_of_nasty_text_is_taken(piece: str) -> None:
    assert redact(piece * (1_000_000 // len(piece)))
