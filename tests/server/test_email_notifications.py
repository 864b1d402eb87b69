"""Email notifications: who may look and set, what the two forms save, what happens when two save at once, what it costs."""

import gzip
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Destination, Environment, Job, Receipt, Rule, Run, State, Unsubscription
from tests.server.matrix_forms import base, facts, hidden, make_jobs, plain, save, sign_in, url
from tests.server.people import NOW, Acme, acme

pytestmark = pytest.mark.django_db
ALL = 0


def rules(destination: Destination | None = None) -> set[tuple[int | None, int | None, str]]:
    found = Rule.objects.filter(destination=destination) if destination else Rule.objects.all()
    return set(found.values_list("job", "environment", "outcome"))


def text(answer: Any) -> str:
    return str(answer.content.decode())


def external(shop: Acme, address: str = "pager@x.pagerduty.example") -> Destination:
    return Destination.objects.create(
        account=shop.account, kind="email", address=address, address_key=address, public_id=address[:22], created_at=NOW, updated_at=NOW
    )


class TestRoles:
    @pytest.mark.parametrize("role", [Role.ACCOUNT_ADMIN, Role.NOTIFICATION_MANAGER])
    def test_those_who_set_any_pick_members_and_external_addresses(self, shop: Acme, role: Role) -> None:
        outside, dana = external(shop), shop.members[Role.DEVELOPER]
        client = sign_in(shop, role)
        page = text(client.get(url(shop)))
        for words in ("Internal users", "External emails", "Add external email", "dana@acme.test", "pager@x.pagerduty.example"):
            assert words in page
        assert "dana@acme.test</strong> hears about no job" in text(client.get(url(shop, f"m{dana.pk}")))
        for to in (f"m{dana.pk}", str(outside.pk)):
            assert save(client, url(shop, to), [[shop.job.pk, "failed", "off", "on"]]).status_code == 302
        assert set(Rule.objects.values_list("destination__member", "set_by")) == {
            (dana.pk, shop.members[role].pk),
            (None, shop.members[role].pk),
        }

    def test_developers_see_their_own_address_as_text_and_set_it(self, shop: Acme) -> None:
        client = sign_in(shop, Role.DEVELOPER)
        page = text(client.get(url(shop)))
        assert 'name="to"' not in page
        assert "dana@acme.test" in page
        assert "vera@acme.test" not in page
        assert ">Edit</a>" in page
        assert save(client, url(shop), [[shop.job.pk, "failed", "off", "on"]]).status_code == 302
        assert Rule.objects.get().destination.member == shop.members[Role.DEVELOPER]

    @pytest.mark.parametrize("role", [Role.DEVELOPER, Role.VIEWER])
    def test_colleagues_and_external_addresses_are_forbidden_to_them(self, shop: Acme, role: Role) -> None:
        client, outside = sign_in(shop, role), external(shop)
        for to in (f"m{shop.admin.pk}", str(outside.pk), "m99999", "nonsense"):
            assert client.get(url(shop, to)).status_code == 403
            assert save(client, url(shop, to), [[shop.job.pk, "failed", "off", "on"]]).status_code == 403
        assert client.get(f"{base(shop)}/external").status_code == 403
        assert client.post(f"{base(shop)}/external/{outside.pk}/remove").status_code == 403
        assert not Rule.objects.exists()

    def test_viewers_read_their_boxes_and_change_nothing(self, shop: Acme) -> None:
        shop.rule(shop.destination(Role.VIEWER))
        client = sign_in(shop, Role.VIEWER)
        page = text(client.get(url(shop, edit=1)))
        assert "vera@acme.test</strong> hears about 1 of 1 jobs" in page
        assert "Unsubscribe from all email notifications" in page
        assert 'type="checkbox"' not in page
        assert ">Edit</a>" not in page
        assert save(client, url(shop), [[shop.job.pk, "failed", "on", "off"]]).status_code == 403
        assert Rule.objects.count() == 1

    def test_what_is_not_in_the_account_is_not_found(self, shop: Acme) -> None:
        other, client = acme("Other", "other.test"), sign_in(shop)
        gone = shop.members[Role.VIEWER]
        gone.is_active = False
        gone.save()
        for to in (f"m{other.admin.pk}", f"m{gone.pk}", str(external(other).pk), "m", "-1", "9" * 19):
            assert client.get(url(shop, to)).status_code == 404
            assert save(client, url(shop, to), [[shop.job.pk, "failed", "off", "on"]]).status_code == 404
        assert client.get(f"{base(shop)}?env={other.job.environment_id}").status_code == 404
        assert save(client, f"{base(shop)}?env={other.job.environment_id}", [[other.job.pk, "failed", "off", "on"]]).status_code == 404
        assert not Rule.objects.exists()


class TestPicking:
    def test_the_environment_last_used_comes_first(self, shop: Acme) -> None:
        staging = Environment.objects.create(account=shop.account, project=shop.job.environment.project, name="Staging", created_at=NOW)
        client = sign_in(shop)
        assert "Production&nbsp;· shop</option>" in text(client.get(base(shop)))
        client.get(f"{base(shop)}?env={staging.pk}")
        assert f'<option value="{staging.pk}" selected>' in text(client.get(base(shop)))
        staging.state = State.DELETED
        staging.save()
        assert f'<option value="{shop.job.environment_id}" selected>' in text(client.get(base(shop)))

    def test_search_and_filter_are_in_the_url(self, shop: Acme) -> None:
        jobs = make_jobs(shop, 3)
        destination = shop.destination()
        Rule.objects.create(destination=destination, job=jobs[1], outcome="warned", set_at=NOW)
        client = sign_in(shop)
        assert "1 of 4 jobs is shown" in text(client.get(url(shop, q="NIGHT"))).replace("job is", "jobs is")
        found = text(client.get(url(shop, show="set")))
        assert "job 00001</a>" in found
        assert "job 00000</a>" not in found
        assert "No job is shown" in text(client.get(url(shop, q="nothing%20of%20that")))

    def test_an_account_without_jobs_says_so(self, shop: Acme) -> None:
        Environment.objects.all().delete()
        assert "There is no job to choose yet" in text(sign_in(shop).get(base(shop)))

    def test_hidden_jobs_are_listed_only_while_they_have_rules(self, shop: Acme) -> None:
        client = sign_in(shop)
        Job.objects.update(hidden_at=NOW)
        assert ">nightly</a>" not in text(client.get(url(shop)))
        shop.rule(shop.destination())
        assert ">nightly</a>" in text(client.get(url(shop)))

    def test_a_silent_address_and_one_that_unsubscribed_are_said_so(self, shop: Acme) -> None:
        dana = shop.members[Role.DEVELOPER]
        destination = shop.destination(Role.DEVELOPER)
        destination.disabled_because = {"code": "smtp_no_such_address", "params": {}}
        destination.save()
        Unsubscription.objects.create(
            destination=destination, at=timezone.now(), scope="everything", rules=[[shop.job.pk, None, "failed", None]]
        )
        page = text(sign_in(shop).get(url(shop, f"m{dana.pk}")))
        assert "Nothing is sent to dana@acme.test" in page
        assert "dana@acme.test unsubscribed on" in page


class TestPlainForm:
    def test_ticking_and_clearing(self, shop: Acme) -> None:
        job, destination = shop.job.pk, shop.destination()
        shop.rule(destination, Outcome.WARNED)
        client = sign_in(shop)
        answer = plain(client, url(shop), tick=(f"{job}:failed", f"{ALL}:cancelled"), clear=(f"{job}:warned",))
        assert answer.status_code == 302
        assert rules() == {(job, None, "failed"), (None, shop.job.environment_id, "cancelled")}
        assert "Saved: 3 boxes for ada@acme.test." in text(client.get(answer["Location"]))

    def test_the_boxes_of_all_jobs_are_locked_and_what_lies_below_stays(self, shop: Acme) -> None:
        destination = shop.destination()
        shop.rule(destination)
        shop.rule(destination, environment=True)
        client = sign_in(shop)
        page = text(client.get(url(shop, edit=1)))
        assert f'value="{shop.job.pk}:failed" checked disabled aria-label="nightly: Fails, all jobs"' in page
        plain(client, url(shop), tick=(f"{shop.job.pk}:warned",), page=page)
        assert (shop.job.pk, None, "failed") in rules()

    @pytest.mark.parametrize(("answer", "left"), [("keep", 3), ("clear", 1)])
    def test_before_all_jobs_are_cleared_it_asks(self, shop: Acme, answer: str, left: int) -> None:
        make_jobs(shop, 2)
        destination = shop.destination()
        shop.rule(destination)
        shop.rule(destination, environment=True)
        client = sign_in(shop)
        asked = text(plain(client, url(shop), clear=(f"{ALL}:failed",)))
        assert "Keep the boxes of the 3 jobs there are now" in asked
        assert Rule.objects.count() == 2
        fields = {name: hidden(asked, name) for name in ("revision", "cells", "asked")}
        assert client.post(url(shop), {**fields, "keep-failed": answer}).status_code == 302
        assert Rule.objects.count() == left
        assert not Rule.objects.filter(environment__isnull=False).exists()

    def test_it_pages_by_two_hundred_below_the_limit_of_fields(self, shop: Acme) -> None:
        jobs = make_jobs(shop, 250)
        client = sign_in(shop)
        page = text(client.get(url(shop, edit=1)))
        assert page.count('name="box"') == 4 * 202  # two hundred, all jobs, and what the script makes rows from
        assert "1 to 200 of 251" in page
        everything = tuple(f"{job.pk}:{word}" for job in jobs[:200] for word in Outcome)
        assert plain(client, url(shop), tick=everything, page=page).status_code == 302
        assert Rule.objects.count() == 800
        assert "201 to 251 of 251" in text(client.get(url(shop, page=2)))


class TestSaving:
    def test_one_save_is_one_revision_and_one_entry(self, shop: Acme) -> None:
        destination = shop.destination()
        shop.rule(destination, Outcome.WARNED)
        job = shop.job.pk
        cells = [[job, "warned", "on", "off"], [job, "failed", "off", "on"], [ALL, "cancelled", "off", "on"]]
        assert save(sign_in(shop), url(shop), cells, 1).status_code == 302
        destination.refresh_from_db()
        assert destination.revision == 2
        entry = AuditEntry.objects.get(action="notifications.update")
        place = {"environment": "Production · shop"}
        assert entry.subject == "ada@acme.test"
        assert entry.before == {**place, "on_warning": [job]}
        environments = {"runbell_environments": {"on_cancel": [shop.job.environment_id]}}
        assert entry.after == {**place, "on_failure": [job], **environments}

    def test_twice_is_as_once(self, shop: Acme) -> None:
        client, cells = sign_in(shop), [[shop.job.pk, "failed", "off", "on"]]
        assert [save(client, url(shop), cells).status_code for _ in range(2)] == [302, 302]
        assert Destination.objects.get().revision == 2
        assert AuditEntry.objects.filter(action="notifications.update").count() == 1

    def test_a_rule_that_stays_keeps_who_set_it_and_receipts_outlive_rules(self, shop: Acme) -> None:
        destination = shop.destination(Role.DEVELOPER)
        rule = shop.rule(destination)
        run = Run.objects.create(account=shop.account, job=shop.job, state="finished", started_at=NOW, received_at=NOW)
        receipt = Receipt.objects.create(run=run, destination=destination, rule=rule, is_told=True, because={}, at=NOW)
        client = sign_in(shop, Role.DEVELOPER)
        save(client, url(shop), [[shop.job.pk, "failed", "off", "on"]], 1)
        assert Rule.objects.get().set_by == shop.admin
        save(client, url(shop), [[shop.job.pk, "failed", "on", "off"]], 1)
        receipt.refresh_from_db()
        assert (receipt.rule, Rule.objects.count()) == (None, 0)

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"cells": "[", "revision": 1}, "cells"),
            ({"cells": "[" * 100_000, "revision": 1}, "cells"),
            ({"cells": '{"a": 1}', "revision": 1}, "cells"),
            ({"cells": "[[1, 2]]", "revision": 1}, "cells[0]"),
            ({"cells": '[[1, "exploded", "off", "on"]]', "revision": 1}, "cells[0]"),
            ({"cells": '[[1, "failed", "off", "all"]]', "revision": 1}, "cells[0]"),
            ({"cells": '[[-1, "failed", "off", "on"]]', "revision": 1}, "cells[0]"),
            ({"cells": "[]", "revision": "x"}, "revision"),
            ({"was": "1:00", "revision": 1}, "was"),
            ({"was": "x:0000", "revision": 1}, "was"),
            ({"was": "1:0000", "box": "2:failed", "revision": 1}, "box"),
        ],
    )
    def test_what_no_browser_sends_is_refused_by_name(self, shop: Acme, fields: dict[str, Any], field: str) -> None:
        answer = sign_in(shop).post(url(shop), fields)
        assert answer.status_code == 400
        assert f"<code>{field}</code>" in text(answer)

    def test_jobs_of_another_environment_or_account_are_refused_and_nothing_is_saved(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        staging = Environment.objects.create(account=shop.account, project=shop.job.environment.project, name="Staging", created_at=NOW)
        elsewhere = Job.objects.create(account=shop.account, environment=staging, name="there", created_at=NOW)
        for strange in (other.job.pk, elsewhere.pk, 2**53 - 1):
            answer = save(sign_in(shop), url(shop), [[shop.job.pk, "failed", "off", "on"], [strange, "failed", "off", "on"]])
            assert answer.status_code == 400
            assert f"there is no job {strange} in this environment" in text(answer)
        assert not Rule.objects.exists()

    def test_ten_thousand_boxes_by_the_plain_form_are_too_many(self, shop: Acme) -> None:
        answer = sign_in(shop).post(url(shop), {"revision": 1, "was": "", "box": [f"{n}:failed" for n in range(10_000)]})
        assert answer.status_code == 400
        assert "Nothing was changed" in text(answer)

    def test_more_boxes_than_an_environment_of_five_thousand_has_are_too_many(self, shop: Acme) -> None:
        answer = save(sign_in(shop), url(shop), [[n, "failed", "off", "on"] for n in range(1, 20_002)])
        assert answer.status_code == 400
        assert "at most 20000" in text(answer)

    def test_a_forged_request_saves_nothing(self, shop: Acme) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(shop.admin.user)
        assert save(client, url(shop), [[shop.job.pk, "failed", "off", "on"]]).status_code == 403
        assert not Rule.objects.exists()

    def test_a_session_that_ended_leads_back_to_the_form(self, shop: Acme, client: Client) -> None:
        answer = save(client, url(shop), [[shop.job.pk, "failed", "off", "on"]])
        assert answer.status_code == 302
        assert answer["Location"].startswith("/account/login/?next=")
        assert str(shop.job.environment_id) in answer["Location"]


class TestTwoAtOnce:
    def test_what_others_saved_meanwhile_is_kept_and_said(self, shop: Acme) -> None:
        dana = shop.members[Role.DEVELOPER]
        destination = shop.destination(Role.DEVELOPER)
        shop.rule(destination, Outcome.WARNED)
        nina, own = sign_in(shop, Role.NOTIFICATION_MANAGER), sign_in(shop, Role.DEVELOPER)
        save(nina, url(shop, f"m{dana.pk}"), [[shop.job.pk, "failed", "off", "on"]], 1)
        answer = save(own, url(shop), [[shop.job.pk, "warned", "on", "off"]], 1)
        assert rules() == {(shop.job.pk, None, "failed")}
        assert "What nina@acme.test saved meanwhile is kept too." in text(own.get(answer["Location"]))

    def clash(self, shop: Acme, to: str = "on") -> tuple[Client, str]:
        """Nina sets all jobs while Dana, who also ticks another box, changes one of them."""
        destination = shop.destination(Role.DEVELOPER)
        if to == "off":
            shop.rule(destination)
        save(sign_in(shop, Role.NOTIFICATION_MANAGER), url(shop, f"m{destination.member_id}"), [[ALL, "failed", "off", "on"]], 1)
        client = sign_in(shop, Role.DEVELOPER)
        was = "off" if to == "on" else "on"
        answer = save(client, url(shop), [[shop.job.pk, "failed", was, to], [shop.job.pk, "warned", "off", "on"]], 1)
        assert answer.status_code == 409
        return client, text(answer)

    def test_a_box_that_became_neither_is_shown_with_both_values_and_nothing_is_saved(self, shop: Acme) -> None:
        _, page = self.clash(shop)
        assert "nina@acme.test saved these settings" in page
        assert "nightly, Fails" in page
        assert f'name="pick-{shop.job.pk}-failed" value="theirs"' in page
        assert "Save merged" in page
        assert rules() == {(None, shop.job.environment_id, "failed")}
        assert facts(page)["changes"] == [[shop.job.pk, "failed", "all", "on"], [shop.job.pk, "warned", "off", "on"]]

    @pytest.mark.parametrize(("pick", "own"), [("theirs", {"warned"}), ("mine", {"failed", "warned"})])
    def test_save_merged_takes_what_was_chosen(self, shop: Acme, pick: str, own: set[str]) -> None:
        client, page = self.clash(shop)
        fields = {name: hidden(page, name) for name in ("revision", "cells")}
        assert client.post(url(shop), {**fields, f"pick-{shop.job.pk}-failed": pick}).status_code == 302
        assert set(Rule.objects.filter(job=shop.job).values_list("outcome", flat=True)) == own
        assert Rule.objects.filter(environment__isnull=False).count() == 1

    def test_a_third_save_in_between_asks_again(self, shop: Acme) -> None:
        client, page = self.clash(shop, "off")
        dana = shop.members[Role.DEVELOPER]
        save(sign_in(shop), url(shop, f"m{dana.pk}"), [[ALL, "failed", "on", "off"], [shop.job.pk, "failed", "on", "off"]], 2)
        save(sign_in(shop), url(shop, f"m{dana.pk}"), [[shop.job.pk, "failed", "off", "on"]], 3)
        fields = {name: hidden(page, name) for name in ("revision", "cells")}
        assert client.post(url(shop), {**fields, f"pick-{shop.job.pk}-failed": "mine"}).status_code == 409

    def test_a_job_deleted_meanwhile_is_told_and_left_out(self, shop: Acme) -> None:
        job = make_jobs(shop, 1)[0]
        Job.objects.filter(pk=job.pk).update(state=State.DELETED)
        client = sign_in(shop)
        answer = save(client, url(shop), [[job.pk, "failed", "off", "on"], [shop.job.pk, "failed", "off", "on"]])
        assert answer.status_code == 409
        assert "A job that is gone, Fails" in text(answer)
        fields = {name: hidden(text(answer), name) for name in ("revision", "cells")}
        assert client.post(url(shop), fields).status_code == 302
        assert rules() == {(shop.job.pk, None, "failed")}

    def test_hundreds_of_boxes_that_differ_are_one_choice(self, shop: Acme) -> None:
        jobs = make_jobs(shop, 300)
        destination = shop.destination()
        shop.rule(destination, environment=True)
        client = sign_in(shop)
        answer = save(client, url(shop), [[job.pk, "failed", "off", "on"] for job in jobs], 0)
        page = text(answer)
        assert "250 more boxes" in page
        fields = {name: hidden(page, name) for name in ("revision", "cells", "open")}
        client.post(url(shop), {**fields, "pick": "theirs"})
        assert Rule.objects.filter(job__isnull=False).count() == 50


class TestCosts:
    def fill(self, shop: Acme, count: int) -> list[Job]:
        jobs = make_jobs(shop, count)
        Run.objects.bulk_create(
            Run(account=shop.account, job=job, state="finished", outcome="failed", started_at=NOW, received_at=NOW) for job in jobs
        )
        return jobs

    def test_a_page_of_five_thousand_jobs(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        jobs = self.fill(shop, 5_000)
        destination = shop.destination()
        Rule.objects.bulk_create(Rule(destination=destination, job=job, outcome="failed", set_at=NOW) for job in jobs[::3])
        client = sign_in(shop)
        client.get(f"/a/{shop.account.pk}/")
        with django_assert_max_num_queries(12):
            answer = client.get(url(shop, edit=1), headers={"Accept-Encoding": "gzip"})
        assert answer["Content-Encoding"] == "gzip"
        assert len(answer.content) <= 250_000
        assert len(facts(gzip.decompress(answer.content).decode())["lines"]) == 5_001

    def test_saving_two_thousand_boxes(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        jobs = self.fill(shop, 2_000)
        dana = shop.members[Role.DEVELOPER]
        destination = shop.destination(Role.DEVELOPER)
        Rule.objects.bulk_create(Rule(destination=destination, job=job, outcome="failed", set_at=NOW) for job in jobs[:1_000])
        client = sign_in(shop)
        client.get(base(shop))
        cells = [[job.pk, "failed", "on", "off"] for job in jobs[:1_000]] + [[job.pk, "failed", "off", "on"] for job in jobs[1_000:]]
        with django_assert_max_num_queries(15):
            answer = save(client, url(shop, f"m{dana.pk}"), cells, 1)
        assert answer.status_code == 302
        assert set(Rule.objects.values_list("job", flat=True)) == {job.pk for job in jobs[1_000:]}
