"""The page of one job: who hears about it, by which rule, and who is silent and why; and that it is followed while it runs."""

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Destination, Rule
from runbell.server.services import live
from tests.server.people import NOW, Acme
from tests.server.test_pages import make_run, sign_in

pytestmark = pytest.mark.django_db


def page_of(shop: Acme, role: Role = Role.ACCOUNT_ADMIN) -> str:
    return sign_in(shop, role).get(f"/a/{shop.account.pk}/jobs/{shop.job.pk}").content.decode()


def external(shop: Acme, address: str = "oncall@pager.test") -> Destination:
    times = {"created_at": NOW, "updated_at": NOW}
    return Destination.objects.create(account=shop.account, kind="email", address=address, address_key=address, public_id=address, **times)


class TestWhoHears:
    def test_each_rule_with_where_it_comes_from(self, shop: Acme) -> None:
        destination = shop.destination(Role.DEVELOPER)
        shop.rule(destination, Outcome.FAILED, environment=True)
        shop.rule(destination, Outcome.WARNED, environment=True)
        shop.rule(destination, Outcome.SUCCEEDED)
        page = page_of(shop)
        assert "Warns, Fails: all jobs of Production, set by ada@acme.test" in page
        assert "Succeeds: this job, set by ada@acme.test" in page
        assert page.count('<span class="via">all jobs</span>') == 2

    def test_a_rule_of_both_kinds_tells_of_both(self, shop: Acme) -> None:
        destination = shop.destination()
        shop.rule(destination, environment=True)
        shop.rule(destination)
        page = page_of(shop)
        assert "Fails: all jobs of Production" in page
        assert "Fails: this job" in page

    def test_who_set_it_may_have_left(self, shop: Acme) -> None:
        shop.rule(external(shop))
        Rule.objects.update(set_by=None)
        assert "Fails: this job, set " in page_of(shop)

    @pytest.mark.parametrize("trouble", ["refused", "inactive"])
    def test_the_silent_are_named_with_the_reason_and_do_not_count(self, shop: Acme, trouble: str) -> None:
        destination = shop.destination(Role.DEVELOPER)
        shop.rule(destination)
        if trouble == "refused":
            destination.disabled_because = {"code": "smtp_address_unknown", "params": {"code": 550, "text": "no such user"}}
            destination.save()
            said = "There is no such address: 550 “no such user”."
        else:
            shop.members[Role.DEVELOPER].is_active = False
            shop.members[Role.DEVELOPER].save()
            said = "The member is not active."
        page = page_of(shop)
        assert said in page
        assert "None of these hears about a failure." in page
        assert "Nobody hears about a failure." in page

    def test_the_number_of_queries_is_fixed(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        for n in range(20):
            shop.rule(external(shop, f"a{n}@pager.test"))
        for n in range(5):
            make_run(shop, ago=n)
        client = sign_in(shop)
        client.get(f"/a/{shop.account.pk}/jobs/{shop.job.pk}")
        with django_assert_max_num_queries(14):
            client.get(f"/a/{shop.account.pk}/jobs/{shop.job.pk}")


class TestWayOut:
    @pytest.mark.parametrize(
        ("role", "words", "absent"),
        [
            (Role.ACCOUNT_ADMIN, "Choose who hears", "chosen by"),
            (Role.NOTIFICATION_MANAGER, "Choose who hears", "chosen by"),
            (Role.DEVELOPER, "Choose it for yourself", "Choose who hears"),
            (Role.VIEWER, "For everybody else it is chosen by: ada@acme.test.", "Choose"),
        ],
    )
    def test_nobody_hears_and_what_the_reader_can_do(self, shop: Acme, role: Role, words: str, absent: str) -> None:
        page = page_of(shop, role)
        assert "However this job ends, no message goes out" in page
        assert words in page
        assert absent not in page

    def test_who_helps(self, shop: Acme, settings: Settings) -> None:
        settings.RUNBELL_SUPPORT_CONTACT = "data-platform@acme.test"
        assert '<a href="mailto:data-platform@acme.test">data-platform@acme.test</a>' in page_of(shop, Role.VIEWER)
        settings.RUNBELL_SUPPORT_CONTACT = 'javascript:alert("x")'
        assert "href" not in page_of(shop, Role.VIEWER).partition("Help:")[2].partition("</p>")[0]


class TestLive:
    def test_followed_until_the_run_ends(self, shop: Acme, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(live, "FAST", 10**12)
        monkeypatch.setattr(live, "SLOW", 10**12)
        run = make_run(shop, "")
        client, path = sign_in(shop), f"/a/{shop.account.pk}/jobs/{shop.job.pk}"
        etag = client.get(path)["ETag"]
        looks = {"HX-Request": "true", "If-None-Match": etag}
        assert 'data-every="5"' in client.get(path).content.decode()
        assert client.get(path, headers=looks).status_code == 304
        run.outcome, run.state, run.finished_at = "succeeded", "finished", run.started_at + timedelta(seconds=9)
        run.lost_at = None
        run.save()
        make_run(shop, "succeeded")
        part = client.get(path, headers=looks)
        assert part.status_code == 200
        assert part["ETag"] != etag
        assert part.content.decode().startswith('<div id="job">')
