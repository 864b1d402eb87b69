"""Copy settings: what the preview says is what happens, at once or not at all, and can be taken back."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Destination, Environment, Job, Rule, SettingsCopy
from runbell.server.services import copies
from runbell.server.services.access import Actor
from runbell.server.services.copies import Wish
from runbell.server.services.destinations import save_setting
from runbell.server.services.setting_changes import Change
from tests.server.people import NOW, Acme, acme
from tests.server.test_aliases import merge
from tests.server.test_jobs_settings import add_job, rule
from tests.server.test_pages import sign_in

pytestmark = pytest.mark.django_db
Rows = set[tuple[int | None, int | None, str]]


def path(shop: Acme, rest: str = "") -> str:
    return f"/a/{shop.account.pk}/settings/notifications/copy{rest}"


def key(shop: Acme, role: Role) -> str:
    return f"m{shop.members[role].pk}"


def rules_of(shop: Acme, role: Role) -> Rows:
    found = Rule.objects.filter(destination__member=shop.members[role], destination__state=1)
    return set(found.values_list("job", "environment", "outcome"))


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def external(shop: Acme, address: str = "pager@partner.example") -> Destination:
    return Destination.objects.create(
        account=shop.account, kind="email", address=address, address_key=address, public_id=address[:22], created_at=NOW, updated_at=NOW
    )


@pytest.fixture
def ada(shop: Acme) -> Destination:
    """Fails for nightly, Warns for all jobs of Production, Fails for a job of Staging."""
    made = shop.destination()
    shop.rule(made)
    shop.rule(made, Outcome.WARNED, environment=True)
    rule(made, add_job(shop, "weekly", "Staging"))
    return made


def do(shop: Acme, client: Client | None = None, **fields: Any) -> tuple[Any, Any]:
    """The preview, and the answer to its own button."""
    client = client or sign_in(shop)
    form = {"what": "address", "from": key(shop, Role.ACCOUNT_ADMIN), "mode": "add", "step": "preview"} | fields
    preview = client.post(path(shop), form)
    found = re.search(r'name="expect" value="(\w+)"', preview.content.decode())
    return preview, client.post(path(shop), form | {"step": "copy", "expect": found[1] if found else ""})


class TestFromAnAddress:
    def test_to_a_member_without_a_setting_and_an_external_address(self, shop: Acme, ada: Destination) -> None:
        pager = external(shop)
        preview, done = do(shop, to=[key(shop, Role.VIEWER), str(pager.pk)])
        text = text_of(preview)
        for said in (
            "2 addresses change",
            "3 boxes come",
            "weekly · Staging",
            "comes: Fails",
            "All jobs of Production, also new ones",
            "comes: Warns",
        ):
            assert said in text
        assert done["Location"] == path(shop)
        assert rules_of(shop, Role.VIEWER) == rules_of(shop, Role.ACCOUNT_ADMIN)
        assert Rule.objects.filter(destination=pager).count() == 3
        assert set(Rule.objects.exclude(destination=ada).values_list("set_by", flat=True)) == {shop.admin.pk}

    def test_adding_keeps_what_they_have_and_replacing_does_not(self, shop: Acme, ada: Destination) -> None:
        dana, vera = shop.destination(Role.DEVELOPER), shop.destination(Role.VIEWER)
        for destination in (dana, vera):
            rule(destination, shop.job, "succeeded")
        kept = rule(dana, shop.job)
        do(shop, to=[key(shop, Role.DEVELOPER)])
        preview, _ = do(shop, to=[key(shop, Role.VIEWER)], mode="replace")
        assert "1 box goes" in text_of(preview)
        assert "goes: Succeeds" in text_of(preview)
        assert rules_of(shop, Role.DEVELOPER) == rules_of(shop, Role.ACCOUNT_ADMIN) | {(shop.job.pk, None, "succeeded")}
        assert rules_of(shop, Role.VIEWER) == rules_of(shop, Role.ACCOUNT_ADMIN)
        assert Rule.objects.filter(pk=kept.pk).exists()

    def test_one_environment_leaves_the_others_alone(self, shop: Acme, ada: Destination) -> None:
        dana, weekly = shop.destination(Role.DEVELOPER), Job.objects.get(name="weekly")
        rule(dana, weekly, "cancelled")
        do(shop, to=[key(shop, Role.DEVELOPER)], environment=shop.job.environment_id, mode="replace")
        production: Rows = {(shop.job.pk, None, "failed"), (None, shop.job.environment_id, "warned")}
        assert rules_of(shop, Role.DEVELOPER) == production | {(weekly.pk, None, "cancelled")}

    def test_one_revision_and_one_audit_entry_each_and_none_where_nothing_changes(self, shop: Acme, ada: Destination) -> None:
        dana, vera = shop.destination(Role.DEVELOPER), shop.destination(Role.VIEWER)
        do(shop, to=[key(shop, Role.DEVELOPER)])
        preview, _ = do(shop, everybody="1")
        assert "1 stays as it is" in text_of(preview)
        revisions = dict(Destination.objects.filter(member__isnull=False).values_list("member__user__email", "revision"))
        assert revisions == {"ada@acme.test": 1, "dana@acme.test": 2, "vera@acme.test": 2, "nina@acme.test": 2}
        entries = AuditEntry.objects.filter(action="notifications.copy")
        assert sorted(entries.values_list("subject", flat=True)) == ["dana@acme.test", "nina@acme.test", "vera@acme.test"]
        first = entries.get(subject="vera@acme.test")
        assert first.after["on_failure"] == sorted([shop.job.pk, Job.objects.get(name="weekly").pk])
        assert first.after["runbell_environments"] == {"on_warning": [shop.job.environment_id]}
        assert (dana.pk, vera.pk) == tuple(
            Destination.objects.filter(pk__in=[dana.pk, vera.pk]).order_by("pk").values_list("pk", flat=True)
        )

    def test_rules_of_deleted_jobs_are_neither_copied_nor_removed(self, shop: Acme, ada: Destination) -> None:
        dana, gone = shop.destination(Role.DEVELOPER), add_job(shop, "gone")
        kept = rule(dana, gone)
        rule(ada, gone, "succeeded")
        Job.objects.filter(pk=gone.pk).update(state=2, deleted_at=NOW)
        do(shop, to=[key(shop, Role.DEVELOPER)], mode="replace")
        assert Rule.objects.filter(pk=kept.pk).exists()
        assert not Rule.objects.filter(destination=dana, job=gone, outcome="succeeded").exists()


class TestFromAnEnvironment:
    def test_by_equal_names_for_many_addresses(self, shop: Acme, ada: Destination) -> None:
        staging = add_job(shop, "nightly", "Staging")
        rule(ada, add_job(shop, "only here"))
        shop.rule(shop.destination(Role.VIEWER))
        preview, _ = do(shop, what="environment", everybody="1", environment=shop.job.environment_id, to_environment=staging.environment_id)
        text = text_of(preview)
        assert "2 addresses change" in text
        assert "These jobs have no job of that name there" in text
        assert "only here" in text
        weekly = Job.objects.get(name="weekly")
        here = {
            choice
            for choice in rules_of(shop, Role.ACCOUNT_ADMIN)
            if choice[0] in (staging.pk, weekly.pk) or choice[1] == staging.environment_id
        }
        assert here == {(staging.pk, None, "failed"), (None, staging.environment_id, "warned"), (weekly.pk, None, "failed")}
        assert (staging.pk, None, "failed") in rules_of(shop, Role.VIEWER)

    def test_replacing_acts_on_the_second_environment_alone(self, shop: Acme, ada: Destination) -> None:
        staging, weekly = add_job(shop, "nightly", "Staging"), Job.objects.get(name="weekly")
        before = {choice for choice in rules_of(shop, Role.ACCOUNT_ADMIN) if choice[0] != weekly.pk}
        places: dict[str, Any] = {"environment": shop.job.environment_id, "to_environment": staging.environment_id}
        do(shop, what="environment", to=[key(shop, Role.ACCOUNT_ADMIN)], mode="replace", **places)
        assert rules_of(shop, Role.ACCOUNT_ADMIN) == before | {(staging.pk, None, "failed"), (None, staging.environment_id, "warned")}


class TestSafety:
    def test_a_save_after_the_preview_stops_it(self, shop: Acme, ada: Destination) -> None:
        client, dana = sign_in(shop), shop.destination(Role.DEVELOPER)
        form = {"what": "address", "from": key(shop, Role.ACCOUNT_ADMIN), "to": key(shop, Role.DEVELOPER)}
        preview = client.post(path(shop), form | {"step": "preview"}).content.decode()
        expect = re.search(r'name="expect" value="(\w+)"', preview)
        assert expect
        save_setting(dana.pk, Change(jobs={Outcome.SUCCEEDED: {shop.job.pk}}), actor=Actor(shop.admin), now=NOW)
        answer = client.post(path(shop), form | {"step": "copy", "expect": expect[1]})
        assert answer.status_code == 409
        assert "Settings were saved since the preview" in text_of(answer)
        assert rules_of(shop, Role.DEVELOPER) == {(shop.job.pk, None, "succeeded")}

    def test_twice_is_once(self, shop: Acme, ada: Destination) -> None:
        client = sign_in(shop)
        preview, _ = do(shop, client, to=[key(shop, Role.VIEWER)])
        expect = re.search(r'name="expect" value="(\w+)"', preview.content.decode())
        assert expect
        again = client.post(
            path(shop), {"from": key(shop, Role.ACCOUNT_ADMIN), "to": key(shop, Role.VIEWER), "step": "copy", "expect": expect[1]}
        )
        assert again.status_code == 409
        assert SettingsCopy.objects.count() == 1

    def test_without_a_preview_nothing_is_copied(self, shop: Acme, ada: Destination) -> None:
        answer = sign_in(shop).post(path(shop), {"from": key(shop, Role.ACCOUNT_ADMIN), "to": key(shop, Role.VIEWER), "step": "copy"})
        assert answer.status_code == 409
        assert rules_of(shop, Role.VIEWER) == set()

    def test_bad_input_is_named(self, shop: Acme, ada: Destination) -> None:
        nobody, _ = do(shop, to=[])
        itself, _ = do(shop, to=[key(shop, Role.ACCOUNT_ADMIN)])
        assert (nobody.status_code, itself.status_code) == (422, 422)
        assert "Choose at least one other address." in text_of(itself)
        place = shop.job.environment_id
        same, _ = do(shop, what="environment", everybody="1", environment=place, to_environment=place)
        assert "Choose another environment than the first." in text_of(same)
        for strange in ("m0", "0", "x", "m99999999999999999999"):
            assert do(shop, to=[strange])[0].status_code == 404

    def test_nothing_of_another_account(self, shop: Acme, ada: Destination) -> None:
        other = acme("Other", "other.test")
        theirs = external(other, "theirs@partner.example")
        assert do(shop, to=[key(other, Role.VIEWER)])[0].status_code == 404
        assert do(shop, to=[str(theirs.pk)])[0].status_code == 404
        theirs_too: dict[str, Any] = {"from": key(other, Role.ACCOUNT_ADMIN)}
        assert do(shop, everybody="1", **theirs_too)[0].status_code == 404
        assert do(shop, everybody="1", environment=other.job.environment_id)[0].status_code == 404
        do(shop, everybody="1")
        assert not Rule.objects.filter(destination__account=other.account).exists()

    def test_a_member_who_left_is_no_target(self, shop: Acme, ada: Destination) -> None:
        member = shop.members[Role.DEVELOPER]
        member.is_active = False
        member.save()
        do(shop, everybody="1")
        assert rules_of(shop, Role.DEVELOPER) == set()


class TestUndo:
    def copied(self, shop: Acme, **fields: Any) -> int:
        _, done = do(shop, **fields)
        assert done.status_code == 302, done.content
        return SettingsCopy.objects.latest("pk").pk

    def test_it_is_as_it_was_and_only_once(self, shop: Acme, ada: Destination) -> None:
        dana = shop.destination(Role.DEVELOPER)
        mine = Rule.objects.create(destination=dana, job=shop.job, outcome="cancelled", set_by=shop.members[Role.DEVELOPER], set_at=NOW)
        kept = rule(dana, shop.job)
        copy = self.copied(shop, everybody="1", mode="replace")
        client = sign_in(shop)
        assert "3 addresses, ada@acme.test" in text_of(client.get(path(shop)))
        assert client.post(path(shop, f"/{copy}/undo")).status_code == 302
        assert "3 addresses are as they were." in text_of(client.get(path(shop)))
        assert set(Rule.objects.filter(destination=dana).values_list("outcome", "set_by")) == {
            ("cancelled", mine.set_by_id),
            ("failed", None),
        }
        assert Rule.objects.filter(pk=kept.pk).exists()
        assert rules_of(shop, Role.VIEWER) == set()
        assert AuditEntry.objects.filter(action="notifications.copy_undo").count() == 3
        assert client.post(path(shop, f"/{copy}/undo")).status_code == 404

    def test_those_saved_since_are_left_alone_and_named(self, shop: Acme, ada: Destination) -> None:
        dana = shop.destination(Role.DEVELOPER)
        copy = self.copied(shop, to=[key(shop, Role.DEVELOPER), key(shop, Role.VIEWER)])
        save_setting(dana.pk, Change(jobs={Outcome.SUCCEEDED: {shop.job.pk}}), actor=Actor(shop.admin), now=NOW)
        client = sign_in(shop)
        client.post(path(shop, f"/{copy}/undo"))
        assert "1 address is as it was. Left alone, because their settings were saved since: dana@acme.test." in text_of(
            client.get(path(shop))
        )
        assert rules_of(shop, Role.VIEWER) == set()
        assert len(rules_of(shop, Role.DEVELOPER)) == 4

    def test_only_for_24_hours(self, shop: Acme, ada: Destination) -> None:
        copy = self.copied(shop, to=[key(shop, Role.VIEWER)])
        SettingsCopy.objects.update(at=timezone.now() - timedelta(hours=24, minutes=1))
        client = sign_in(shop)
        assert client.post(path(shop, f"/{copy}/undo")).status_code == 404
        assert "Copied in the last 24 hours" not in text_of(client.get(path(shop)))

    def test_a_job_merged_away_since_gets_no_rule_back(self, shop: Acme, ada: Destination) -> None:
        dana, typo = shop.destination(Role.DEVELOPER), add_job(shop, "nightyl")
        rule(dana, typo)
        copy = self.copied(shop, to=[key(shop, Role.DEVELOPER)], mode="replace")
        merge(shop, typo, shop.job)
        sign_in(shop).post(path(shop, f"/{copy}/undo"))
        assert not Rule.objects.filter(job=typo).exists()


class TestDoors:
    @pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER])
    def test_others_may_not(self, shop: Acme, ada: Destination, role: Role) -> None:
        do(shop, to=[key(shop, Role.VIEWER)])
        copy, client = SettingsCopy.objects.get(), sign_in(shop, role)
        preview, done = do(shop, client, everybody="1")
        assert {client.get(path(shop)).status_code, preview.status_code, done.status_code} == {403}
        assert client.post(path(shop, f"/{copy.pk}/undo")).status_code == 403

    def test_a_notification_manager_may(self, shop: Acme, ada: Destination) -> None:
        _, done = do(shop, sign_in(shop, Role.NOTIFICATION_MANAGER), to=[key(shop, Role.VIEWER)])
        assert done.status_code == 302

    def test_strangers_find_nothing(self, shop: Acme, ada: Destination) -> None:
        do(shop, to=[key(shop, Role.VIEWER)])
        other = acme("Other", "other.test")
        client, copy = sign_in(other), SettingsCopy.objects.get()
        assert {client.get(path(shop)).status_code, client.post(path(other, f"/{copy.pk}/undo")).status_code} == {404}

    def test_the_page_costs_the_same_with_many_addresses(
        self, shop: Acme, ada: Destination, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        for number in range(20):
            external(shop, f"pager{number}@partner.example")
        client = sign_in(shop)
        client.get(path(shop))
        with django_assert_max_num_queries(8):
            client.get(path(shop))
        plan = copies.plan_copy(Actor(shop.admin), Wish(source=key(shop, Role.ACCOUNT_ADMIN), everybody=True))
        with django_assert_max_num_queries(6):
            copies.plan_copy(Actor(shop.admin), Wish(source=key(shop, Role.ACCOUNT_ADMIN), everybody=True))
        with django_assert_max_num_queries(10 + 10 * len(plan.lines)):
            copies.copy_settings(
                Actor(shop.admin), Wish(source=key(shop, Role.ACCOUNT_ADMIN), everybody=True), expect=plan.fingerprint, now=NOW
            )
        assert Rule.objects.count() == 3 * (len(plan.lines) + 1)
        assert Environment.objects.count() == 2
