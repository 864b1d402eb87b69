"""Artifacts of every version and in every state: what is there is taken, and nothing raises."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbell.core.artifacts import CODES, Artifact, add_artifacts, is_stale, read_artifact, short_name
from runbell.core.because import Because
from runbell.core.runs import (
    COUNTS,
    MAX_MESSAGE,
    MAX_NODES_PER_STEP,
    JobRef,
    NodeReport,
    NodeStatus,
    RunReport,
    RunState,
    StepReport,
    parse_report,
    report_to_json,
)

START = datetime(2026, 11, 24, 2, tzinfo=UTC)
RUN_RESULTS = "https://schemas.getdbt.com/dbt/run-results/v{}.json"
SOURCES = "https://schemas.getdbt.com/dbt/sources/v{}.json"


def file(*results: object, schema: str = RUN_RESULTS.format(6), **top: Any) -> bytes:
    metadata = {"dbt_schema_version": schema, "dbt_version": "1.11.16", "invocation_id": "af07"} | top.pop("metadata", {})
    return json.dumps({"metadata": metadata, "results": results} | top).encode()


def model(status: object, name: str = "stg_payments", **more: Any) -> dict[str, Any]:
    return {"unique_id": f"model.shop.{name}", "status": status} | more


def read(data: bytes) -> Artifact:
    artifact = read_artifact(data)
    assert isinstance(artifact, Artifact), artifact
    return artifact


def only_node(result: object) -> NodeReport:
    (node,) = read(file(result)).nodes
    return node


@pytest.mark.parametrize("version", [*range(1, 7), 9])
def test_every_schema_version_is_read(version: int) -> None:
    artifact = read(file(model("error", message="boom"), model("success"), schema=RUN_RESULTS.format(version), args={"which": "build"}))
    assert artifact.counts == {"failed": 1, "passed": 1}
    assert (artifact.which, artifact.dbt_version, artifact.invocation_id) == ("build", "1.11.16", "af07")
    assert [node.message for node in artifact.nodes] == ["boom"]


def test_sources_are_told_by_their_schema() -> None:
    assert read(file(schema=SOURCES.format(3))).which == "freshness"


def test_without_metadata_or_args_the_results_still_count() -> None:
    assert read(b'{"results": [{"unique_id": "model.a.b", "status": "success"}]}') == Artifact(counts={"passed": 1})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *(("success", "passed"), ("SUCCESS", "passed"), ("Pass", "passed"), ("reused", "passed"), ("Reused", "passed")),
        *(("error", "failed"), ("Error", "failed"), ("runtime error", "failed"), ("RuntimeError", "failed"), ("fail", "failed")),
        *(("partial success", "failed"), ("PartialSuccess", "failed"), ("skipped", "skipped"), ("no-op", "no_op"), ("NoOp", "no_op")),
        *(("deferred to tomorrow", "no_op"), ("", "no_op"), (None, "no_op"), (7, "no_op")),
        ("warn", "passed"),  # a model: only tests and sources make a run warn
    ],
)
def test_every_status_of_a_model_counts_once(status: object, kind: str) -> None:
    assert read(file(model(status))).counts == {kind: 1}


@pytest.mark.parametrize("kind", ["test", "unit_test", "source"])
def test_tests_and_sources_warn(kind: str) -> None:
    artifact = read(file({"unique_id": f"{kind}.shop.raw.events", "status": "Warn", "failures": 3}))
    assert artifact.counts["warned"] == 1
    assert [(node.status, node.resource_type, node.failures) for node in artifact.nodes] == [(NodeStatus.WARN, kind, 3)]


def test_an_ephemeral_model_of_fusion_did_nothing() -> None:
    artifact = read(
        file(model("skipped", message="Skipped"), model("skipped", message="Skipped due to upstream failure"), model("skipped"))
    )
    assert artifact.counts == {"no_op": 1, "skipped": 2}


def test_fusion_s_tests_say_their_status_over_again_and_that_is_no_message() -> None:
    assert only_node({"unique_id": "test.shop.a.60c031753e", "status": "fail", "message": "Error", "failures": 2}).message == ""


def test_a_source_that_could_not_be_asked_keeps_its_error() -> None:
    node = only_node({"unique_id": "source.shop.raw.events", "status": "runtime error", "error": "no such table"})
    assert (node.status, node.message, node.age_seconds) == (NodeStatus.ERROR, "no such table", None)


def test_a_stale_source_has_facts_in_place_of_words() -> None:
    node = only_node(
        {
            "unique_id": "source.shop.raw.events",
            "status": "error",
            "max_loaded_at": "2026-11-23T05:02:00.123456789+03:00",
            "max_loaded_at_time_ago_in_s": 93_600.5,
            "criteria": {"warn_after": {"count": 90, "period": "minute"}, "error_after": {"count": 2, "period": "Day"}, "filter": None},
        }
    )
    assert node.loaded_at == datetime(2026, 11, 23, 2, 2, 0, 123456, UTC)
    assert (node.age_seconds, node.warn_after_seconds, node.error_after_seconds) == (93_600.5, 5_400, 172_800)
    assert node.message == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_loaded_at": "0001-01-01T00:00:00+14:00"},
        {"max_loaded_at": "yesterday"},
        {"max_loaded_at": 7},
        {"max_loaded_at_time_ago_in_s": float("nan")},
        {"max_loaded_at_time_ago_in_s": float("inf")},
        {"max_loaded_at_time_ago_in_s": -5},
        {"max_loaded_at_time_ago_in_s": True},
        {"max_loaded_at_time_ago_in_s": "600"},
        {"criteria": []},
        {"criteria": {"warn_after": "1 hour", "error_after": {"count": None, "period": None}}},
        {"criteria": {"warn_after": {"count": 1, "period": "fortnight"}, "error_after": {"count": 2**53 - 1, "period": "day"}}},
    ],
)
def test_freshness_that_makes_no_sense_is_left_out(wrong: dict[str, Any]) -> None:
    node = only_node({"unique_id": "source.shop.raw.events", "status": "warn"} | wrong)
    assert (node.loaded_at, node.age_seconds, node.warn_after_seconds, node.error_after_seconds) == (None, None, None, None)


def test_the_worst_comes_first_and_the_counts_tell_of_the_rest() -> None:
    warned = [{"unique_id": f"test.shop.w{n}", "status": "warn"} for n in range(300)]
    failed = [{"unique_id": f"test.shop.f{n}", "status": "fail"} for n in range(20)]
    artifact = read(file(*warned, *failed, model("error")))
    assert artifact.counts == {"warned": 300, "failed": 21}
    assert len(artifact.nodes) == MAX_NODES_PER_STEP
    assert [node.name for node in artifact.nodes[:3]] == ["stg_payments", "f0", "f1"]
    assert artifact.nodes[21].name == "w0"


def test_twenty_thousand_failed_nodes_are_counted() -> None:
    artifact = read(file(*(model("error", f"m{n}", message="x" * 50) for n in range(20_000))))
    assert artifact.counts == {"failed": 20_000}
    assert len(artifact.nodes) == MAX_NODES_PER_STEP


def test_messages_are_masked_before_they_are_cut() -> None:
    secret = "x" * (MAX_MESSAGE - 30) + " postgres://loader:hunter2hunter2hunter2@db/shop"
    assert "hunter2" not in only_node(model("error", message=secret)).message
    assert len(only_node(model("error", message="x" * 9_000)).message) == MAX_MESSAGE


@pytest.mark.parametrize(
    ("unique_id", "name"),
    [
        ("model.shop.stg_payments", "stg_payments"),
        ("model.shop.stg_payments.v2", "stg_payments.v2"),
        ("source.shop.raw.stripe.payments", "raw.stripe.payments"),
        ("test.shop.unique_orders_id.1a2b3c4d5e", "unique_orders_id"),
        ("test.shop.assert_total_positive", "assert_total_positive"),
        ("test.shop.deadbeef00", "deadbeef00"),
        ("unit_test.shop.stg_payments.test_refunds", "stg_payments.test_refunds"),
        ("operation.shop.shop-on-run-end-0", "shop-on-run-end-0"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_short_names(unique_id: str, name: str) -> None:
    assert short_name(unique_id) == name


def test_the_run_id_of_the_dbt_platform_is_found() -> None:
    assert read(file(metadata={"env": {"DBT_CLOUD_RUN_ID": "12345", "OTHER": "x"}})).run_ids == ("12345",)
    assert read(file(metadata={"env": {"DBT_CLOUD_RUN_ID": 12345}})).run_ids == ()
    assert read(file(metadata={"env": None})).run_ids == ()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "artifact_not_json"),
        (b'{"metadata": {}, "results": [{"unique_id": "model.a', "artifact_not_json"),
        (file(model("success"))[:-1], "artifact_not_json"),
        (b"[" * 200_000, "artifact_not_json"),
        (b'{"results": [' + b"9" * 5_000 + b"]}", "artifact_not_json"),
        (b"\xff\xfe{\x00}\x00", "artifact_not_text"),
        (b'{"results": "\xc3("}', "artifact_not_text"),
        (b"null", "artifact_unknown_shape"),
        (b"[]", "artifact_unknown_shape"),
        (b"NaN", "artifact_unknown_shape"),
        (b'"results"', "artifact_unknown_shape"),
        (b"{}", "artifact_unknown_shape"),
        (b'{"results": {}}', "artifact_unknown_shape"),
        (
            b'{"metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json"}, "nodes": {}}',
            "artifact_unknown_shape",
        ),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, code: str) -> None:
    assert read_artifact(data) == Because(code)
    assert code in CODES


def test_a_byte_order_mark_and_nan_do_no_harm() -> None:
    assert read(b"\xef\xbb\xbf" + file(model("error", failures=float("nan"), execution_time=float("nan")))).counts == {"failed": 1}


@pytest.mark.parametrize(
    ("times", "is_old"),
    [
        ({"generated_at": START + timedelta(seconds=5), "started_at": START + timedelta(seconds=1)}, False),
        ({"generated_at": START + timedelta(seconds=5)}, False),
        ({"generated_at": START + timedelta(seconds=5), "started_at": START - timedelta(seconds=0.9)}, False),  # a start rounded up
        ({"generated_at": START + timedelta(seconds=5), "started_at": START - timedelta(seconds=1.1)}, True),  # another, slower command
        ({"generated_at": START - timedelta(milliseconds=20)}, True),  # the step before
        ({"generated_at": START - timedelta(milliseconds=20), "started_at": START}, True),
        ({"started_at": START - timedelta(seconds=60)}, True),
        ({}, False),
    ],
)
def test_an_artifact_from_before_the_command_is_stale(times: dict[str, datetime], is_old: bool) -> None:
    artifact = Artifact(invocation_id="a", **times)  # type: ignore[arg-type]
    assert is_stale(artifact, since=START) is is_old
    assert not is_stale(artifact, since=None)
    assert is_stale(artifact, since=START, invocation_id="a") is is_old
    assert is_stale(artifact, since=None, invocation_id="b")


def test_a_step_takes_what_its_artifacts_say() -> None:
    source = NodeReport("source.shop.raw.events", NodeStatus.WARN)
    broken = NodeReport("model.shop.a", NodeStatus.ERROR)
    freshness = Artifact("f", "1.11.16", counts={"warned": 1, "sources": 1}, nodes=(source,))
    build = Artifact("b", "1.11.17", counts={"warned": 2, "failed": 1}, nodes=(broken,))
    step = add_artifacts(StepReport(1, "make all", exit_code=1), [freshness, build])
    assert (step.invocation_id, step.dbt_version, step.exit_code) == ("f", "1.11.16", 1)
    assert step.counts == {"warned": 3, "failed": 1, "sources": 1}
    assert step.nodes == (broken, source)
    assert add_artifacts(step, []) == step


values = st.sampled_from(
    [
        *(
            None,
            True,
            0,
            -1,
            10**400,
            0.5,
            float("nan"),
            float("-inf"),
            "",
            " ",
            "a\nb",
            "\ud800",
            "x" * 3_000,
            [],
            ["error"],
            {},
            {"a": None},
        ),
        *("error", "Warn", "fail", "test.a.b", "source.a.b.c", "..", "2026-11-24T02:00:00Z", "9999-12-31T23:59:59-14:00", "hour", 2**53),
    ]
)


def partly(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, values))


criteria = st.fixed_dictionaries({}, optional=dict.fromkeys(("warn_after", "error_after"), values | partly("count", "period")))
metadata = partly("dbt_schema_version", "invocation_id", "dbt_version", "generated_at", "invocation_started_at", "env")
results = st.builds(
    lambda plain, criteria: plain | {"criteria": criteria},
    partly("unique_id", "status", "message", "error", "failures", "max_loaded_at", "max_loaded_at_time_ago_in_s"),
    values | criteria,
)
files = st.fixed_dictionaries(
    {"results": st.lists(results | values, max_size=4)},
    optional={"metadata": values | metadata, "args": values | partly("which", "command")},
)


@given(files)
def test_whatever_is_read_makes_a_report_that_is_taken(raw: dict[str, Any]) -> None:
    artifact = read(json.dumps(raw).encode())
    assert set(artifact.counts) <= set(COUNTS)
    step = add_artifacts(StepReport(1, "dbt build", exit_code=0), [artifact])
    report = RunReport("k", RunState.FINISHED, JobRef("p", "e", "j"), START, START, aliases=artifact.run_ids, steps=(step,))
    assert parse_report(json.loads(json.dumps(report_to_json(report))), now=START) == report


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    assert isinstance(read_artifact(data), (Artifact, Because))
