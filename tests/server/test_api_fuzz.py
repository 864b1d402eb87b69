"""The whole OpenAPI schema, fuzzed: nothing fails inside, every answer is a documented one, and no account reaches into another.

RUNBELL_TEST_FUZZ_EXAMPLES: so many requests of each operation, and what schemathesis makes of each limit in the schema; `make fuzz`.
"""

import gzip
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.apps import apps
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, models, transaction
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as trying
from hypothesis import strategies as st
from pytest_django import Settings
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from runbell.core.permissions import Permission, Role
from runbell.core.runs import Outcome, RunState
from runbell.server.db.models import Account, Destination, Environment, Job, Project, Run, RunKey, Step
from runbell.server.services.artifacts import Place, keep
from runbell.server.services.tokens import create_token
from tests.server.people import NOW, Acme, acme

EXAMPLES = int(os.environ.get("RUNBELL_TEST_FUZZ_EXAMPLES", "0"))
CONFIG = schemathesis.Config.from_dict(
    {
        "generation": {"max-examples": EXAMPLES or 8, "with-security-parameters": False, "no-shrink": not EXAMPLES},
        "phases": {"coverage": {"enabled": bool(EXAMPLES)}, "examples": {"enabled": False}},
        "analysis": {"constants": {"enabled": False}},
    }
)
SECRET = "Zanzibar"  # in every word of the other account, and nowhere else
KEYS = {"projects": Project, "environments": Environment, "jobs": Job, "runs": Run, "notifications": Destination}
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def _schema(path: str) -> Any:
    return schemathesis.openapi.from_wsgi(path, get_wsgi_application(), config=CONFIG)


NATIVE, V2, V3 = (_schema(f"/api/{version}openapi.json") for version in ("", "v2/", "v3/"))


class World:
    """The account of the tokens, and one that nobody here may know of."""

    def __init__(self) -> None:
        self.mine, self.theirs = acme(), acme(f"{SECRET} Ltd", f"{SECRET.lower()}.test")
        for kind in (Project, Environment, Job):
            kind._default_manager.filter(account=self.theirs.account).update(name=f"{SECRET} {kind.__name__}")
        for shop, word in ((self.mine, "mine"), (self.theirs, SECRET)):
            run = Run.objects.create(
                account=shop.account,
                job=shop.job,
                state=RunState.FINISHED,
                outcome=Outcome.FAILED,
                started_at=NOW,
                received_at=NOW,
                git_branch=word,
                log_end=word,
            )
            RunKey.objects.create(account=shop.account, run=run, key=word)
            Step.objects.create(run=run, index=1, command="dbt build", outcome=Outcome.FAILED)
            keep(Place(run.pk, 1, "manifest.json"), f'{{"name": "{word}"}}'.encode(), now=NOW)
            address = f"team@{word}.example".lower()
            external = Destination.objects.create(
                account=shop.account,
                kind="email",
                address=address,
                address_key=address,
                public_id=word,
                created_by=shop.admin,
                created_at=NOW,
                updated_at=NOW,
            )
            shop.rule(external)
            shop.rule(shop.destination(), environment=True)
        self.tokens = ["", "rb_unknown"] + [_token(self.mine, permission) for permission in Permission]
        self.tokens += [_token(self.mine, *Permission, role=role) for role in Role]
        project = self.mine.job.environment.project
        self.tokens.append(create_token(member=self.mine.admin, name="held", permissions=list(Permission), now=NOW, project=project))
        self.before = self.of_theirs()

    def key(self, shop: Acme, name: str) -> int:
        if name == "users":
            return shop.admin.user_id
        found = KEYS[name]._default_manager.filter(account=shop.account).values_list("pk", flat=True).latest("pk")
        return int(found)

    def of_theirs(self) -> list[Any]:
        """Every row that leads to their account."""
        rows: list[Any] = list(Account.objects.filter(pk=self.theirs.account.pk).values())
        for model in apps.get_app_config("runbell").get_models():
            for field in model._meta.get_fields():
                if isinstance(field, models.ForeignKey) and field.related_model is Account:
                    rows += model._default_manager.filter(**{field.name: self.theirs.account}).order_by("pk").values()
        rules = apps.get_model("runbell", "Rule")._default_manager.filter(destination__account=self.theirs.account)
        return [*rows, *rules.order_by("pk").values()]


def _token(shop: Acme, *permissions: Permission, role: Role = Role.ACCOUNT_ADMIN) -> str:
    return create_token(member=shop.members[role], name=f"{role} {permissions}", permissions=permissions, now=NOW)


@pytest.fixture
def world(db: None, settings: Settings) -> Iterator[World]:
    """As in Django's own client, a request does not end the transaction of the test."""
    settings.RUNBELL_MAX_ARTIFACT = 100_000
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield World()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@schemathesis.pytest.parametrize(native=NATIVE, v2=V2, v3=V3)
@NATIVE.given(data=st.data())  # type: ignore[untyped-decorator]
@trying(suppress_health_check=list(HealthCheck))
def test_no_request_breaks_the_server_or_reaches_another_account(case: Any, data: st.DataObject, world: World) -> None:
    token = data.draw(st.sampled_from(world.tokens), "token")
    _aim(case, world, data)
    with transaction.atomic():
        response = case.call(headers={"Authorization": f"Token {token}"} if token else {})
        said = gunzipped(response.content).decode("utf-8", "replace")
        case.validate_response(response, checks=CHECKS)
        assert SECRET.lower() not in said.lower()
        assert case.method == "GET" or world.of_theirs() == world.before
        transaction.set_rollback(True)


def gunzipped(body: bytes) -> bytes:
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body


def _aim(case: Any, world: World, data: st.DataObject) -> None:
    """Most generated ids and names lead nowhere: half of the requests name what is there, of one account or the other."""
    shop = data.draw(st.sampled_from([world.mine, world.mine, world.theirs, None]), "whose")
    if shop is None:
        return
    names = case.path_parameters
    if "account_id" in names:
        names["account_id"] = data.draw(st.sampled_from([world.mine, shop]), "account").account.pk
    if "project_id" in names:
        names["project_id"] = world.key(shop, "projects")
    if "step" in names:
        names.update(
            key="mine" if shop is world.mine else SECRET, step=1, name=data.draw(st.sampled_from(["manifest.json", "run_results.json"]))
        )
    elif "key" in names:
        names["key"] = world.key(shop, case.path.partition("/{key}")[0].rpartition("/")[2])
    if isinstance(case.body, dict):
        _aim_body(case.body, shop, world, data)


def _aim_body(body: dict[str, Any], shop: Acme, world: World, data: st.DataObject) -> None:
    place = shop.job.environment
    known = {
        "account_id": shop.account.pk,
        "user_id": shop.admin.user_id,
        "environment_id": place.pk,
        "project_id": place.project_id,
        "on_failure": [shop.job.pk],
        "runbell_environments": {"on_warning": [place.pk]},
        "external_email": f"pager@{shop.account.pk}.example",
        "job": {"project": place.project.name, "environment": place.name, "name": shop.job.name},
        "type": data.draw(st.sampled_from([1, 4]), "type"),
    }
    body.update({name: known[name] for name in data.draw(st.sets(st.sampled_from(sorted(known))), "known")})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/v2/accounts/1/jobs/1/artifacts/a%0Ab/", b'"code": 404'),
        ("/api/v3/accounts/%0A/", b'"code": 404'),
        ("/api/runbell/v2/nothing", b'"error": {"field": null'),
    ],
)
def test_where_no_route_leads_programs_are_told_so_in_json(client: Client, path: str, said: bytes) -> None:
    response = client.get(path)
    assert (response.status_code, response["Content-Type"]) == (404, "application/json")
    assert said in response.content
