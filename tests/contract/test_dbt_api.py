"""The Admin API's client against a platform that keeps the documented rules, and can be told to fail."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from runbell.channels.dbt_api import DbtApi, DbtTrouble, Kind
from runbell.channels.guard import Guard
from tests.fakes.dbt_platform import FakeDbt

NOW = datetime.now(UTC)
HERE = Guard(allows_private=True)


@pytest.fixture
def dbt() -> Iterator[FakeDbt]:
    with FakeDbt() as fake:
        yield fake


@pytest.fixture
def api(dbt: FakeDbt) -> Iterator[DbtApi]:
    found = DbtApi(dbt.url, str(dbt.world.account), dbt.token, guard=HERE, timeout=1)
    yield found
    found.close()


def test_a_run_comes_with_its_steps_and_artifacts(api: DbtApi, dbt: FakeDbt) -> None:
    run = dbt.world.add_run("failed")
    assert [step["name"] for step in api.run(str(run.id))["run_steps"]][-1] == "Invoke dbt with `dbt build`"
    artifact = api.artifact(str(run.id), "run_results.json", 5)
    assert artifact
    assert b"run-results" in artifact
    assert api.artifact(str(run.id), "run_results.json", 1) is None
    api.artifacts(str(run.id))


def test_runs_are_listed_by_their_end(api: DbtApi, dbt: FakeDbt) -> None:
    assert api.last_run() is None
    runs = [dbt.world.add_run("succeeded", ended_at=NOW - timedelta(minutes=minutes)) for minutes in (1, 2, 90)]
    pages = list(api.finished_runs(NOW - timedelta(hours=1), NOW))
    assert [row["id"] for page in pages for row in page] == [runs[1].id, runs[0].id]
    last = api.last_run()
    assert last
    assert last["id"] == runs[2].id


@pytest.mark.parametrize("what", ["projects", "environments", "jobs"])
def test_what_there_is(api: DbtApi, what: str) -> None:
    assert len(api.listing(what)) == 1
    assert api.account()


@pytest.mark.parametrize(
    ("fault", "code", "kind"),
    [(429, "dbt_limited", Kind.LIMITED), (401, "dbt_token", Kind.RIGHTS), (403, "dbt_rights", Kind.RIGHTS), (503, "dbt_http", Kind.WAY)],
)
def test_each_trouble_says_what_it_is(api: DbtApi, dbt: FakeDbt, fault: int, code: str, kind: Kind) -> None:
    dbt.faults = [fault]
    with pytest.raises(DbtTrouble) as trouble:
        api.account()
    assert (trouble.value.because.code, trouble.value.kind) == (code, kind)
    assert dbt.token not in repr(trouble.value) + str(trouble.value)


def test_a_limit_says_how_long(api: DbtApi, dbt: FakeDbt) -> None:
    dbt.faults = [7.0]
    with pytest.raises(DbtTrouble) as trouble:
        api.account()
    assert trouble.value.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(("fault", "code"), [("html", "dbt_not_api"), ("hang", "dbt_no_answer")])
def test_what_is_no_answer_of_the_api(api: DbtApi, dbt: FakeDbt, fault: str, code: str) -> None:
    dbt.faults = [fault]
    with pytest.raises(DbtTrouble) as trouble:
        api.account()
    assert trouble.value.because.code == code


def test_a_run_that_is_not_there(api: DbtApi) -> None:
    with pytest.raises(DbtTrouble) as trouble:
        api.run("404")
    assert trouble.value.kind is Kind.MISSING


def test_a_listing_that_never_ends_is_given_up(api: DbtApi, dbt: FakeDbt) -> None:
    dbt.endless = True
    with pytest.raises(DbtTrouble) as trouble:
        api.listing("jobs")
    assert trouble.value.because.code == "dbt_endless"


def test_nobody_is_there() -> None:
    with pytest.raises(DbtTrouble) as trouble:
        DbtApi("http://127.0.0.1:9", "7", "dbtc_secret", guard=HERE, timeout=1).account()
    assert trouble.value.kind is Kind.WAY
    assert "dbtc_secret" not in repr(trouble.value.because)


def test_a_run_is_started(api: DbtApi, dbt: FakeDbt) -> None:
    run = api.act("jobs/101/run/", {"cause": "by hand"})
    assert list(dbt.world.runs) == [run["id"]]


def test_what_an_act_is_refused_for_comes_in_the_platforms_words(api: DbtApi) -> None:
    with pytest.raises(DbtTrouble) as trouble:
        api.act("jobs/101/run/", {})
    assert (trouble.value.kind, trouble.value.because.params) == (Kind.REFUSED, {"code": 400, "said": "cause: This field is required."})


@pytest.mark.parametrize("fault", ["lost", 500])
def test_an_act_is_sent_once(api: DbtApi, dbt: FakeDbt, fault: int | str) -> None:
    dbt.faults = [fault]
    with pytest.raises(DbtTrouble) as trouble:
        api.act("jobs/101/run/", {"cause": "by hand"})
    assert (trouble.value.kind, trouble.value.is_asked, len(dbt.asked)) == (Kind.WAY, True, 1)


def test_an_act_that_never_left_says_so() -> None:
    with pytest.raises(DbtTrouble) as trouble:
        DbtApi("http://127.0.0.1:9", "7", "token", guard=HERE).act("jobs/101/run/", {})
    assert not trouble.value.is_asked
