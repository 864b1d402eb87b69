"""Who is told, what happens after a try, and who may do what."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbell.core.because import Because
from runbell.core.deliveries import JITTER, LADDER, Dead, DeliveryState, NextStep, Retry, Sent, Verdict, fair_share, next_step
from runbell.core.permissions import ALLOWED, SENTENCES, Action, Permission, Role, may
from runbell.core.rules import DestinationFact, RuleFact, Scope, decide
from runbell.core.runs import Outcome

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
BUSY = Because("smtp_busy")


def step(verdict: Verdict, *, attempts: int = 1, age: timedelta = timedelta(), chance: float = 0.5) -> NextStep:
    return next_step(verdict, attempts=attempts, created_at=NOW - age, now=NOW, chance=chance)


@pytest.mark.parametrize("attempts", range(1, len(LADDER)))
@given(chance=st.floats(0, 1, exclude_max=True))
def test_each_rung_of_the_ladder_with_its_jitter(attempts: int, chance: float) -> None:
    after = step(Retry(BUSY), attempts=attempts, chance=chance)
    assert after.state is DeliveryState.WAITING
    assert after.due_at is not None
    assert LADDER[attempts] * (1 - JITTER) <= after.due_at - NOW <= LADDER[attempts] * (1 + JITTER)


def test_after_the_last_rung_it_is_dead_with_the_last_reason() -> None:
    after = step(Retry(BUSY), attempts=len(LADDER))
    assert after.state is DeliveryState.DEAD
    assert after.because == Because("tries_used_up", {"last": BUSY.to_json()})


def test_a_paused_way_out_uses_up_no_attempt_and_dies_by_age_alone() -> None:
    down = Retry(Because("smtp_unreachable"), is_transport=True)
    after = step(down, attempts=50)
    assert (after.state, after.counts_as_attempt) == (DeliveryState.WAITING, False)
    assert step(down, attempts=50, age=timedelta(hours=24)).because == Because("too_old", {"last": down.because.to_json()})


def test_the_provider_s_own_wish_is_honoured() -> None:
    assert step(Retry(BUSY, after=timedelta(minutes=9))).due_at == NOW + timedelta(minutes=9)


def test_a_wish_beyond_the_age_limit_gets_one_last_try_at_the_limit() -> None:
    wish = Retry(BUSY, after=timedelta(days=7))
    assert step(wish, age=timedelta(hours=20)).due_at == NOW + timedelta(hours=4)
    assert step(wish, age=timedelta(hours=24)).state is DeliveryState.DEAD


@pytest.mark.parametrize(("was_lost", "state"), [(False, DeliveryState.WAITING), (True, DeliveryState.DEAD)])
def test_a_lost_answer_is_retried_once(was_lost: bool, state: DeliveryState) -> None:
    lost = Retry(BUSY, is_lost=True)
    after = next_step(lost, attempts=2, created_at=NOW, now=NOW, chance=0.5, was_lost=was_lost)
    assert after.state is state
    assert after.because == (Because("answer_lost", {"last": BUSY.to_json()}) if was_lost else BUSY)


def test_an_earlier_lost_answer_ends_nothing_by_itself() -> None:
    assert next_step(Retry(BUSY), attempts=2, created_at=NOW, now=NOW, chance=0.5, was_lost=True).state is DeliveryState.WAITING
    assert next_step(Sent(), attempts=2, created_at=NOW, now=NOW, chance=0.5, was_lost=True).state is DeliveryState.SENT


def test_tests_may_shrink_time() -> None:
    after = next_step(Retry(BUSY), attempts=1, created_at=NOW, now=NOW, chance=0.5, scale=0.01)
    assert after.due_at == NOW + LADDER[1] * 0.01
    old = next_step(Retry(BUSY), attempts=1, created_at=NOW - timedelta(minutes=15), now=NOW, chance=0.5, scale=0.01)
    assert old.state is DeliveryState.DEAD


def test_the_ladder_is_the_one_promised() -> None:
    assert [rung.total_seconds() for rung in LADDER] == [0, 5, 30, 2 * 60, 10 * 60, 30 * 60, 3_600, 2 * 3_600, 4 * 3_600]


def test_sent_and_dead_end() -> None:
    assert step(Sent("q1")) == NextStep(DeliveryState.SENT)
    assert step(Dead(BUSY)) == NextStep(DeliveryState.DEAD, because=BUSY)


def rule(number: int, destination: int, outcome: Outcome, scope: Scope = Scope.JOB) -> RuleFact:
    return RuleFact(number, destination, scope, outcome)


def test_one_decision_per_destination_and_the_job_s_own_rule_is_named_first() -> None:
    rules = [rule(1, 7, Outcome.FAILED, Scope.ENVIRONMENT), rule(2, 7, Outcome.FAILED), rule(3, 8, Outcome.SUCCEEDED)]
    decisions = decide(Outcome.FAILED, rules, [DestinationFact(7), DestinationFact(8)])
    (told,) = decisions.matched
    assert (told.destination_id, told.send, told.rule_id, told.because.code) == (7, True, 2, "chose_job")
    (other,) = decisions.not_told
    assert other.because == Because("chose_others", {"outcomes": ["succeeded"]})


def test_a_reason_is_stored_and_read_back() -> None:
    reason = Because("tries_used_up", {"last": BUSY.to_json()})
    assert Because.from_json(reason.to_json()) == reason
    assert Because.from_json({"code": "too_old"}) == Because("too_old")


def test_rules_only_add() -> None:
    rules = [rule(1, 7, Outcome.FAILED, Scope.ENVIRONMENT), rule(2, 7, Outcome.WARNED)]
    assert decide(Outcome.FAILED, rules, [DestinationFact(7)]).matched[0].because.code == "chose_environment"
    assert decide(Outcome.WARNED, rules, [DestinationFact(7)]).matched[0].because.code == "chose_job"


def test_a_silent_destination_gets_a_receipt_with_its_reason() -> None:
    (decision,) = decide(Outcome.FAILED, [rule(1, 7, Outcome.FAILED)], [DestinationFact(7, Because("member_inactive"))]).matched
    assert (decision.send, decision.because.code, decision.rule_id) == (False, "member_inactive", 1)


def test_who_chose_warns_alone_hears_that_a_failed_run_also_warned() -> None:
    (decision,) = decide(Outcome.FAILED, [rule(1, 7, Outcome.WARNED)], [DestinationFact(7)], also_warned=True).not_told
    assert decision.because.code == "also_warned"


def test_whoever_chose_more_than_warnings_is_told_what_they_chose() -> None:
    rules = [rule(2, 7, Outcome.WARNED), rule(1, 7, Outcome.SUCCEEDED, Scope.ENVIRONMENT), rule(3, 7, Outcome.WARNED, Scope.ENVIRONMENT)]
    (decision,) = decide(Outcome.FAILED, rules, [DestinationFact(7)], also_warned=True).not_told
    assert decision.because == Because("chose_others", {"outcomes": ["succeeded", "warned"]})


def test_every_action_has_a_sentence_and_an_admin_may_all() -> None:
    assert set(SENTENCES) == set(Action)
    assert ALLOWED[Role.ACCOUNT_ADMIN] == set(Action)


def test_each_role_has_the_rights_of_the_one_below_it() -> None:
    assert ALLOWED[Role.VIEWER] < ALLOWED[Role.DEVELOPER] < ALLOWED[Role.NOTIFICATION_MANAGER] < ALLOWED[Role.ACCOUNT_ADMIN]


TABLE = """
                        viewer developer manager admin
see_jobs                   x       x        x      x
see_deliveries             x       x        x      x
unsubscribe_self           x       x        x      x
report_runs                -       x        x      x
set_own_notifications      -       x        x      x
set_any_notifications      -       -        x      x
resend_deliveries          -       -        x      x
pause                      -       -        x      x
read_mailbox               -       -        -      x
manage_members             -       -        -      x
manage_tokens              -       -        -      x
manage_jobs                -       -        -      x
link_slack                 -       -        -      x
connect_dbt                -       -        -      x
run_jobs                   -       -        -      x
see_audit                  -       -        -      x
check_mail                 -       -        -      x
"""
ROLES = (Role.VIEWER, Role.DEVELOPER, Role.NOTIFICATION_MANAGER, Role.ACCOUNT_ADMIN)


def test_the_table_of_the_product() -> None:
    promised = {Action(line.split()[0]): line.split()[1:] for line in TABLE.strip().splitlines()[1:]}
    assert promised == {action: ["x" if may(role, action) else "-" for role in ROLES] for action in promised}
    assert set(promised) == set(Action)


def test_a_token_never_goes_beyond_its_member_nor_its_own_words() -> None:
    report = frozenset({Permission.REPORT})
    assert may(Role.ACCOUNT_ADMIN, Action.REPORT_RUNS, report)
    assert not may(Role.ACCOUNT_ADMIN, Action.MANAGE_TOKENS, report)
    assert not may(Role.VIEWER, Action.REPORT_RUNS, report)
    assert may(Role.ACCOUNT_ADMIN, Action.MANAGE_TOKENS, frozenset({Permission.ADMIN}))


@pytest.mark.parametrize(
    ("room", "waiting", "chance", "expected"),
    [
        (64, [7], 0.9, {7: 64}),
        (64, [7, 8], 0.0, {7: 32, 8: 32}),
        (3, [7, 8], 0.0, {7: 2, 8: 1}),
        (3, [7, 8], 0.5, {8: 2, 7: 1}),
        (1, [7, 8, 9], 0.4, {8: 1}),
        (0, [7], 0.0, {}),
        (5, [], 0.5, {}),
    ],
)
def test_places_are_shared_out_equally(room: int, waiting: list[int], chance: float, expected: dict[int, int]) -> None:
    assert fair_share(room, waiting, chance) == expected
