"""What a message says, and what it leaves out."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runbell.core.because import Because
from runbell.core.runs import Git, NodeReport, NodeStatus, Outcome, StepReport, Trigger
from runbell.messages.compose import compose_notice, compose_run, compose_test
from runbell.messages.example_runs import CANCELED_RUN, FAILED_RUN, KILLED_RUN, LOST_RUN, NIGHT, NO_RESULTS_RUN, SUCCEEDED_RUN, WARNED_RUN
from runbell.messages.examples import DIED, OUTAGE, REFUSED, TEST, UNSUBSCRIBED
from runbell.messages.facts import RunFacts, StepFacts
from runbell.messages.message import Message, Reader, Tone
from runbell.messages.wording import plain
from tests.hostile import HOSTILE

READER = Reader("en", "Europe/Stockholm")


def said(line: Any, language: str = "en") -> str:
    return plain(line, Reader(language, "Europe/Stockholm")).replace("\u00a0", " ")


def summary(facts: RunFacts, language: str = "en") -> str:
    return said(compose_run(facts, language).summary, language)


def node(number: int, status: NodeStatus = NodeStatus.ERROR, kind: str = "model", message: str = "boom") -> NodeReport:
    return NodeReport(f"{kind}.shop.n{number}", status, message, kind, f"n{number}")


def with_nodes(*nodes: NodeReport, outcome: Outcome = Outcome.FAILED, **counts: int) -> RunFacts:
    report = StepReport(index=1, command="dbt build", exit_code=1, nodes=nodes, counts=counts)
    return replace(FAILED_RUN, outcome=outcome, steps=(StepFacts(report, outcome),), usual_seconds=None)


# The sentence under the title


@pytest.mark.parametrize(
    ("facts", "english", "russian"),
    [
        (
            FAILED_RUN,
            "1 model and 1 test failed, 2 tests warned, 213 nodes were skipped. It took 12 min 4 s, 3 min longer than usual.",
            "Сбой: 1 модель и 1 тест; предупреждения: 2 теста; пропущено 213 узлов. Заняло 12 мин 4 с, на 3 мин дольше обычного.",
        ),
        (
            WARNED_RUN,
            "1 of 6 sources is stale, the rest are fresh. It took 21 s, as usual.",
            "Устарел 1 источник из 6; остальные свежие. Заняло 21 с, как обычно.",
        ),
        (SUCCEEDED_RUN, "All 141 nodes passed. It took 8 min 55 s, as usual.", "Все узлы успешны: 141. Заняло 8 мин 55 с, как обычно."),
        (
            CANCELED_RUN,
            "Stopped after 51 min 30 s. 312 nodes had finished, 174 never started. It usually takes 1 h 55 min.",
            "Выполнение остановлено через 51 мин 30 с. Успели завершиться 312 узлов; 174 не начаты. Обычно занимает 1 ч 55 мин.",
        ),
        (
            KILLED_RUN,
            "Killed by signal 9, possibly out of memory. The end of its log is on the run page. It took 3 min 10 s.",
            "Процесс завершён сигналом 9, возможно, из-за нехватки памяти. Конец журнала — на странице запуска. Заняло 3 мин 10 с.",
        ),
        (
            LOST_RUN,
            "No end was reported; the job or its machine may have died.",
            "Об окончании никто не сообщил: возможно, задание или его машина остановились.",
        ),
        (
            NO_RESULTS_RUN,
            "It ended with exit code 2 and left no results. The end of its log is on the run page. It took 3 s.",
            "Завершилось с кодом 2, результатов не оставило. Конец журнала — на странице запуска. Заняло 3 с.",
        ),
    ],
)
def test_summaries(facts: RunFacts, english: str, russian: str) -> None:
    assert summary(facts) == english
    assert summary(facts, "ru") == russian


def test_a_killed_run_still_tells_of_its_nodes() -> None:
    facts = replace(with_nodes(node(1), failed=1), because=Because("killed", {"signal": 9}), finished_at=None)
    assert summary(facts) == "Killed by signal 9, possibly out of memory. 1 model failed."


def test_no_results_and_no_log_promises_no_log() -> None:
    assert "log" not in summary(replace(NO_RESULTS_RUN, has_log_end=False))


def test_nodes_that_passed_before_the_end_are_no_missing_results() -> None:
    facts = replace(with_nodes(passed=12), because=Because("exit_code", {"exit_code": 1, "step": 1}), finished_at=None, has_log_end=False)
    assert summary(facts) == "Step 1 ended with exit code 1."


@pytest.mark.parametrize(
    ("counts", "steps", "text"),
    [
        ({"passed": 1}, 1, "The only node passed."),
        ({"passed": 5, "skipped": 1}, 1, "5 nodes passed, 1 node was skipped."),
        ({"passed": 6, "sources": 6}, 1, "All 6 sources are fresh."),
        ({"passed": 1, "sources": 1}, 1, "The only source is fresh."),
        ({"passed": 10, "sources": 4}, 1, "All 6 nodes passed, all 4 sources are fresh."),
        ({}, 1, "Its command ended with exit code 0."),
        ({}, 3, "All 3 commands ended with exit code 0."),
    ],
)
def test_ways_to_succeed(counts: dict[str, int], steps: int, text: str) -> None:
    step = StepFacts(StepReport(index=1, command="dbt run-operation x", exit_code=0, counts=counts), Outcome.SUCCEEDED)
    assert summary(replace(SUCCEEDED_RUN, steps=(step,) * steps, finished_at=None)) == text


def test_who_stopped_it_when_that_is_known() -> None:
    facts = replace(CANCELED_RUN, because=Because("interrupted", {"by": "emil@acme.test"}), steps=(), usual_seconds=None)
    assert summary(facts) == "Stopped by emil@acme.test after 51 min 30 s."
    assert summary(replace(facts, finished_at=None)) == "Stopped by emil@acme.test."
    assert summary(replace(facts, finished_at=None, because=Because("claimed"))) == "Stopped."


def test_a_canceled_run_of_finished_nodes_alone() -> None:
    step = StepFacts(StepReport(index=1, command="dbt build", exit_code=130, signal=2, counts={"passed": 1}), Outcome.CANCELLED)
    assert summary(replace(CANCELED_RUN, steps=(step,))).startswith("Stopped after 51 min 30 s. 1 node had finished. It usually")


def test_a_canceled_run_of_fusion_does_not_call_every_node_finished() -> None:
    step = StepFacts(StepReport(index=1, command="dbt build", exit_code=1, signal=2, counts={"failed": 4}), Outcome.CANCELLED)
    assert summary(replace(CANCELED_RUN, steps=(step,), usual_seconds=None)) == "Stopped after 51 min 30 s."


@pytest.mark.parametrize(
    ("kind", "one", "many"),
    [
        ("model", "1 model", "2 models"),
        ("test", "1 test", "2 tests"),
        ("unit_test", "1 unit test", "2 unit tests"),
        ("source", "1 source", "2 sources"),
        ("seed", "1 seed", "2 seeds"),
        ("snapshot", "1 snapshot", "2 snapshots"),
        ("operation", "1 hook", "2 hooks"),
        ("saved_query", "1 node", "2 nodes"),
    ],
)
def test_kinds_of_nodes(kind: str, one: str, many: str) -> None:
    assert summary(replace(with_nodes(node(1, kind=kind), failed=1), finished_at=None)) == f"{one} failed."
    assert summary(replace(with_nodes(node(1, kind=kind), node(2, kind=kind), failed=2), finished_at=None)) == f"{many} failed."


def test_kinds_are_named_only_when_all_are_known() -> None:
    assert summary(replace(with_nodes(node(1), failed=5), finished_at=None)) == "5 nodes failed."
    mixed = with_nodes(node(1), node(2, kind="seed"), node(3, kind="exposure"), node(4, NodeStatus.FAIL, "unit_test"), failed=4)
    assert summary(replace(mixed, finished_at=None)) == "1 model, 1 seed, 1 node, and 1 unit test failed."


def test_stale_sources_beside_other_trouble() -> None:
    stale = replace(node(1, kind="source", message=""), age_seconds=90_000.0)
    facts = with_nodes(stale, node(2), failed=2, passed=9, sources=3)
    assert summary(replace(facts, finished_at=None)) == "1 model failed, 1 of 3 sources is stale."
    assert summary(replace(with_nodes(stale, failed=1, sources=1), finished_at=None)) == "1 source is stale."
    two = replace(with_nodes(stale, failed=1, passed=1, sources=2), finished_at=None)
    assert summary(two) == "1 of 2 sources is stale, the other is fresh."
    assert summary(two, "ru") == "Устарел 1 источник из 2; ещё 1 свежий."


def test_a_source_that_could_not_be_asked_is_not_stale() -> None:
    facts = with_nodes(node(1, kind="source", message="no permission"), failed=1, sources=2, passed=1)
    assert summary(replace(facts, finished_at=None)) == "1 source failed."
    assert compose_run(facts, "en").troubles[0].text == ("no permission",)


# How long


@pytest.mark.parametrize(
    ("seconds", "usual", "spread", "text"),
    [
        (600, 540.0, 75.0, "10 min, as usual"),
        (600, 540.0, 30.0, "10 min, 1 min longer than usual"),
        (480, 540.0, 30.0, "8 min, 1 min shorter than usual"),
        (600, None, None, "10 min"),
        (600, 540.0, None, "10 min"),
        (3, 3.4, 0.0, "3 s, as usual"),
    ],
)
def test_deviations_only_beyond_the_usual_spread(seconds: int, usual: float | None, spread: float | None, text: str) -> None:
    facts = replace(
        SUCCEEDED_RUN, finished_at=SUCCEEDED_RUN.started_at + timedelta(seconds=seconds), usual_seconds=usual, usual_spread_seconds=spread
    )
    assert summary(facts) == f"All 141 nodes passed. It took {text}."


# Nodes


def test_five_nodes_errors_first_and_the_rest_is_counted() -> None:
    nodes = [node(1, NodeStatus.WARN), *(node(n) for n in range(2, 7)), node(7, NodeStatus.WARN)]
    message = compose_run(with_nodes(*nodes, failed=5, warned=4, skipped=1), "en")
    assert [trouble.name for trouble in message.troubles] == ["n2", "n3", "n4", "n5", "n6"]
    assert message.remarks == ("+4 more on the run page.", "1 node was skipped because of these failures.")


def test_an_error_text_is_cut() -> None:
    [trouble] = compose_run(with_nodes(node(1, message="x" * 1000), failed=1), "en").troubles
    assert trouble.text == ("x" * 299 + "…",)


def test_a_test_without_words_tells_its_number() -> None:
    silent = replace(node(1, NodeStatus.FAIL, "test", message=""), failures=14)
    assert compose_run(with_nodes(silent, failed=1), "en").troubles[0].text == ("Got 14 results.",)
    assert compose_run(with_nodes(silent, failed=1), "ru").troubles[0].text == ("Найдено 14 строк.",)


def test_a_failed_run_that_warned_too() -> None:
    message = compose_run(with_nodes(node(1), node(2, NodeStatus.WARN, "test"), failed=1, warned=1), "en")
    assert [(t.tone, t.word, t.kind) for t in message.troubles] == [(Tone.FAILED, "Failed", "model"), (Tone.WARNED, "Warned", "test")]
    assert message.troubles_title == "What broke"


def test_canceled_and_succeeded_runs_list_no_nodes() -> None:
    for outcome in (Outcome.CANCELLED, Outcome.SUCCEEDED):
        message = compose_run(with_nodes(node(1, NodeStatus.WARN), outcome=outcome, warned=1), "en")
        assert (message.troubles, message.troubles_title, message.remarks) == ((), "", ())


def test_a_stale_source_says_since_when() -> None:
    [trouble] = compose_run(WARNED_RUN, "en").troubles
    assert said(trouble.text) == "Last row at 23 Nov 07:02, 26 h ago. Warns after 24 h, fails after 48 h."
    [trouble] = compose_run(WARNED_RUN, "ru").troubles
    assert said(trouble.text, "ru") == "Последняя строка: 23 нояб., 07:02, 26 ч назад. Предупреждение через 24 ч, сбой через 48 ч."


@pytest.mark.parametrize(
    ("warn", "fail", "end"), [(86_400.0, None, " Warns after 24 h."), (None, 3_600.0, " Fails after 1 h."), (None, None, "")]
)
def test_a_stale_source_says_what_it_was_held_to(warn: float | None, fail: float | None, end: str) -> None:
    [stale] = WARNED_RUN.nodes
    facts = with_nodes(replace(stale, warn_after_seconds=warn, error_after_seconds=fail), outcome=Outcome.WARNED, warned=1)
    assert said(compose_run(facts, "en").troubles[0].text) == f"Last row at 23 Nov 07:02, 26 h ago.{end}"


def test_names_come_from_ids_where_there_are_none() -> None:
    bare = NodeReport("test.shop.unique_orders_id.1a2b3c4d5e", NodeStatus.FAIL)
    [trouble] = compose_run(with_nodes(bare, failed=1), "en").troubles
    assert (trouble.name, trouble.kind, trouble.text) == ("unique_orders_id", "test", ())


# The line beside the subject


def test_the_preheader_tells_the_first_trouble() -> None:
    message = compose_run(FAILED_RUN, "en")
    first = 'stg_payments: Binder Error: Referenced column "amount_minor" not found in FROM clause!'
    assert said(message.preheader) == f"{first} 12 min 4 s, 3 min longer than usual."
    assert said(compose_run(WARNED_RUN, "en").preheader).startswith("stripe.payments: Last row at 23 Nov 07:02, 26 h ago.")


def test_a_preheader_of_a_node_without_words() -> None:
    facts = replace(with_nodes(node(1, message=""), failed=1), finished_at=None)
    assert said(compose_run(facts, "en").preheader) == "n1."
    assert compose_run(SUCCEEDED_RUN, "en").preheader == ()


# Facts, steps, history


@pytest.mark.parametrize(
    ("tool", "trigger", "text"),
    [
        ("airflow", Trigger("DAG x", "scheduled"), "Airflow, scheduled"),
        ("airflow", Trigger("DAG x", "ui"), "Airflow, by hand"),
        ("gitlab-ci", Trigger("pipeline 7", "ci"), "GitLab CI"),
        ("mytool\n<b>", Trigger(), "mytool <b>"),
        ("cron", Trigger("cron on db1", "scheduled"), "cron on db1"),
        ("cron", Trigger(), "cron"),
        ("", Trigger("ada on laptop", actor="ada"), "ada on laptop"),
        ("", Trigger(category="api"), "by API"),
        ("", Trigger(actor="ada"), "ada"),
    ],
)
def test_triggers(tool: str, trigger: Trigger, text: str) -> None:
    message = compose_run(replace(FAILED_RUN, host_tool=tool, trigger=trigger), "en")
    assert {fact.label: said(fact.value) for fact in message.facts}["Trigger"] == text


@pytest.mark.parametrize(
    ("git", "expected"),
    [
        (Git("main", "8c1f2ab09e3d"), {"Branch": "main at 8c1f2ab"}),
        (Git("main"), {"Branch": "main"}),
        (Git(sha="8c1f2ab09e3d"), {"Commit": "8c1f2ab"}),
        (Git(), {}),
    ],
)
def test_branch_and_commit(git: Git, expected: dict[str, str]) -> None:
    facts = {fact.label: said(fact.value) for fact in compose_run(replace(FAILED_RUN, git=git), "en").facts}
    assert {label: value for label, value in facts.items() if label in ("Branch", "Commit")} == expected


def test_nothing_known_nothing_said() -> None:
    bare = RunFacts(
        account="A", project="p", environment="e", job="j", outcome=Outcome.FAILED, because=Because("claimed"), started_at=NIGHT
    )
    message = compose_run(bare, "en")
    assert [fact.label for fact in message.facts] == ["Project", "Environment", "Started"]
    assert said(message.summary) == "Whoever reported it said that it ended like this."
    assert (message.steps, message.bars, message.history, message.steps_title) == ((), (), (), "")


def test_a_lost_run_has_no_end_even_when_one_is_stored() -> None:
    message = compose_run(replace(LOST_RUN, finished_at=NIGHT + timedelta(hours=24)), "en")
    assert "Ended" not in [fact.label for fact in message.facts]
    assert message.ended_at is None
    assert "took" not in said(message.summary)


def test_step_details() -> None:
    def detail(outcome: Outcome, run: Outcome, exit_code: int | None, signal: int | None = None, **counts: int) -> str:
        step = StepFacts(StepReport(index=1, command="dbt build", exit_code=exit_code, signal=signal, counts=counts), outcome)
        return compose_run(replace(FAILED_RUN, outcome=run, steps=(step,)), "en").steps[0].detail

    ok, warned, failed, stopped = Outcome
    assert detail(ok, failed, 0, passed=6, sources=6) == "6 sources fresh"
    assert detail(ok, ok, 0, passed=141) == "141 passed; exit code 0"
    assert detail(warned, warned, 0, passed=5, warned=1, sources=6) == "5 fresh, 1 stale; exit code 0"
    assert detail(failed, failed, 1, failed=2, sources=2) == "2 stale; exit code 1"
    assert detail(failed, failed, 1, passed=10, failed=2, sources=2) == "10 passed, 2 failed; exit code 1"
    assert detail(stopped, stopped, 130, 2, passed=312, skipped=174) == "312 passed, 174 not started; interrupted by SIGINT"
    assert detail(stopped, stopped, 143) == "interrupted by SIGTERM"
    assert detail(stopped, stopped, 1, 2, failed=4) == "interrupted by SIGINT"
    assert detail(stopped, stopped, 130, 2, passed=3, failed=1) == "3 passed, 1 failed; interrupted by SIGINT"
    assert detail(failed, failed, 137, 9) == "killed by signal 9"
    assert detail(failed, failed, None) == ""
    assert detail(ok, ok, 0, 2, passed=1) == "1 passed; exit code 0"


def test_many_steps_are_cut_and_counted() -> None:
    step = FAILED_RUN.steps[0]
    message = compose_run(replace(FAILED_RUN, steps=(step,) * 10), "en")
    assert (len(message.steps), message.steps_more) == (8, "+2 more steps on the run page.")


def test_history_says_what_the_bars_show() -> None:
    message = compose_run(FAILED_RUN, "en")
    assert len(message.bars) == 30
    assert said(message.history) == "Last 30 runs: 24 succeeded, 2 warned, 3 failed, 1 canceled. Failing since Sunday."
    assert said(compose_run(FAILED_RUN, "ru").history, "ru").endswith("1 отменён. Сбои с воскресенья.")
    assert said(compose_run(replace(FAILED_RUN, history=FAILED_RUN.history[-1:]), "en").history) == "This is its first run."


@pytest.mark.parametrize(
    ("outcome", "hours", "runs", "text"),
    [
        (Outcome.FAILED, 2, 3, " Failing for 3 runs."),
        (Outcome.WARNED, 2, 2, " Warning for 2 runs."),
        (Outcome.WARNED, 30, 2, " Warning since Sunday."),
        (Outcome.FAILED, 2, 1, ""),
        (Outcome.SUCCEEDED, 2, 5, ""),
    ],
)
def test_how_long_it_has_been_so(outcome: Outcome, hours: int, runs: int, text: str) -> None:
    facts = replace(FAILED_RUN, outcome=outcome, trouble_since=NIGHT - timedelta(hours=hours), trouble_runs=runs)
    assert said(compose_run(facts, "en").history).partition(".")[2] == text


def test_bars_have_the_height_of_their_durations() -> None:
    past = ((Outcome.SUCCEEDED, 10.0), (Outcome.SUCCEEDED, 40.0), (Outcome.SUCCEEDED, 0.0), (Outcome.FAILED, None))
    assert [bar.height for bar in compose_run(replace(FAILED_RUN, usual_seconds=10, history=past), "en").bars] == [0.5, 1.0, 0.06, 0.5]
    assert [bar.height for bar in compose_run(replace(FAILED_RUN, usual_seconds=None, history=past[-1:]), "en").bars] == [0.5]


# Names from outside


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_every_text_from_outside_is_tamed(text: str) -> None:
    facts = replace(
        with_nodes(replace(node(1, message=text, kind=text), name=text), failed=1),
        job=text,
        environment=text,
        project=text,
        account=text,
        trigger=Trigger(text, text, text, text),
        git=Git(text, text),
        host_tool=text,
    )
    for language in ("en", "ru"):
        message = compose_run(facts, language)
        assert "\n" not in message.subject + message.title + message.place + message.account
        assert len(message.subject) < 210
        assert len(message.title) <= 202
        assert Message.from_json(message.to_json()) == message
        message.subject.encode()


def test_a_name_from_right_to_left_leaves_its_neighbours_in_place() -> None:
    assert compose_run(replace(FAILED_RUN, job="שלום"), "en").subject == "FAILED · \u2068שלום\u2069 · Production"


# Messages of other kinds


def test_a_test_says_it_is_one() -> None:
    message = compose_test(TEST, "en")
    assert message.is_test
    assert message.subject == "TEST · messages arrive here · Acme Retail"
    assert said(message.summary).startswith("Ada Lindqvist asked for this on Tue 24 Nov, 02:00:00")
    assert message.run_id == ""


def test_notices_say_what_became_of_whom() -> None:
    died = compose_notice(DIED, "en")
    assert died.subject == "NOT DELIVERED · bob@acme.example · Acme Retail"
    assert "Given up after the last try. The mail server said to try later: 451 4.7.1 “greylisted”." in said(died.summary)
    assert [fact.label for fact in died.facts] == ["When", "Job", "Environment", "Tries"]
    assert died.open_label == "Open the run"
    assert "There is no such address" in said(compose_notice(REFUSED, "en").summary)
    unsubscribed = compose_notice(UNSUBSCRIBED, "ru")
    assert unsubscribed.subject.startswith("ОТПИСКА · data-oncall@")
    assert (unsubscribed.open_label, unsubscribed.run_id) == ("", "")
    assert "from messages about nightly in Prod" in said(
        compose_notice(replace(UNSUBSCRIBED, job="nightly", environment="Prod"), "en").summary
    )
    assert "about all jobs of Prod" in said(compose_notice(replace(UNSUBSCRIBED, environment="Prod"), "en").summary)


@pytest.mark.parametrize(("language", "title"), [("en", "Mail server"), ("ru", "Почтовый сервер")])
def test_the_heading_of_an_outage_begins_with_a_capital_inside_the_subject_it_does_not(language: str, title: str) -> None:
    outage = compose_notice(OUTAGE, language)
    assert outage.title == title
    assert f" · {title[0].lower()}{title[1:]} · Acme Retail" in outage.subject
