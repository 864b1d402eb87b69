"""Jobs made, described and deleted by clients of the dbt Admin API; a report with the same names meets the same job."""

import json
from typing import Any

import pytest
from django.test import Client

from runbell.core.permissions import Permission, Role
from runbell.server.db.models import AuditEntry, Job, State
from runbell.server.services.tokens import create_token
from tests.server.people import NOW, Acme
from tests.server.test_admin_v2 import second_job

pytestmark = pytest.mark.django_db
DESCRIBED = {
    "execute_steps": ["dbt source freshness", "dbt build"],
    "schedule": {"cron": "0 5 * * *", "date": {"type": "custom_cron", "cron": "0 5 * * *"}, "time": {"type": "every_hour", "interval": 1}},
    "triggers": {"github_webhook": False, "git_provider_webhook": False, "schedule": True, "on_merge": False},
    "settings": {"threads": 8, "target_name": "prod"},
    "generate_docs": True,
    "job_type": "scheduled",
}


@pytest.fixture
def admin(shop: Acme) -> str:
    return create_token(member=shop.admin, name="jobs", permissions=list(Permission), now=NOW)


def call(shop: Acme, method: str, path: str, body: Any, token: str, code: int) -> Any:
    url = f"/api/v2/accounts/{shop.account.pk}/jobs/{path}"
    response = Client().generic(
        method, url, json.dumps(body), content_type="application/json", headers={"Authorization": f"Bearer {token}"}
    )
    answer = response.json()
    assert response.status_code == answer["status"]["code"] == code, answer
    return answer["data"] if code < 400 else answer["status"]["user_message"]


def test_a_job_is_made_as_described(shop: Acme, admin: str) -> None:
    place = {"account_id": shop.account.pk, "project_id": shop.job.environment.project_id, "environment_id": shop.job.environment_id}
    made = call(shop, "POST", "", {"id": None, **place, "name": "hourly", **DESCRIBED, "state": 1}, admin, 201)
    read = call(shop, "GET", f"{made['id']}/", None, admin, 200)
    assert {name: read[name] for name in (*place, *DESCRIBED)} == {**place, **DESCRIBED}
    entry = AuditEntry.objects.get(action="job.create")
    assert (entry.subject, entry.after["execute_steps"]) == ("hourly · Production · shop", DESCRIBED["execute_steps"])


def test_a_report_finds_the_job_that_was_made(shop: Acme, admin: str) -> None:
    made = call(shop, "POST", "", {"name": "hourly", "environment_id": shop.job.environment_id}, admin, 201)
    report = {
        "version": 1,
        "key": "first",
        "state": "started",
        "job": {"project": "shop", "environment": "Production", "name": "hourly"},
        "started_at": NOW.isoformat(),
    }
    headers = {"Authorization": f"Token {admin}"}
    assert Client().post("/api/runbell/v1/runs", json.dumps(report), "application/json", headers=headers).status_code == 201
    assert Job.objects.get(name="hourly").pk == made["id"]
    assert Job.objects.get(pk=made["id"]).runs.count() == 1


def test_an_update_changes_what_it_names_and_keeps_the_old_name_for_reports(shop: Acme, admin: str) -> None:
    call(shop, "POST", f"{shop.job.pk}/", DESCRIBED, admin, 200)
    changed = call(shop, "POST", f"{shop.job.pk}/", {"name": "daily", "generate_docs": False}, admin, 200)
    assert (changed["name"], changed["generate_docs"], changed["execute_steps"]) == ("daily", False, DESCRIBED["execute_steps"])
    assert shop.job.aliases.get().name == "nightly"


@pytest.mark.parametrize("how", [("DELETE", None), ("POST", {"state": 2})])
def test_a_deleted_job_is_gone_and_keeps_its_runs(shop: Acme, admin: str, how: tuple[str, Any]) -> None:
    method, body = how
    assert call(shop, method, f"{shop.job.pk}/", body, admin, 200)["state"] == 2
    call(shop, "GET", f"{shop.job.pk}/", None, admin, 404)
    assert Job.objects.get(pk=shop.job.pk).state == State.DELETED


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "environment_id: is required"),
        ({"environment_id": "one"}, "environment_id: must be a whole number"),
        ({"environment_id": 999_999}, "environment_id: there is no environment 999999 in this account"),
        ({"environment_id": 0, "name": "new"}, "environment_id: must be between"),
        ({"name": ""}, "name: must not be empty"),
        ({"name": "x" * 201}, "name: must have at most 200 characters"),
        ({"name": "nightly"}, "name: the job "),
        ({"name": "new", "project_id": 999_999}, "project_id: must be "),
        ({"name": "new", "account_id": 999_999}, "account_id: is not the account"),
        ({"name": "new", "execute_steps": "dbt build"}, "execute_steps: must be a list"),
        ({"name": "new", "execute_steps": [1]}, "execute_steps[0]: must be text"),
        ({"name": "new", "generate_docs": "yes"}, "generate_docs: must be true or false"),
        ({"name": "new", "schedule": {"cron": "x" * 10_001}}, "schedule: must have at most"),
        ({"name": "new", "state": 2}, "state: must be 1"),
    ],
)
def test_bad_input_is_named_and_makes_nothing(shop: Acme, admin: str, body: dict[str, Any], says: str) -> None:
    place = {} if not body else {"environment_id": shop.job.environment_id}
    assert call(shop, "POST", "", place | body, admin, 400).startswith(says)
    assert Job.objects.filter(account=shop.account).count() == 1


def test_a_job_stays_in_its_place(shop: Acme, admin: str) -> None:
    other = second_job(shop)
    assert "environment_id: must be" in call(shop, "POST", f"{shop.job.pk}/", {"environment_id": other.environment_id}, admin, 400)


def test_it_takes_the_right_and_the_permission(shop: Acme) -> None:
    body = {"name": "new", "environment_id": shop.job.environment_id}
    for role, permissions in ((Role.NOTIFICATION_MANAGER, list(Permission)), (Role.ACCOUNT_ADMIN, [Permission.READ, Permission.REPORT])):
        token = create_token(member=shop.members[role], name=role, permissions=permissions, now=NOW)
        assert "permission" in call(shop, "POST", "", body, token, 403)
        assert "permission" in call(shop, "DELETE", f"{shop.job.pk}/", None, token, 403)
