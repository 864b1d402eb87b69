"""Terraform's dbtcloud provider (1.12.5): its calls, word for word, with what docs/howto/terraform.md tells people to write.

It takes a resource for gone when the *body* says 404, pages by `offset` until it has `total_count`, and sends the whole object in an update.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from runbell.server.db.models import Destination, Rule
from tests.server.people import NOW, Acme
from tests.server.slack_shop import channel, link, workspace
from tests.server.test_notifications_api import NONE

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "terraform.md").read_text()
LISTS = ("on_cancel", "on_failure", "on_warning", "on_success")


def blocks(kind: str) -> dict[str, dict[str, Any]]:
    """The page's blocks of one kind, by their last label: what a person copies."""
    found = re.findall(rf'^{kind}((?: "\w+")*) {{\n(.*?)^}}', PAGE, re.MULTILINE | re.DOTALL)
    return {labels.split('"')[-2]: _values(text) for labels, text in found}


def _values(text: str) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in re.findall(r"^ {2}(\w+) += ([\[\"\d].*)$", text, re.MULTILINE)}


class Provider:
    """The provider's client: pkg/dbt_cloud/client.go and its neighbours."""

    def __init__(self, shop: Acme) -> None:
        said = blocks("provider")["dbtcloud"]
        self.host_url = said["host_url"].removeprefix("https://runbell.example.com")
        self.account_id, self.token = shop.account.pk, shop.token
        assert said["account_id"]

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Token {self.token}", "User-Agent": "terraform-provider-dbtcloud/1.12.5"}
        data = json.dumps(body) if body is not None else ""
        response = Client().generic(method, f"{self.host_url}{path}", data, content_type="application/json", headers=headers)
        answer = response.json()
        assert response.status_code == (answer["status"]["code"] if "status" in answer else 404)
        return response.status_code, answer.get("data")

    def good(self, method: str, path: str, body: object = None) -> Any:
        code, data = self.ask(method, path, body)
        assert 200 <= code < 300, (code, data)
        return data

    def below(self, version: str, path: str) -> str:
        return f"/{version}/accounts/{self.account_id}/{path}"

    def every(self, path: str) -> list[Any]:
        """Page after page, one row each, as the provider follows `extra.pagination`."""
        rows: list[Any] = []
        while True:
            headers = {"Authorization": f"Token {self.token}"}
            url = f"{self.host_url}{path}{'&' if '?' in path else '?'}limit=1&offset={len(rows)}"
            answer = Client().get(url, headers=headers).json()
            rows += answer["data"]
            if not answer["data"] or len(rows) >= answer["extra"]["pagination"]["total_count"]:
                return rows

    def notification(self, said: dict[str, Any], number: int | None = None, **more: Any) -> dict[str, Any]:
        """The Go struct: an empty set is null or an empty list, what is not set is null, the id only once there is one."""
        return {
            **({"id": number} if number else {}),
            "account_id": self.account_id,
            "user_id": said["user_id"],
            **{name: said.get(name) for name in LISTS},
            "state": 1,
            "type": said["notification_type"],
            **{name: said.get(name) for name in ("external_email", "slack_channel_id", "slack_channel_name")},
            **more,
        }


@pytest.fixture
def provider(shop: Acme) -> Provider:
    return Provider(shop)


def of_page(shop: Acme, name: str) -> dict[str, Any]:
    """A setting of the page, with this account's ids in place of the page's."""
    said = blocks("resource")[name]
    return {**said, "user_id": shop.admin.user_id, **{key: [shop.job.pk] for key in LISTS if said.get(key)}}


def test_it_starts_when_its_account_is_in_the_list(shop: Acme, provider: Provider) -> None:
    assert provider.account_id in [account["id"] for account in provider.good("GET", "/v2/accounts/")]
    assert provider.good("GET", "/v2/whoami/")["user"]["email"] == "ada@acme.test"


@pytest.mark.parametrize("name", ["partner", "bob", "alerts"])
def test_a_setting_is_created_read_updated_and_destroyed(shop: Acme, provider: Provider, name: str) -> None:
    if name == "alerts":
        team = workspace(shop)
        channel(team)
        link(team, shop.admin)
    said = of_page(shop, name)
    made = provider.good("POST", provider.below("v2", "notifications/"), provider.notification(said))
    one = provider.below("v2", f"notifications/{made['id']}/")
    read = provider.good("GET", one)
    assert (read["type"], read["user_id"], read["external_email"]) == (
        said["notification_type"],
        shop.admin.user_id,
        said.get("external_email"),
    )
    assert {key: read[key] for key in LISTS} == {key: said.get(key, []) for key in LISTS}
    assert read["slack_channel_name"] == said.get("slack_channel_name")

    Rule.objects.create(destination_id=made["id"], environment=shop.job.environment, outcome="warned", set_by=shop.admin, set_at=NOW)
    changed = provider.good("POST", one, provider.notification(said | {"on_failure": [], "on_success": [shop.job.pk]}, made["id"]))
    assert (changed["id"], changed["on_failure"], changed["on_success"]) == (made["id"], [], [shop.job.pk])
    assert changed["runbell_environments"] == {**NONE, "on_warning": [shop.job.environment_id]}

    assert provider.good("POST", one, provider.notification(said, made["id"], state=2))["state"] == 2
    assert provider.ask("GET", one) == (404, None)
    assert not Rule.objects.filter(destination=made["id"]).exists()


def test_a_second_setting_for_one_address_is_said_in_the_platforms_words(shop: Acme, provider: Provider) -> None:
    path, body = provider.below("v2", "notifications/"), provider.notification(of_page(shop, "partner"))
    provider.good("POST", path, body)
    response = Client().post(
        f"{provider.host_url}{path}", body, content_type="application/json", headers={"Authorization": f"Token {shop.token}"}
    )
    said = response.json()["status"]["user_message"]
    assert (response.status_code, said) == (
        400,
        f"Key (account_id, external_email)=({shop.account.pk}, team@partner.example) already exists.",
    )


def test_a_partial_setting_finds_the_whole_one_page_by_page_and_adds_to_it(shop: Acme, provider: Provider) -> None:
    said, path = of_page(shop, "partner"), provider.below("v2", "notifications/")
    for address in ("first@partner.example", said["external_email"], "third@partner.example"):
        provider.good("POST", path, provider.notification(said | {"external_email": address}))
    [found] = [row for row in provider.every(path) if row["type"] == 4 and row["external_email"] == said["external_email"]]
    merged = {**found, "on_success": sorted({*found["on_success"], shop.job.pk})}
    sent = {key: merged[key] for key in provider.notification(said, found["id"])}
    assert provider.good("POST", f"{path}{found['id']}/", sent)["on_success"] == [shop.job.pk]
    assert Destination.objects.count() == 3


def test_a_job_is_created_listed_updated_and_destroyed(shop: Acme, provider: Provider) -> None:
    environment, said = shop.job.environment, blocks("resource")["hourly"]
    body = {
        **said,
        "account_id": provider.account_id,
        "project_id": environment.project_id,
        "environment_id": environment.pk,
        "state": 1,
        "triggers": {"github_webhook": False, "git_provider_webhook": False, "schedule": False, "on_merge": False},
        "settings": {"threads": 1, "target_name": "default"},
        "schedule": {"date": {"type": "every_day"}, "time": {"type": "every_hour", "interval": 1}},
        "job_completion_trigger_condition": None,
    }
    made = provider.good("POST", provider.below("v2", "jobs/"), body)
    one = provider.below("v2", f"jobs/{made['id']}/")
    assert provider.good("GET", one)["execute_steps"] == ["dbt build"]
    listed = provider.every(provider.below("v2", f"jobs/?project_id={environment.project_id}&include_related=[environment]"))
    assert [row["environment"]["name"] for row in listed if row["id"] == made["id"]] == ["Production"]
    assert provider.good("POST", one, {**made, "execute_steps": ["dbt run"]})["execute_steps"] == ["dbt run"]
    provider.good("POST", one, {**made, "state": 2})
    assert provider.ask("GET", one) == (404, None)


def test_projects_environments_and_users_are_data_sources(shop: Acme, provider: Provider) -> None:
    environment = shop.job.environment
    assert provider.good("GET", provider.below("v3", f"projects/{environment.project_id}/"))["name"] == "shop"
    below = provider.below("v3", f"projects/{environment.project_id}/environments/")
    assert [row["id"] for row in provider.every(below)] == [environment.pk]
    assert provider.good("GET", f"{below}{environment.pk}/")["name"] == "Production"
    assert "ada@acme.test" in [row["email"] for row in provider.every(provider.below("v3", "users/"))]


def test_model_notifications_are_kept_and_switched_off(shop: Acme, provider: Provider) -> None:
    path = provider.below("v3", f"environments/{shop.job.environment_id}/model-notifications/")
    flags = {"enabled": True, "on_success": False, "on_failure": True, "on_warning": True, "on_skipped": False}
    made = provider.good("POST", path, flags)
    assert made["id"] != 0
    assert {key: value for key, value in provider.good("GET", path).items() if key in flags} == flags
    assert provider.good("POST", path, dict.fromkeys(flags, False))["enabled"] is False


@pytest.mark.parametrize(
    "path", ["/v3/accounts/{}/webhooks/subscriptions", "/private/accounts/{}/notification-settings/", "/v3/accounts/{}/groups/"]
)
def test_what_is_not_there_is_a_404(provider: Provider, path: str) -> None:
    assert provider.ask("GET", path.format(provider.account_id))[0] == 404
    assert provider.ask("POST", path.format(provider.account_id), {"name": "x"})[0] == 404
