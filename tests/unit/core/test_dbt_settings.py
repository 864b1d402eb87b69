"""Notification settings and users as the dbt platform tells of them."""

from typing import Any

import pytest

from runbell.core.dbt_settings import Left, Person, Way, Wish, read_person, read_wish
from runbell.core.permissions import Role
from runbell.core.rules import Scope
from runbell.core.runs import Outcome

FAILED = (Scope.JOB, Outcome.FAILED, "101")


def setting(**facts: Any) -> dict[str, Any]:
    return {"id": 9, "type": 1, "user_id": 501, "state": 1, "on_failure": [101]} | facts


def test_a_member_a_stranger_and_a_slack_channel() -> None:
    assert read_wish(setting()) == Wish("9", Way.MEMBER, "501", frozenset({FAILED}))
    outside = read_wish(setting(type=4, external_email=" Ops@Partner.example "))
    assert outside == Wish("9", Way.EXTERNAL, "Ops@Partner.example", frozenset({FAILED}), by="501")
    for kind in (2, 5):
        found = read_wish(setting(type=kind, slack_channel_id="C07ABCDEF", slack_channel_name="#data alerts"))
        assert found == Wish("9", Way.SLACK, "C07ABCDEF", frozenset({FAILED}), "data alerts", "501")


def test_all_four_lists_and_those_of_environments() -> None:
    lists = {"on_cancel": [1], "on_success": ["2"], "on_warning": [3, None, {}, "x"], "on_failure": None}
    wish = read_wish(setting(**lists, runbell_environments={"on_failure": [11], "on_cancel": "no list"}))
    assert isinstance(wish, Wish)
    assert wish.boxes == {
        (Scope.JOB, Outcome.CANCELLED, "1"),
        (Scope.JOB, Outcome.SUCCEEDED, "2"),
        (Scope.JOB, Outcome.WARNED, "3"),
        (Scope.ENVIRONMENT, Outcome.FAILED, "11"),
    }


@pytest.mark.parametrize("facts", [{"state": 2}, {"on_failure": []}, {"on_failure": "101"}])
def test_what_was_deleted_or_chose_nothing_is_none(facts: dict[str, Any]) -> None:
    assert read_wish(setting(**facts)) is None


@pytest.mark.parametrize(
    ("facts", "code", "about"),
    [
        ({"type": 3}, "webhook", "3"),
        ({"type": 99}, "type", "99"),
        ({"type": "1"}, "type", "1"),
        ({"type": [1]}, "type", "[1]"),
        ({"user_id": None}, "nobody", ""),
        ({"type": 4}, "nobody", ""),
        ({"type": 2, "slack_channel_name": "alerts"}, "nobody", "alerts"),
    ],
)
def test_what_cannot_come_says_why(facts: dict[str, Any], code: str, about: str) -> None:
    assert read_wish(setting(**facts)) == Left("9", code, about)


def test_a_long_address_is_never_cut() -> None:
    address = "a" * 300 + "@partner.example"
    wish = read_wish(setting(type=4, external_email=address))
    assert isinstance(wish, Wish)
    assert wish.to == address


def person(**facts: Any) -> Person | None:
    return read_person({"id": 501, "email": "Bob@Acme.example", "first_name": "Bob", "last_name": "Berg"} | facts)


def test_a_person() -> None:
    assert person() == Person("501", "bob@acme.example", "Bob Berg", Role.VIEWER, is_active=True)
    found = person(is_active=False, permissions=[{"license_type": "developer", "state": 1}])
    assert found == Person("501", "bob@acme.example", "Bob Berg", Role.DEVELOPER, is_active=False)
    assert person(email=None) is None
    assert person(id=None) is None


@pytest.mark.parametrize(
    ("facts", "role"),
    [
        ({"permissions": [{"license_type": "read_only", "state": 1}]}, Role.VIEWER),
        ({"permissions": [{"license_type": "developer", "state": 2}]}, Role.VIEWER),
        ({"permissions": [{"license_type": "it"}, {"license_type": "developer"}]}, Role.DEVELOPER),
        ({"permissions": ["developer"]}, Role.VIEWER),
        ({"runbell_role": "account_admin"}, Role.DEVELOPER),
        ({"runbell_role": "viewer"}, Role.VIEWER),
        ({"runbell_role": {}}, Role.VIEWER),
    ],
)
def test_nobody_gets_more_than_a_developers_rights(facts: dict[str, Any], role: Role) -> None:
    found = person(**facts)
    assert found
    assert found.role is role
