"""Artifacts: left with a run by its reporter, listed and read as clients of the dbt Admin API do."""

import gzip
import json
import os
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from runbell.core.permissions import Permission, Role
from runbell.server.db.models import Artifact, ArtifactPart, Project, Run
from runbell.server.services.retention import Pruner
from runbell.server.services.tokens import create_token
from tests.server.people import NOW, Acme, acme
from tests.server.test_admin_v2 import ask
from tests.server.test_reports import FAILED, changed, post

MANIFEST = json.dumps(
    {"nodes": {f"model.shop.{n}": {"raw_code": os.urandom(9).hex(), "password": "hunter2"} for n in range(3_000)}}
).encode()


def put(name: str, body: bytes, token: str, *, step: int = 1, key: str = "cli:1", encoding: str = "") -> Any:
    url = f"/api/runbell/v1/runs/{key}/artifacts/{step}/{name}"
    headers = {"Authorization": f"Token {token}", "Content-Encoding": encoding}
    return Client().put(url, body, content_type="application/octet-stream", headers=headers)


def get(shop: Acme, path: str, token: str = "", **headers: str) -> Any:
    url = f"/api/v2/accounts/{shop.account.pk}/{path}"
    return Client().get(url, headers={"Authorization": f"Token {token or shop.token}", **headers})


def counted() -> tuple[int, int]:
    return Artifact.objects.count(), ArtifactPart.objects.count()


@pytest.fixture
def run(shop: Acme) -> Run:
    steps = [{"index": 1, "exit_code": 0}, {"index": 2, "exit_code": 1}]
    return Run.objects.get(pk=post(changed(steps=steps), shop.token).json()["id"])


def test_what_was_left_is_listed_and_read_without_its_secrets(shop: Acme, run: Run) -> None:
    assert ask(shop, f"runs/{run.pk}/artifacts/")["data"] == []
    packed = gzip.compress(MANIFEST)
    assert put("manifest.json", packed, shop.token, encoding="gzip").status_code == 201
    assert put("run_results.json", b'{"results": []}', shop.token, step=2).status_code == 201
    assert put("dbt.log", b"password=hunter2\n", shop.token, step=2).status_code == 201
    assert ask(shop, f"runs/{run.pk}/artifacts")["data"] == ["dbt.log", "manifest.json", "run_results.json"]
    assert ask(shop, f"runs/{run.pk}/artifacts/?step=2")["data"] == ["dbt.log", "run_results.json"]
    plain = get(shop, f"runs/{run.pk}/artifacts/manifest.json")
    assert (plain.status_code, plain["Content-Type"]) == (200, "application/json")
    assert plain.content == MANIFEST.replace(b"hunter2", b"hidden")
    zipped = get(shop, f"runs/{run.pk}/artifacts/manifest.json", **{"Accept-Encoding": "gzip, deflate"})
    assert (zipped["Content-Encoding"], gzip.decompress(zipped.content)) == ("gzip", plain.content)
    assert get(shop, f"runs/{run.pk}/artifacts/dbt.log").content == b"password=hidden\n"
    assert ArtifactPart.objects.filter(artifact__name="manifest.json").count() > 1
    data = ask(shop, f"runs/{run.pk}/")["data"]
    assert (data["artifacts_saved"], data["has_docs_generated"], data["has_sources_generated"]) == (True, False, False)


def test_a_step_is_asked_for_or_the_last_one_that_left_it(shop: Acme, run: Run) -> None:
    for step in (1, 2):
        put("run_results.json", b'{"step": %d}' % step, shop.token, step=step)
    put("sources.json", b'{"step": 1}', shop.token)
    assert get(shop, f"runs/{run.pk}/artifacts/run_results.json").json() == {"step": 2}
    assert get(shop, f"runs/{run.pk}/artifacts/run_results.json?step=1").json() == {"step": 1}
    assert get(shop, f"runs/{run.pk}/artifacts/sources.json?step=").json() == {"step": 1}
    ask(shop, f"runs/{run.pk}/artifacts/sources.json?step=2", code=404)
    ask(shop, f"runs/{run.pk}/artifacts/?step=two", code=400)


def test_a_job_gives_that_of_its_newest_run_which_succeeded(shop: Acme, run: Run) -> None:
    put("manifest.json", b'{"of": "failed"}', shop.token)
    ask(shop, f"jobs/{shop.job.pk}/artifacts/manifest.json", code=404)
    for number in (2, 3):
        post(changed(key=f"cli:{number}", steps=[{"index": 1, "exit_code": 0, "counts": {"warned": number - 2}}]), shop.token)
        put("manifest.json", b'{"of": %d}' % number, shop.token, key=f"cli:{number}")
    assert get(shop, f"jobs/{shop.job.pk}/artifacts/manifest.json/").json() == {"of": 3}


def test_the_first_one_stands(shop: Acme, run: Run) -> None:
    assert put("sources.json", b'{"n": 1}', shop.token).json() == {"run": run.pk, "step": 1, "name": "sources.json", "created": True}
    again = put("sources.json", b'{"n": 2}', shop.token)
    assert (again.status_code, again.json()["created"]) == (200, False)
    assert get(shop, f"runs/{run.pk}/artifacts/sources.json").json() == {"n": 1}


@pytest.mark.parametrize(
    ("name", "step", "body", "status", "field"),
    [
        ("manifest.json", 3, b"{}", 422, "step"),
        ("compiled.sql", 1, b"select 1", 422, "name"),
        ("manifest.json", 1, b'{"half":', 400, "body"),
        ("manifest.json", 1, b'"\xff"', 400, "body"),
        ("dbt.log", 1, b"x" * 1025, 413, "body"),
        ("manifest.json", 1, b'["' + b"x" * 1021 + b'"]', 413, "body"),
    ],
)
def test_bad_input_names_its_field_and_stores_nothing(
    shop: Acme, run: Run, settings: Settings, name: str, step: int, body: bytes, status: int, field: str
) -> None:
    settings.RUNBELL_MAX_ARTIFACT = 1024
    answer = put(name, body, shop.token, step=step)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
    assert counted() == (0, 0)


def test_a_small_body_that_inflates_past_the_limit_is_too_large(shop: Acme, run: Run, settings: Settings) -> None:
    settings.RUNBELL_MAX_ARTIFACT = 100_000
    answer = put("dbt.log", gzip.compress(b"x" * 100_001), shop.token, encoding="gzip")
    assert answer.json()["error"]["message"] == "must have at most 100000 bytes, inflated"
    assert answer.status_code == 413


def test_a_server_may_keep_none(shop: Acme, run: Run, settings: Settings) -> None:
    settings.RUNBELL_MAX_ARTIFACT = 0
    answer = put("sources.json", b"{}", shop.token)
    assert (answer.status_code, answer.json()["error"]["message"]) == (403, "This server keeps no artifacts.")


def test_who_may_leave_and_who_may_read(shop: Acme, run: Run) -> None:
    def token(*permissions: Permission, of: Acme = shop, role: Role = Role.ACCOUNT_ADMIN, **more: Any) -> str:
        return create_token(member=of.members[role], name="x", permissions=permissions, now=NOW, **more)

    finance = Project.objects.create(account=shop.account, name="finance", created_at=NOW)
    other = acme("Other", "other.test")
    post(FAILED, other.token)  # the same key, another run
    report, read = Permission.REPORT, Permission.READ
    assert put("sources.json", b"{}", token(report, role=Role.VIEWER)).status_code == 403
    assert put("sources.json", b"{}", token(read)).status_code == 403
    assert put("sources.json", b"{}", token(report, project=finance)).status_code == 404
    assert put("sources.json", b"{}", shop.token, key="cli:2").status_code == 404
    assert put("sources.json", b'{"of": "other"}', other.token).status_code == 201
    assert put("sources.json", b'{"of": "shop"}', token(report)).status_code == 201
    file = f"runs/{run.pk}/artifacts/sources.json"
    assert get(shop, file, token(read, role=Role.VIEWER)).json() == {"of": "shop"}
    for path in (f"runs/{run.pk}/artifacts", file, f"jobs/{shop.job.pk}/artifacts/sources.json"):
        assert ask(shop, path, token(report), code=403)["status"]["user_message"].startswith("You do not have permission")
        ask(shop, path, other.token, code=404)
        ask(shop, path, token(read, project=finance), code=404)
        ask(other, path, other.token, code=404)
    for path in (f"runs/{run.pk}/artifacts/manifest.json", f"runs/{run.pk}/artifacts/../sources.json"):
        ask(shop, path, code=404)


def test_they_go_along_when_two_runs_turn_out_to_be_one(shop: Acme, run: Run) -> None:
    post(changed(key="dbt:7"), shop.token)
    put("sources.json", b'{"of": "older"}', shop.token)
    put("sources.json", b'{"of": "younger"}', shop.token, key="dbt:7")
    put("manifest.json", b'{"of": "younger"}', shop.token, key="dbt:7")
    post(changed(key="cli:1", aliases=["dbt:7"]), shop.token)
    assert ask(shop, f"runs/{run.pk}/artifacts/")["data"] == ["manifest.json", "sources.json"]
    assert get(shop, f"runs/{run.pk}/artifacts/sources.json").json() == {"of": "older"}
    put("catalog.json", b"{}", shop.token, key="dbt:7")
    assert "catalog.json" in ask(shop, f"runs/{run.pk}/artifacts/")["data"]


def test_a_later_report_of_the_run_keeps_them(shop: Acme) -> None:
    started = post(changed(state="started", finished_at=None), shop.token).json()
    put("manifest.json", b"{}", shop.token)
    post(FAILED, shop.token)
    assert ask(shop, f"runs/{started['id']}/artifacts/")["data"] == ["manifest.json"]


def test_they_go_with_their_run(shop: Acme, run: Run) -> None:
    put("manifest.json", MANIFEST, shop.token)
    Run.objects.update(received_at=timezone.now() - timedelta(days=91))
    later = {"started_at": "2026-11-24T03:00:00Z", "finished_at": "2026-11-24T03:01:00Z", "steps": [{"index": 1, "exit_code": 0}]}
    assert post(changed(key="cli:2", **later), shop.token).status_code == 201
    put("manifest.json", b"{}", shop.token, key="cli:2")
    pruner, now = Pruner(), timezone.now()
    while pruner.run_due(now) <= now:
        pass
    assert not Run.objects.filter(pk=run.pk).exists()
    assert counted() == (1, 1)


def test_the_page_of_the_run_links_them(shop: Acme, run: Run) -> None:
    client, page = Client(), f"/a/{shop.account.pk}/runs/{run.pk}"
    client.force_login(shop.members[Role.VIEWER].user)
    before = client.get(page)
    assert "Artifacts" not in before.content.decode()
    put("manifest.json", b'{"a": 1}', shop.token, step=2)
    link = f"{page}/artifacts/2/manifest.json"
    assert f'href="{link}"' in client.get(page, headers={"If-None-Match": before["ETag"]}).content.decode()
    file = client.get(link)
    assert gzip.decompress(file.content) == b'{"a": 1}'
    assert (file["Content-Disposition"], file["Content-Type"]) == ('attachment; filename="manifest.json"', "application/octet-stream")
    assert client.get(f"{page}/artifacts/1/manifest.json").status_code == 404
