"""The report JSON: what is written is read back, and every bad value names its field."""

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbell.core.fields import BadField
from runbell.core.runs import (
    COUNTS,
    MAX_ALIASES,
    MAX_INTAKE_NODES,
    MAX_LOG_END,
    MAX_MESSAGE,
    MAX_NODES_PER_STEP,
    MAX_STEPS,
    MAX_TEXT,
    SEVERITY,
    Git,
    JobRef,
    NodeReport,
    NodeStatus,
    Outcome,
    RunReport,
    RunState,
    StepReport,
    Trigger,
    last_bytes,
    parse_report,
    report_to_json,
    worst,
)

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
FULL: dict[str, Any] = {
    "version": 1,
    "key": "cli:1",
    "aliases": ["inv:af07", "dbt-run:12345"],
    "state": "finished",
    "job": {"project": "shop", "environment": "Production", "name": "nightly build"},
    "started_at": "2026-11-24T02:00:00Z",
    "finished_at": "2026-11-24T02:12:04.500000Z",
    "outcome": "failed",
    "trigger": {"cause": "nightly", "category": "scheduled", "url": "https://ci.acme.test/1", "actor": "airflow"},
    "git": {"branch": "main", "sha": "8c1f2ab"},
    "host_tool": "airflow",
    "log_end": "Done.\n",
    "steps": [
        {
            "index": 1,
            "command": "dbt build",
            "exit_code": 1,
            "signal": 15,
            "started_at": "2026-11-24T02:00:00Z",
            "finished_at": "2026-11-24T02:12:04.500000Z",
            "invocation_id": "af07",
            "dbt_version": "1.11.16",
            "counts": {"passed": 269, "warned": 0, "failed": 1, "skipped": 213, "no_op": 2, "sources": 1},
            "nodes": [
                {
                    "unique_id": "source.shop.raw.payments",
                    "status": "error",
                    "message": "boom",
                    "resource_type": "source",
                    "name": "raw.payments",
                    "path": "models/sources.yml",
                    "failures": 0,
                    "age_seconds": 93600.0,
                    "loaded_at": "2026-11-23T07:02:00Z",
                    "warn_after_seconds": 86400.0,
                    "error_after_seconds": 172800.0,
                }
            ],
        }
    ],
}
SMALLEST: dict[str, Any] = {name: FULL[name] for name in ("key", "job", "started_at")} | {"state": "started"}


def parse(raw: object) -> RunReport:
    return parse_report(raw, now=NOW)


def with_value(path: str, value: object) -> dict[str, Any]:
    """`FULL` with the field at `path`, like `steps.0.index`, replaced, or removed for `...`."""
    raw = deepcopy(FULL)
    *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    inner: Any = raw
    for part in way:
        inner = inner[part]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return raw


def test_a_full_report_reads_back_to_the_same_json() -> None:
    assert report_to_json(parse(FULL)) == FULL
    assert json.loads(json.dumps(report_to_json(parse(FULL)))) == FULL


def test_the_smallest_report_is_enough() -> None:
    report = parse(SMALLEST)
    assert report == RunReport(
        "cli:1", RunState.STARTED, JobRef("shop", "Production", "nightly build"), datetime(2026, 11, 24, 2, tzinfo=UTC)
    )


def test_unknown_fields_and_nulls_are_ignored() -> None:
    nothing = dict.fromkeys(("aliases", "finished_at", "outcome", "trigger", "git", "host_tool", "log_end", "steps", "version"))
    assert parse(SMALLEST | nothing | {"colour": "red"}) == parse(SMALLEST)


@pytest.mark.parametrize(
    ("path", "value", "field", "message"),
    [
        ("version", 2, "version", "must be 1"),
        ("version", "1", "version", "must be a whole number"),
        ("key", ..., "key", "is required"),
        ("key", "k" * 201, "key", "must have at most 200 characters, has 201"),
        ("key", "a\nb", "key", "must not contain line breaks or control characters"),
        ("aliases", "inv:1", "aliases", "must be a list"),
        ("aliases.1", 7, "aliases[1]", "must be text"),
        ("aliases.0", " ", "aliases[0]", "must not be empty"),
        ("aliases", ["a"] * (MAX_ALIASES + 1), "aliases", "must have at most 20 entries, has 21"),
        ("state", ..., "state", "is required"),
        ("state", "done", "state", "must be one of started, finished"),
        ("job", ..., "job.project", "is required"),
        ("job", "nightly", "job", "must be a JSON object"),
        ("job.name", "x" * 500, "job.name", "must have at most 200 characters, has 500"),
        ("job.environment", "a\r\nb", "job.environment", "must not contain line breaks or control characters"),
        ("started_at", ..., "started_at", "is required"),
        ("started_at", "2026-11-24T02:00:00", "started_at", "must carry a zone, like 2026-11-24T02:00:00Z"),
        ("finished_at", ..., "finished_at", "is required when state is finished"),
        ("finished_at", "2026-11-24T01:59:59Z", "finished_at", "is before started_at"),
        (
            "finished_at",
            "2026-11-25T03:00:01Z",
            "finished_at",
            "is more than a day in the future; check the clock of the machine that reports",
        ),
        ("outcome", "success", "outcome", "must be one of succeeded, warned, failed, cancelled"),
        ("trigger", [], "trigger", "must be a JSON object"),
        ("trigger.url", 7, "trigger.url", "must be text"),
        ("git.sha", {}, "git.sha", "must be text"),
        ("host_tool", 1, "host_tool", "must be text"),
        ("log_end", ["a"], "log_end", "must be text"),
        ("steps", {}, "steps", "must be a list"),
        ("steps", [{}] * (MAX_STEPS + 1), "steps", "must have at most 200 entries, has 201"),
        ("steps.0", "dbt build", "steps[0]", "must be a JSON object"),
        ("steps.0.index", 0, "steps[0].index", "must be between 1 and 200"),
        ("steps.0.exit_code", "1", "steps[0].exit_code", "must be a whole number"),
        ("steps.0.exit_code", -65, "steps[0].exit_code", "must be between -64 and 4294967295"),
        ("steps.0.signal", 65, "steps[0].signal", "must be between 1 and 64"),
        ("steps.0.started_at", "2026-11-24T03:00:00Z", "steps[0].finished_at", "is before started_at"),
        ("steps.0.counts", [], "steps[0].counts", "must be a JSON object"),
        ("steps.0.counts.failed", -1, "steps[0].counts.failed", "must be between 0 and 9007199254740991"),
        ("steps.0.counts.failed", 1.5, "steps[0].counts.failed", "must be a whole number"),
        ("steps.0.nodes", "x", "steps[0].nodes", "must be a list"),
        ("steps.0.nodes.0.unique_id", ..., "steps[0].nodes[0].unique_id", "is required"),
        ("steps.0.nodes.0.status", ..., "steps[0].nodes[0].status", "is required"),
        ("steps.0.nodes.0.status", "pass", "steps[0].nodes[0].status", "must be one of error, fail, warn"),
        ("steps.0.nodes.0.message", 7, "steps[0].nodes[0].message", "must be text"),
        ("steps.0.nodes.0.failures", "1", "steps[0].nodes[0].failures", "must be a whole number"),
        ("steps.0.nodes.0.age_seconds", -1, "steps[0].nodes[0].age_seconds", "must be a number of seconds, 0 or more"),
        ("steps.0.nodes.0.loaded_at", "old", "steps[0].nodes[0].loaded_at", "must be a time like 2026-11-24T02:00:00Z"),
    ],
)
def test_a_bad_value_names_its_field(path: str, value: object, field: str, message: str) -> None:
    with pytest.raises(BadField) as caught:
        parse(with_value(path, value))
    assert (caught.value.field, caught.value.message) == (field, message)


def test_a_body_that_is_no_object() -> None:
    bodies: tuple[object, ...] = ([], "x", None, 7)
    for raw in bodies:
        with pytest.raises(BadField, match="body: must be a JSON object"):
            parse(raw)


def test_an_end_needs_an_exit_code_a_signal_or_a_word() -> None:
    bare = {"state": "finished", "finished_at": "2026-11-24T02:01:00Z"}
    with pytest.raises(BadField, match="outcome: is required when no step has an exit_code"):
        parse(SMALLEST | bare)
    for more in ({"outcome": "cancelled"}, {"steps": [{"exit_code": 0}]}, {"steps": [{}, {"signal": 9}]}):
        assert parse(SMALLEST | bare | more).state is RunState.FINISHED


def test_steps_are_numbered_by_their_place_and_never_twice() -> None:
    assert [step.index for step in parse(SMALLEST | {"steps": [{}, {"index": None}, {"index": 7}]}).steps] == [1, 2, 7]
    with pytest.raises(BadField, match=r"steps\[1\]\.index: is 2, as in an earlier step"):
        parse(SMALLEST | {"steps": [{"index": 2}, {}]})


def test_long_texts_are_cut_and_names_are_not() -> None:
    node = {"unique_id": "model.a.b", "status": "fail", "message": "x" * (MAX_MESSAGE + 1)}
    step = {"command": "c" * (MAX_TEXT + 1), "nodes": [node] * (MAX_NODES_PER_STEP + 1)}
    report = parse(SMALLEST | {"steps": [step], "log_end": "я" * MAX_LOG_END, "trigger": {"cause": "x" * 999}})
    assert len(report.steps[0].command) == MAX_TEXT
    assert len(report.steps[0].nodes) == MAX_NODES_PER_STEP
    assert len(report.steps[0].nodes[0].message) == MAX_MESSAGE
    assert len(report.log_end.encode()) == MAX_LOG_END
    assert len(report.trigger.cause) == 200


def test_a_project_of_many_nodes_is_taken_up_to_a_bound() -> None:
    node = {"unique_id": "model.a.b", "status": "warn"}
    assert len(parse(SMALLEST | {"steps": [{"nodes": [node] * 20_000}]}).steps[0].nodes) == MAX_NODES_PER_STEP
    with pytest.raises(BadField, match=r"steps\[0\]\.nodes: must have at most 50000 entries"):
        parse(SMALLEST | {"steps": [{"nodes": [None] * (MAX_INTAKE_NODES + 1)}]})


@pytest.mark.parametrize("url", ["javascript:alert(1)", "ftp://x", "//acme.test", " https://acme.test", "data:text/html,x"])
def test_only_web_addresses_become_links(url: str) -> None:
    assert parse(SMALLEST | {"trigger": {"url": url}}).trigger.url == ""


def test_counts_nobody_knows_are_left_out() -> None:
    assert parse(SMALLEST | {"steps": [{"counts": {"passed": 3, "blue": "x", "failed": None}}]}).steps[0].counts == {"passed": 3}


def test_the_worst_names_the_whole() -> None:
    assert set(SEVERITY) == set(Outcome)
    assert worst([Outcome.WARNED, Outcome.SUCCEEDED]) is Outcome.WARNED
    assert worst([Outcome.FAILED, Outcome.CANCELLED, Outcome.WARNED]) is Outcome.CANCELLED


@pytest.mark.parametrize(
    ("text", "end"),
    [("abc\ndef\n", "abc\ndef\n"), ("abcdef\nghi\njkl\n", "ghi\njkl\n"), ("x" * 12, "x" * 10), ("я" * 9, "я" * 5), ("aя" * 5, "aяaяaя")],
)
def test_the_end_of_a_text_begins_with_a_line_where_it_can(text: str, end: str) -> None:
    assert last_bytes(text, 10) == end


names = st.sampled_from(["shop", "Größe 🦆", "ночь", "x" * 200, "<!channel>", "\u202eevil"])
texts = st.sampled_from(["", "a", "a\nb", "x" * 60, "Ünï", "<b>"])
moments = st.none() | st.integers(0, 10**6).map(lambda seconds: datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=seconds / 7))
numbers = st.none() | st.integers(0, 9)
nodes = st.builds(
    NodeReport,
    unique_id=names,
    status=st.sampled_from(NodeStatus),
    message=texts,
    resource_type=texts,
    name=texts,
    path=texts,
    failures=numbers,
    age_seconds=st.none() | st.floats(0, 1e9),
    loaded_at=moments,
    warn_after_seconds=st.none() | st.floats(0, 1e9),
    error_after_seconds=st.none() | st.floats(0, 1e9),
)
steps = st.builds(
    StepReport,
    index=st.integers(1, MAX_STEPS),
    command=texts,
    exit_code=st.none() | st.integers(-64, 300),
    signal=st.none() | st.integers(1, 64),
    started_at=moments,
    finished_at=st.none(),
    invocation_id=texts,
    dbt_version=texts,
    counts=st.dictionaries(st.sampled_from(COUNTS), st.integers(0, 99)),
    nodes=st.lists(nodes, max_size=2).map(tuple),
)
reports = st.builds(
    RunReport,
    key=names,
    state=st.sampled_from(RunState),
    job=st.builds(JobRef, names, names, names),
    started_at=moments.filter(bool),
    finished_at=st.just(NOW),
    outcome=st.sampled_from(Outcome),
    aliases=st.lists(names, max_size=3).map(tuple),
    trigger=st.builds(Trigger, cause=texts, category=texts, url=st.sampled_from(["", "https://a.test/?b"]), actor=texts),
    git=st.builds(Git, branch=texts, sha=texts),
    host_tool=texts,
    log_end=texts,
    steps=st.lists(steps, max_size=3, unique_by=lambda step: step.index).map(tuple),
)


@given(reports)
def test_whatever_is_written_is_read_back(report: RunReport) -> None:
    assert parse(json.loads(json.dumps(report_to_json(report)))) == report
