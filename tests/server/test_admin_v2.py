"""Finding ids through the dbt Admin API: what its clients ask for, in the forms they ask."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from runbell.core.permissions import Permission, Role
from runbell.core.runs import Outcome, RunState
from runbell.server.db.models import Environment, Job, Project, Run, State
from runbell.server.services import listings, setting_lists
from runbell.server.services.tokens import create_token
from tests.server.people import NOW, Acme, acme

KINDS = ("projects", "environments", "jobs", "runs")


def ask(shop: Acme, path: str, token: str = "", code: int = 200) -> Any:
    """`path` is below the account, unless it starts with a slash."""
    url = path if path.startswith("/") else f"/api/v2/accounts/{shop.account.pk}/{path}"
    response = Client().get(url, headers={"Authorization": f"Bearer {token or shop.token}"})
    answer = response.json()
    assert (response.status_code, answer["status"]["code"]) == (code, code), answer
    assert answer["status"]["is_success"] is (code < 400)
    return answer


def ids(shop: Acme, path: str, token: str = "") -> list[int]:
    return [row["id"] for row in ask(shop, path, token)["data"]]


def run_of(job: Job, outcome: str = Outcome.SUCCEEDED, *, at: datetime = NOW, **fields: Any) -> Run:
    state = RunState.FINISHED if outcome else RunState.STARTED
    finished = at + timedelta(hours=25, seconds=61) if outcome else None
    return Run.objects.create(
        account=job.account, job=job, state=state, outcome=outcome, started_at=at, finished_at=finished, received_at=at, **fields
    )


def second_job(shop: Acme) -> Job:
    """In a project and an environment of its own."""
    made: dict[str, Any] = {"account": shop.account, "created_at": NOW}
    project = Project.objects.create(name="finance", **made)
    return Job.objects.create(name="hourly", environment=Environment.objects.create(name="Staging", project=project, **made), **made)


def test_a_client_learns_who_and_where_it_is(shop: Acme) -> None:
    accounts = ask(shop, "/api/v2/accounts/")
    assert [(row["id"], row["name"]) for row in accounts["data"]] == [(shop.account.pk, "Acme")]
    assert accounts["extra"]["pagination"] == {"count": 1, "total_count": 1}
    shop.admin.user.name = "Ada King Lovelace"
    shop.admin.user.save()
    user = ask(shop, "/api/v2/whoami/")["data"]["user"]
    assert user == {
        "id": shop.admin.user_id,
        "email": "ada@acme.test",
        "first_name": "Ada",
        "last_name": "King Lovelace",
        "is_active": True,
    }


def test_ids_are_found_from_the_project_down(shop: Acme) -> None:
    run = run_of(shop.job)
    project = ask(shop, "projects/")["data"][0]
    environment = ask(shop, f"environments/?project_id={project['id']}")["data"][0]
    job = ask(shop, f"jobs/?environment_id={environment['id']}")["data"][0]
    assert (project["name"], environment["name"], job["name"]) == ("shop", "Production", "nightly")
    assert (job["project_id"], job["environment_id"]) == (project["id"], environment["id"])
    assert ids(shop, f"runs/?job_definition_id={job['id']}") == [run.pk]


@pytest.mark.parametrize("kind", KINDS)
def test_a_trailing_slash_is_as_good_as_none(shop: Acme, kind: str) -> None:
    run_of(shop.job)
    listed = ask(shop, f"{kind}/")
    assert ask(shop, kind) == listed
    row = listed["data"][0]
    assert ask(shop, f"{kind}/{row['id']}")["data"] == ask(shop, f"{kind}/{row['id']}/?include_related=")["data"] == row


@pytest.mark.parametrize(
    ("outcome", "status", "word", "flags"),
    [
        ("", 3, "Running", ["in_progress", "is_running"]),
        ("succeeded", 10, "Success", ["is_complete", "is_success"]),
        ("warned", 10, "Success", ["is_complete", "is_success"]),
        ("failed", 20, "Error", ["is_complete", "is_error"]),
        ("cancelled", 30, "Cancelled", ["is_cancelled", "is_complete"]),
    ],
)
def test_a_run_has_the_status_that_clients_poll_for(shop: Acme, outcome: str, status: int, word: str, flags: list[str]) -> None:
    run = run_of(shop.job, outcome, git_branch="main", trigger={"cause": "cron", "category": "scheduled"})
    data = ask(shop, f"runs/{run.pk}/")["data"]
    assert (data["status"], data["status_humanized"], data["runbell_outcome"]) == (status, word, outcome or None)
    assert sorted(name for name, value in data.items() if value is True) == flags
    assert data["href"].endswith(f"/a/{shop.account.pk}/runs/{run.pk}")
    assert (data["job_id"], data["job_definition_id"], data["git_branch"]) == (shop.job.pk, shop.job.pk, "main")
    assert data["trigger"] == {"cause": "cron", "cause_category": "scheduled"}
    assert data["duration"] == ("25:01:01" if outcome else None)
    assert ids(shop, f"runs/?status={status}") == [run.pk]


def test_runs_are_filtered_and_paged_as_clients_do(shop: Acme) -> None:
    failed = run_of(shop.job, Outcome.FAILED)
    later = run_of(second_job(shop), Outcome.WARNED, at=NOW + timedelta(days=3))
    run_of(shop.job, Outcome.FAILED, merged_into=failed)
    assert ids(shop, "runs?status__in=[10, 20]&order_by=-created_at&limit=") == [later.pk, failed.pk]
    assert ids(shop, f"runs/?id__gt={failed.pk}&status__in=1,2,3") == []
    assert ids(shop, f"runs/?project_id__in=[{later.job.environment.project_id}]") == [later.pk]
    span = '["2026-11-26T00:00:00Z", "2026-11-30T00:00:00+00:00"]'
    answer = ask(shop, f"runs?finished_at__range={span.replace('+', '%2B')}&order_by=finished_at&limit=100&offset=0")
    assert [row["id"] for row in answer["data"]] == [later.pk]
    page = ask(shop, "runs?limit=1&offset=1&order_by=-id")
    assert [row["id"] for row in page["data"]] == [failed.pk]
    assert page["extra"] == {
        "filters": {"limit": 1, "offset": 1},
        "order_by": "-id",
        "pagination": {"count": 1, "total_count": 2},
    }


def test_names_and_states_are_filters(shop: Acme) -> None:
    other = second_job(shop)
    assert ids(shop, "jobs/?name__icontains=NIGHT") == [shop.job.pk]
    assert ids(shop, f"jobs/?pk__in=[{shop.job.pk},{other.pk}]&order_by=-name") == [shop.job.pk, other.pk]
    Job.objects.filter(pk=other.pk).update(state=State.DELETED)
    assert ids(shop, "jobs/") == [shop.job.pk]
    assert ids(shop, "jobs/?state=deleted") == [other.pk]
    assert ids(shop, "jobs/?state=all&unknown_filter=1") == [shop.job.pk, other.pk]


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "offset=x", "order_by=password", "status__in=[a]", "project_id=0x7", "pk=99999999999999999", "created_at__range=[1,2]"],
)
def test_a_filter_that_cannot_be_read_is_named(shop: Acme, query: str) -> None:
    assert ask(shop, f"runs/?{query}", code=400)["status"]["user_message"].startswith(query.split("=")[0])


@pytest.mark.parametrize("kind", KINDS)
def test_another_accounts_things_are_not_there(shop: Acme, kind: str) -> None:
    other = acme("Other", "other.test")
    run_of(other.job)
    theirs = ids(other, kind)[0]
    ask(shop, f"{kind}/{theirs}/", code=404)
    ask(shop, f"/api/v2/accounts/{other.account.pk}/{kind}/", code=404)
    assert theirs not in ids(shop, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_held_to_a_project_sees_that_project(shop: Acme, kind: str) -> None:
    project = shop.job.environment.project
    held = create_token(member=shop.admin, name="held", permissions=[Permission.READ], now=NOW, project=project)
    run_of(second_job(shop))
    run_of(shop.job)
    everything, seen = ids(shop, kind), ids(shop, kind, held)
    assert (len(everything), len(seen)) == (2, 1)
    for key in everything:
        ask(shop, f"{kind}/{key}", held, code=200 if key in seen else 404)


@pytest.mark.parametrize("kind", KINDS)
def test_reading_takes_the_right_to_read(shop: Acme, kind: str) -> None:
    run_of(shop.job)
    reports = create_token(member=shop.members[Role.VIEWER], name="r", permissions=[Permission.REPORT], now=NOW)
    for path in (kind, f"{kind}/{ids(shop, kind)[0]}"):
        assert "permission" in ask(shop, path, reports, code=403)["status"]["user_message"]


def test_what_is_not_there_is_a_404_that_clients_can_read(shop: Acme) -> None:
    for path in ("nonsense/", "jobs/abc/", "runs/1/artifacts/", f"jobs/{10**30}/", "jobs/0/", "/api/v2/accounts/x/jobs/"):
        assert ask(shop, path, code=404)["data"] is None
    ask(shop, "/api/v2/accounts/", token="rb_unknown", code=401)


def test_every_field_filter_and_order_is_in_the_reference(shop: Acme) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/admin-api.md").read_text()
    shop.destination()
    fields = set(ask(shop, "notifications/")["data"][0])
    fields |= {*setting_lists.FILTERS, *setting_lists.ORDERS}
    fields |= {
        name for each in (listings.PROJECTS, listings.ENVIRONMENTS, listings.JOBS, listings.RUNS) for name in (*each.filters, *each.orders)
    }
    assert {field for field in fields if f"`{field}`" not in page} == set()
