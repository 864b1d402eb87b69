"""Saving boxes of the matrix: what is refused, what happens when two save at once, what it costs."""

import gzip
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Destination, Environment, Job, Receipt, Rule, Run, State
from tests.server.matrix_forms import base, facts, hidden, make_jobs, rules, save, sign_in, text, url
from tests.server.people import NOW, Acme, acme

pytestmark = pytest.mark.django_db
ALL = 0


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
