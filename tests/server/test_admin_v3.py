"""What clients of the dbt Admin API read beyond ids: steps and errors of runs, projects and people through v3, and what Runbell will not do."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from runbell.core.permissions import Permission, Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Node, Run, Step
from runbell.server.services.tokens import create_token
from tests.server.people import NOW, Acme
from tests.server.test_admin_v2 import ask, ids, run_of, second_job

pytestmark = pytest.mark.django_db


def send(shop: Acme, path: str, code: int, token: str = "") -> Any:
    response = Client().post(path, headers={"Authorization": f"Token {token or shop.token}"})
    assert response.status_code == code, response.content
    return response.json() if response.content else None


def failed_run(shop: Acme) -> Run:
    run = run_of(
        shop.job, Outcome.FAILED, because={"code": "exit_code", "params": {"exit_code": 1, "command": "dbt build"}}, log_end="Done."
    )
    for index, outcome in enumerate((Outcome.SUCCEEDED, Outcome.FAILED), 1):
        step = Step.objects.create(
            run=run, index=index, command=f"dbt step{index}", outcome=outcome, exit_code=index - 1, dbt_version="1.11.16"
        )
    Node.objects.create(step=step, unique_id="model.shop.orders", name="orders", status="error", message="Database Error\n  no such column")
    return run


@pytest.mark.parametrize("spelling", ["run_steps", '["run_steps"]', "[run_steps]", "job,run_steps", "run_steps&include_related=job"])
def test_the_steps_of_a_run_tell_what_broke(shop: Acme, spelling: str) -> None:
    run = failed_run(shop)
    data = ask(shop, f"runs/{run.pk}?include_related={spelling}")["data"]
    assert [(step["index"], step["name"], step["status_humanized"]) for step in data["run_steps"]] == [
        (1, "Invoke dbt with `dbt step1`", "Success"),
        (2, "Invoke dbt with `dbt step2`", "Error"),
    ]
    assert data["run_steps"][1]["logs"] == "ERROR model.shop.orders\nDatabase Error\n  no such column"
    assert data["dbt_version"] == "1.11.16"
    assert ("job" in data) is ("job" in spelling)


def test_an_empty_or_unknown_include_brings_nothing(shop: Acme) -> None:
    run = failed_run(shop)
    for query in ("", "?include_related=", "?include_related=[]", "?include_related=nothing"):
        assert "run_steps" not in ask(shop, f"runs/{run.pk}{query}")["data"]


def test_the_end_of_the_log_comes_when_asked_for(shop: Acme) -> None:
    run = failed_run(shop)
    plain, full = (
        ask(shop, f"runs/{run.pk}/?include_related={names}")["data"]["run_steps"] for names in ("run_steps", "run_steps,debug_logs")
    )
    assert [step["debug_logs"] for step in plain] == [None, None]
    assert [step["debug_logs"] for step in full] == [None, "Done."]


def test_a_list_of_runs_costs_the_same_for_many(shop: Acme, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(5):
        failed_run(shop)
    ids(shop, "runs/")  # the first use of a token is noted
    with django_assert_num_queries(7):
        assert len(ids(shop, "runs/?include_related=run_steps,job,environment&limit=2")) == 2
    with django_assert_num_queries(7):
        assert len(ids(shop, "runs/?include_related=run_steps,job,environment")) == 5


def test_a_job_brings_its_last_runs(shop: Acme) -> None:
    other = second_job(shop)
    done, running = run_of(shop.job), run_of(shop.job, "")
    rows = ask(shop, "jobs/?include_related=[environment,most_recent_run,most_recent_completed_run]")["data"]
    last = {row["id"]: (row["most_recent_run"], row["most_recent_completed_run"]) for row in rows}
    assert last[other.pk] == (None, None)
    assert [run["id"] for run in last[shop.job.pk]] == [running.pk, done.pk]
    assert rows[0]["environment"]["name"] == "Production"


@pytest.mark.parametrize("verb", ["jobs/{job}/run", "jobs/{job}/rerun", "runs/{run}/cancel", "runs/{run}/retry"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_running_is_refused_in_words(shop: Acme, verb: str, slash: str) -> None:
    path = verb.format(job=shop.job.pk, run=run_of(shop.job).pk)
    status = send(shop, f"/api/v2/accounts/{shop.account.pk}/{path}{slash}", 409)["status"]
    assert status["code"] == 409
    assert status["user_message"].startswith("Runbell reports runs, it does not execute them.")


def test_environments_are_found_below_their_project(shop: Acme) -> None:
    environment, other = shop.job.environment, second_job(shop).environment
    base = f"/api/v3/accounts/{shop.account.pk}"
    assert ids(shop, f"{base}/projects/{environment.project_id}/environments/") == [environment.pk]
    assert ask(shop, f"{base}/projects/{other.project_id}/environments/{other.pk}")["data"]["name"] == "Staging"
    ask(shop, f"{base}/projects/{other.project_id}/environments/{environment.pk}/", code=404)
    assert ids(shop, f"{base}/environments/?project_id={other.project_id}") == [other.pk]
    assert ids(shop, f"{base}/projects/?name__icontains=FIN") == [other.project_id]


def test_users_are_found_by_those_who_set_notifications(shop: Acme) -> None:
    bob = shop.members[Role.DEVELOPER]
    users = f"/api/v3/accounts/{shop.account.pk}/users/"
    assert ids(shop, f"{users}?email__icontains={bob.user.email.upper()}") == [bob.user_id]
    assert ask(shop, f"{users}{bob.user_id}/")["data"]["runbell_role"] == "developer"
    token = create_token(member=bob, name="bob", permissions=list(Permission), now=NOW)
    assert "permission" in ask(shop, users, token, code=403)["status"]["user_message"]


def test_a_member_unsubscribes_by_one_call(shop: Acme) -> None:
    address = shop.destination()
    shop.rule(address, Outcome.FAILED)
    assert send(shop, "/api/v2/notifications/unsubscribe/", 200) is None
    assert not address.rules.exists()
