"""Notification settings through the dbt Admin API: what its clients send, who may, and what never happens."""

import json
from typing import Any

import pytest
from django.test import Client

from runbell.core.permissions import Permission, Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Destination, Job, Member, Project, Rule, State
from runbell.server.services.members import add_member
from runbell.server.services.tokens import create_token
from tests.server.people import NOW, PASSWORD, Acme, acme

ON = ("on_cancel", "on_failure", "on_success", "on_warning")
NONE: dict[str, list[int]] = {name: [] for name in ON}


class Caller:
    """One client of the API, with the token it has."""

    def __init__(self, shop: Acme, token: str = "", scheme: str = "Token") -> None:
        self.base = f"/api/v2/accounts/{shop.account.pk}/notifications"
        self.headers = {"Authorization": f"{scheme} {token or shop.token}"}

    def __call__(self, method: str, path: str = "/", body: object = None, **headers: str) -> tuple[int, Any]:
        data = json.dumps(body) if body is not None else ""
        response = Client().generic(method, self.base + path, data, content_type="application/json", headers={**self.headers, **headers})
        self.etag = response.get("ETag", "")
        return response.status_code, json.loads(response.content) if response.content else None

    def create(self, **fields: Any) -> Any:
        code, answer = self("POST", "/", fields)
        assert (code, answer["status"]["code"]) == (201, 201), answer
        return answer["data"]

    def refused(self, method: str, path: str, body: object, code: int = 400, **headers: str) -> str:
        """The refusal's words; it must have changed nothing."""
        before = world()
        status, answer = self(method, path, body, **headers)
        assert status == answer["status"]["code"] == code, answer
        assert answer["status"]["is_success"] is False
        assert answer["data"] is None
        assert world() == before
        return str(answer["status"]["user_message"])


def world() -> list[Any]:
    rows = Destination.objects.values_list("pk", "revision", "state", "address").order_by("pk")
    return [*rows, *Rule.objects.values_list("destination", "job", "environment", "outcome").order_by("pk"), AuditEntry.objects.count()]


def member_token(shop: Acme, role: Role, *permissions: Permission) -> str:
    return create_token(member=shop.members[role], name=role.value, permissions=permissions or list(Permission), now=NOW)


def external(shop: Acme, address: str = "team@partner.example", **fields: Any) -> dict[str, Any]:
    return {
        **NONE,
        "account_id": shop.account.pk,
        "user_id": shop.admin.user_id,
        "type": 4,
        "state": 1,
        "external_email": address,
        **fields,
    }


def own(shop: Acme, role: Role = Role.ACCOUNT_ADMIN, **fields: Any) -> dict[str, Any]:
    user_id = shop.members[role].user_id
    return {**NONE, "account_id": shop.account.pk, "user_id": user_id, "type": 1, "state": 1, "external_email": None, **fields}


@pytest.fixture
def call(shop: Acme) -> Caller:
    return Caller(shop)


def test_the_object_has_every_field_of_the_dbt_platform(shop: Acme, call: Caller) -> None:
    made = call.create(**external(shop, on_failure=[shop.job.pk]))
    assert {name: value for name, value in made.items() if name not in ("id", "created_at", "updated_at")} == {
        "account_id": shop.account.pk,
        "user_id": shop.admin.user_id,
        "type": 4,
        "external_email": "team@partner.example",
        "slack_channel_id": None,
        "slack_channel_name": None,
        **NONE,
        "on_failure": [shop.job.pk],
        "runbell_environments": NONE,
        "state": 1,
        "user": {"first_name": "", "last_name": ""},
    }
    assert call("GET", f"/{made['id']}/")[1]["data"] == made


def test_dbtc_creates_lists_reads_updates_and_deletes(shop: Acme) -> None:
    call = Caller(shop, scheme="Bearer")
    made = call.create(**external(shop, on_warning=[shop.job.pk]))
    _, found = call("GET", "/?external_email=team@partner.example&offset=0&limit=")
    assert [row["id"] for row in found["data"]] == [made["id"]]
    assert call("GET", f"/{made['id']}")[1]["data"]["on_warning"] == [shop.job.pk]
    assert call("POST", f"/{made['id']}/", {**made, "on_warning": []})[1]["data"]["on_warning"] == []
    assert call("DELETE", f"/{made['id']}/") == (204, None)
    assert call("GET", f"/{made['id']}/")[0] == 404
    assert call("DELETE", f"/{made['id']}/")[0] == 404


def test_a_recipient_has_one_setting_and_a_new_one_gets_a_new_id(shop: Acme, call: Caller) -> None:
    mine, team = call.create(**own(shop)), call.create(**external(shop))
    assert call.refused("POST", "/", own(shop)) == f"Key (account_id, user_id)=({shop.account.pk}, {shop.admin.user_id}) already exists."
    again = call.refused("POST", "/", external(shop, "Team@PARTNER.example"))
    assert again == f"Key (account_id, external_email)=({shop.account.pk}, Team@PARTNER.example) already exists."
    call("DELETE", f"/{team['id']}/")
    assert call.create(**external(shop))["id"] > max(team["id"], mine["id"])


def test_an_address_of_a_member_is_not_external(shop: Acme, call: Caller) -> None:
    add_member(account=acme("Other", "other.test").account, email="zoe@else.example", role=Role.VIEWER, password=PASSWORD, now=NOW)
    add_member(account=shop.account, email="eva@acme.example", role=Role.VIEWER, password=PASSWORD, now=NOW)
    assert "address of a member" in call.refused("POST", "/", external(shop, "Eva@ACME.example"))
    assert call.create(**external(shop, "zoe@else.example"))["external_email"] == "zoe@else.example"  # a member, but of others


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": 2}, "external_email: goes with type 4"),
        ({"type": 3}, "type: 3 is a webhook"),
        ({"type": 5}, "external_email: goes with type 4"),
        ({"type": 99}, "type: must be 1 (a member's e-mail), 2 or 5 (a Slack channel) or 4 (an external e-mail)"),
        ({"type": True}, "type: must be a whole number"),
        ({"type": None}, "type: is required"),
        ({"state": 2}, "state: must be 1 for a new setting"),
        ({"state": 3}, "state: must be between 1 and 2"),
        ({"account_id": 99}, "account_id: is not the account"),
        ({"user_id": 987654}, "user_id: 987654 is no active member"),
        ({"external_email": None}, "external_email: is required"),
        ({"external_email": "nobody"}, "external_email: is not an email address"),
        ({"external_email": "a@b.example\r\nBcc: x@y.example"}, "external_email: must not contain line breaks"),
        ({"external_email": "a" * 300 + "@b.example"}, "external_email: must have at most"),
        ({"type": 1}, "external_email: goes with type 4"),
        ({"on_failure": "7"}, "on_failure: must be a list"),
        ({"on_failure": ["7"]}, "on_failure[0]: must be a whole number"),
        ({"on_failure": [None]}, "on_failure[0]: must be a whole number"),
        ({"on_failure": [0]}, "on_failure[0]: must be between"),
        ({"on_failure": [2**70]}, "on_failure[0]: must be between"),
        ({"on_failure": list(range(1, 6000))}, "on_failure: must have at most 5000 entries"),
        ({"on_failure": [777_001, 777_002]}, "on_failure: there is no job 777001, 777002 in this account"),
        ({"runbell_environments": {"on_failure": [777_001]}}, "runbell_environments.on_failure: there is no environment 777001"),
        ({"runbell_environments": [1]}, "runbell_environments: must be a JSON object"),
    ],
)
def test_bad_input_names_its_field_and_changes_nothing(shop: Acme, call: Caller, fields: dict[str, Any], words: str) -> None:
    assert call.refused("POST", "/", external(shop) | fields).startswith(words)


def test_a_body_that_is_no_object_is_refused(call: Caller) -> None:
    assert "must be a JSON object" in call.refused("POST", "/", [1])
    broken = Client().post(f"{call.base}/", "{", content_type="application/json", headers=call.headers)
    assert (broken.status_code, broken.json()["status"]["code"]) == (400, 400)


def test_what_curl_sends_is_read(shop: Acme, call: Caller) -> None:
    """`curl -d` calls any body a form; lists that are not there are empty on creation."""
    body = json.dumps({"type": 4, "external_email": "team@partner.example", "on_failure": [shop.job.pk]})
    sent = Client().post(f"{call.base}", body, content_type="application/x-www-form-urlencoded", headers=call.headers)
    data = sent.json()["data"]
    assert (sent.status_code, data["on_failure"], data["on_success"]) == (201, [shop.job.pk], [])
    assert data["user_id"] == shop.admin.user_id


def test_jobs_of_another_account_are_named_and_refused(shop: Acme, call: Caller) -> None:
    other = acme("Other", "other.test")
    made = call.create(**external(shop, on_success=[shop.job.pk]))
    words = call.refused("POST", f"/{made['id']}/", {**made, "on_failure": [shop.job.pk, other.job.pk]})
    assert words == f"on_failure: there is no job {other.job.pk} in this account"
    words = call.refused("POST", "/", own(shop, runbell_environments={"on_failure": [other.job.environment_id]}))
    assert words == f"runbell_environments.on_failure: there is no environment {other.job.environment_id} in this account"


def test_what_is_another_accounts_is_not_there(shop: Acme, call: Caller) -> None:
    other = acme("Other", "other.test")
    theirs = other.destination()
    for method, body in (("GET", None), ("POST", external(shop)), ("DELETE", None)):
        call.refused(method, f"/{theirs.pk}/", body, 404)
    call.base = f"/api/v2/accounts/{other.account.pk}/notifications"
    for method, path in (("GET", "/"), ("POST", "/"), ("GET", f"/{theirs.pk}/"), ("DELETE", f"/{theirs.pk}/")):
        call.refused(method, path, external(shop), 404)


def test_an_update_names_all_four_lists_and_keeps_who_and_what_it_is(shop: Acme, call: Caller) -> None:
    made = call.create(**own(shop, on_failure=[shop.job.pk]))
    path = f"/{made['id']}/"
    assert call.refused("POST", path, {"type": 1, "on_failure": []}).startswith("on_cancel: is required")
    assert "cannot change" in call.refused("POST", path, {**made, "type": 4, "external_email": "x@y.example"})
    assert "cannot change" in call.refused("POST", path, {**made, "user_id": shop.members[Role.DEVELOPER].user_id})
    assert "is not the setting" in call.refused("POST", path, {**made, "id": made["id"] + 1})


def test_environment_rules_are_set_when_given_and_else_left_alone(shop: Acme, call: Caller) -> None:
    here = shop.job.environment_id
    made = call.create(**own(shop, runbell_environments={"on_failure": [here], "on_warning": [here]}))
    _, kept = call("POST", f"/{made['id']}/", own(shop))
    assert kept["data"]["runbell_environments"] == {**NONE, "on_failure": [here], "on_warning": [here]}
    _, less = call("POST", f"/{made['id']}/", own(shop, on_cancel=[shop.job.pk], runbell_environments={"on_failure": []}))
    assert less["data"]["runbell_environments"] == {**NONE, "on_warning": [here]}
    call("DELETE", f"/{made['id']}/")
    assert not Rule.objects.exists()


def test_a_rule_that_stays_keeps_who_set_it(shop: Acme, call: Caller) -> None:
    destination = shop.destination()
    rule = shop.rule(destination)
    call("POST", f"/{destination.pk}/", own(shop, on_failure=[shop.job.pk], on_success=[shop.job.pk]))
    kept = Rule.objects.get(outcome=Outcome.FAILED)
    assert (kept.pk, kept.set_at, Rule.objects.count()) == (rule.pk, NOW, 2)


def test_rules_of_a_deleted_job_are_not_shown(shop: Acme, call: Caller) -> None:
    made = call.create(**own(shop, on_failure=[shop.job.pk]))
    Job.objects.update(state=State.DELETED)
    assert call("GET", f"/{made['id']}/")[1]["data"]["on_failure"] == []
    assert "there is no job" in call.refused("POST", f"/{made['id']}/", made)


def test_the_revision_rises_with_each_save_and_guards_it_when_asked(shop: Acme, call: Caller) -> None:
    made = call.create(**own(shop))
    assert call.etag == '"1"'
    path = f"/{made['id']}/"
    call("POST", path, made, **{"If-Match": '"1"'})
    assert call.etag == '"2"'
    for stale in ('"1"', "W/nonsense", "9" * 40):
        assert "was changed since" in call.refused("POST", path, made, 412, **{"If-Match": stale})
    call.refused("DELETE", path, None, 412, **{"If-Match": '"1"'})
    assert call("GET", path)[0] == 200
    assert call.etag == '"2"'
    assert call("DELETE", path, None, **{"If-Match": '"2"'})[0] == 204


def test_a_moved_external_address_voids_the_links_in_old_mails(shop: Acme, call: Caller) -> None:
    made, other = call.create(**external(shop)), call.create(**external(shop, "two@partner.example"))
    path = f"/{made['id']}/"
    call("POST", path, {**made, "external_email": "TEAM@partner.example"})  # the same mailbox
    assert Destination.objects.get(pk=made["id"]).generation == 1
    call("POST", path, {**made, "external_email": "new@partner.example"})
    moved = Destination.objects.get(pk=made["id"])
    assert (moved.address, moved.address_key, moved.generation) == ("new@partner.example", "new@partner.example", 2)
    assert "already exists." in call.refused("POST", path, {**made, "external_email": other["external_email"]})


def test_the_creator_of_an_external_address_is_an_active_member(shop: Acme, call: Caller) -> None:
    made, nina = call.create(**external(shop)), shop.members[Role.NOTIFICATION_MANAGER]
    path = f"/{made['id']}/"
    assert call("POST", path, {**made, "user_id": nina.user_id})[1]["data"]["user_id"] == nina.user_id
    Member.objects.filter(pk=shop.members[Role.DEVELOPER].pk).update(is_active=False)
    gone = shop.members[Role.DEVELOPER].user_id
    assert "is no active member" in call.refused("POST", path, {**made, "user_id": gone})
    assert "is no active member" in call.refused("POST", "/", own(shop, Role.DEVELOPER))
    nina.delete()
    assert call("GET", path)[1]["data"]["user_id"] is None


def test_every_write_is_audited_from_before_to_after(shop: Acme, call: Caller) -> None:
    AuditEntry.objects.all().delete()
    made = call.create(**external(shop))
    call("POST", f"/{made['id']}/", external(shop, on_failure=[shop.job.pk]))
    call("DELETE", f"/{made['id']}/")
    entries = list(AuditEntry.objects.order_by("pk"))
    assert [entry.action for entry in entries] == ["notifications.create", "notifications.update", "notifications.delete"]
    assert {(entry.subject, entry.member_id, entry.token_id is None) for entry in entries} == {
        ("team@partner.example", shop.admin.pk, False)
    }
    assert [(entry.before.get("on_failure"), entry.after.get("on_failure")) for entry in entries] == [
        (None, []),
        ([], [shop.job.pk]),
        ([shop.job.pk], None),
    ]


def test_a_developer_sees_and_sets_the_own_address_only(shop: Acme, call: Caller) -> None:
    admins, team = call.create(**own(shop)), call.create(**external(shop))
    dana = Caller(shop, member_token(shop, Role.DEVELOPER))
    mine = dana.create(**own(shop, Role.DEVELOPER, on_failure=[shop.job.pk]))
    assert [row["id"] for row in dana("GET")[1]["data"]] == [mine["id"]]
    assert dana("POST", f"/{mine['id']}/", {**mine, "on_failure": []})[0] == 200
    for row in (admins, team):
        dana.refused("GET", f"/{row['id']}/", None, 404)
        dana.refused("POST", f"/{row['id']}/", row, 404)
        dana.refused("DELETE", f"/{row['id']}/", None, 404)
    assert "permission" in dana.refused("POST", "/", own(shop, Role.VIEWER), 403)
    assert "permission" in dana.refused("POST", "/", external(shop, "x@y.example"), 403)
    assert dana("DELETE", f"/{mine['id']}/")[0] == 204


def test_a_viewer_may_only_look_and_leave(shop: Acme) -> None:
    mine = shop.destination(Role.VIEWER)
    vera = Caller(shop, member_token(shop, Role.VIEWER))
    body = own(shop, Role.VIEWER)
    assert vera("GET", f"/{mine.pk}/")[0] == 200
    assert "permission" in vera.refused("POST", f"/{mine.pk}/", body, 403)
    assert "permission" in vera.refused("POST", "/", body, 403)
    assert vera("DELETE", f"/{mine.pk}/")[0] == 204


def test_a_token_is_held_to_what_it_was_made_for(shop: Acme) -> None:
    mine = shop.destination()
    reads = Caller(shop, member_token(shop, Role.ACCOUNT_ADMIN, Permission.READ))
    assert reads("GET", f"/{mine.pk}/")[0] == 200
    reads.refused("POST", f"/{mine.pk}/", own(shop), 403)
    reads.refused("DELETE", f"/{mine.pk}/", None, 403)
    reports = Caller(shop, member_token(shop, Role.ACCOUNT_ADMIN, Permission.REPORT))
    reports.refused("GET", "/", None, 403)
    sets = Caller(shop, member_token(shop, Role.NOTIFICATION_MANAGER, Permission.NOTIFICATIONS))
    assert sets("POST", f"/{mine.pk}/", own(shop))[0] == 200


def test_a_token_held_to_a_project_sets_nothing_for_the_whole_account(shop: Acme) -> None:
    held = create_token(
        member=shop.admin, name="held", permissions=list(Permission), now=NOW, project=Project.objects.get(account=shop.account)
    )
    call = Caller(shop, held)
    mine = shop.destination()
    for method, path, body in (
        ("GET", "/", None),
        ("POST", "/", external(shop)),
        ("POST", f"/{mine.pk}/", own(shop)),
        ("DELETE", f"/{mine.pk}/", None),
    ):
        assert "held to one project" in call.refused(method, path, body, 403)


def test_no_token_no_answer(shop: Acme) -> None:
    for scheme, token in (("Token", "rb_abcdefgh_nonsense"), ("Basic", shop.token), ("Token", "ключ")):
        call = Caller(shop)
        call.headers = {"Authorization": f"{scheme} {token}"}
        call.refused("GET", "/", None, 401)


def test_the_list_is_paged_ordered_and_filtered(shop: Acme, call: Caller) -> None:
    mine = call.create(**own(shop))["id"]
    teams = [call.create(**external(shop, f"team{n}@partner.example"))["id"] for n in range(3)]
    gone = call.create(**external(shop, "gone@partner.example"))["id"]
    call("DELETE", f"/{gone}/")

    def ids(query: str) -> list[int]:
        return [row["id"] for row in call("GET", f"/?{query}")[1]["data"]]

    _, page = call("GET", "/?limit=2&offset=1&order_by=-id")
    assert [row["id"] for row in page["data"]] == [teams[1], teams[0]]
    assert page["extra"]["pagination"] == {"count": 2, "total_count": 4}
    assert (page["extra"]["filters"]["limit"], page["extra"]["filters"]["offset"], page["extra"]["order_by"]) == (2, 1, "-id")
    assert ids("type=1") == [mine]
    assert ids("type=4&external_email=TEAM1@partner.example") == [teams[1]]
    assert ids(f"user_id={shop.admin.user_id}") == [mine, *teams]
    assert ids("state=2") == [gone]
    assert ids("state=all") == [mine, *teams, gone]
    assert ids("type=2") == ids("slack_channel_id=C01") == []
    for query in ("limit=0", "limit=5000", "limit=x", "offset=-1", "order_by=secret", "state=5", "type=one", "user_id=1e9"):
        assert call.refused("GET", f"/?{query}", None).startswith(query.split("=")[0])
