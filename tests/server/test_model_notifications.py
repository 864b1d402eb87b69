"""Messages to owners of models: kept as clients of the dbt Admin API set them, and never more."""

import json
from typing import Any

import pytest
from django.test import Client

from runbell.core.permissions import Permission, Role
from runbell.server.db.models import AuditEntry, Delivery, Environment, Project
from runbell.server.services.tokens import create_token
from tests.server.people import NOW, Acme, acme
from tests.server.test_reports import FAILED, post

OFF = {"enabled": False, "on_success": False, "on_failure": False, "on_warning": False, "on_skipped": False}


def call(shop: Acme, method: str, body: object = None, *, token: str = "", code: int = 200, slash: str = "/") -> Any:
    url = f"/api/v3/accounts/{shop.account.pk}/environments/{shop.job.environment_id}/model-notifications{slash}"
    headers = {"Authorization": f"Token {token or shop.token}"}
    response = Client().generic(method, url, json.dumps(body) if body is not None else "", content_type="application/json", headers=headers)
    answer = response.json()
    assert (response.status_code, answer["status"]["code"]) == (code, code), answer
    return answer


def test_what_was_set_is_read_again(shop: Acme) -> None:
    environment = shop.job.environment
    plain = call(shop, "GET", slash="")["data"]
    assert plain == {
        "id": environment.pk,
        "account_id": shop.account.pk,
        "environment_id": environment.pk,
        "created_at": plain["created_at"],
        "updated_at": None,
        **OFF,
    }
    said = call(shop, "POST", {**OFF, "environment_id": environment.pk, "enabled": True, "on_failure": True})
    assert said["status"]["user_message"].startswith("Kept, and nothing is sent by it")
    kept = call(shop, "GET")["data"]
    assert kept == said["data"]
    assert {name: kept[name] for name in OFF} == {**OFF, "enabled": True, "on_failure": True}
    assert kept["updated_at"]
    off = call(shop, "POST", {"enabled": False})["data"]  # Terraform deletes it so
    assert (off["enabled"], off["on_failure"]) == (False, True)


def test_nothing_is_sent_by_it(shop: Acme) -> None:
    call(shop, "POST", dict.fromkeys(OFF, True))
    post(FAILED, shop.token)
    assert Delivery.objects.count() == 0


def test_each_change_is_audited_and_the_same_again_is_none(shop: Acme) -> None:
    for _ in range(2):
        call(shop, "POST", {**OFF, "enabled": True})
    [entry] = AuditEntry.objects.filter(action="environment.owners")
    assert (entry.subject, entry.before, entry.after) == ("Production · shop", {"enabled": False}, {"enabled": True})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"enabled": "yes"}, "enabled: must be true or false"),
        ({"on_failure": 1}, "on_failure: must be true or false"),
        ({"account_id": 99}, "account_id: is not the one in the address"),
        ({"environment_id": 99}, "environment_id: is not the one in the address"),
        ([], "must be a JSON object"),
    ],
)
def test_bad_input_names_its_field_and_changes_nothing(shop: Acme, body: object, words: str) -> None:
    assert words in call(shop, "POST", body, code=400)["status"]["user_message"]
    assert Environment.objects.get().model_notifications is None


def test_who_may(shop: Acme) -> None:
    def token(*permissions: Permission, role: Role = Role.ACCOUNT_ADMIN, **more: Any) -> str:
        return create_token(member=shop.members[role], name="x", permissions=permissions, now=NOW, **more)

    finance = Project.objects.create(account=shop.account, name="finance", created_at=NOW)
    every = tuple(Permission)
    call(shop, "GET", token=token(*every, role=Role.VIEWER))
    call(shop, "POST", OFF, token=token(*every, role=Role.NOTIFICATION_MANAGER))
    call(shop, "POST", OFF, token=token(*every, role=Role.DEVELOPER), code=403)
    call(shop, "POST", OFF, token=token(Permission.READ), code=403)
    call(shop, "POST", OFF, token=token(*every, project=finance), code=404)
    stranger = acme("Other", "other.test")
    for method in ("GET", "POST"):
        call(shop, method, OFF, token=stranger.token, code=404)
