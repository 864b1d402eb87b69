"""Email notifications: who may look and set, picking an address and an environment, the form without script, what I get."""

import pytest
from django.utils import timezone

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Environment, Job, Rule, State, Unsubscription
from tests.server.matrix_forms import base, external, hidden, make_jobs, plain, rules, save, sign_in, text, url
from tests.server.people import NOW, Acme, acme

pytestmark = pytest.mark.django_db
ALL = 0


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

    def test_the_number_beside_an_address_leaves_out_rules_of_deleted_jobs(self, shop: Acme) -> None:
        outside = external(shop)
        shop.rule(outside)
        shop.rule(outside, Outcome.WARNED, environment=True)
        client = sign_in(shop)
        assert 'data-note="2 rules"' in text(client.get(url(shop)))
        Job.objects.update(state=State.DELETED)
        assert 'data-note="1 rule"' in text(client.get(url(shop)))
        assert "1 rule goes with it" in text(client.get(f"{base(shop)}/external/{outside.pk}/remove"))

    def test_copying_starts_from_the_address_that_is_shown(self, shop: Acme) -> None:
        outside = external(shop)
        link = f'/settings/notifications/copy?from={outside.pk}"'
        assert link in text(sign_in(shop).get(url(shop, str(outside.pk))))
        assert "notifications/copy?from" not in text(sign_in(shop, Role.DEVELOPER).get(url(shop)))

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


class TestWhatIGet:
    def test_every_rule_says_who_set_it(self, shop: Acme) -> None:
        own = shop.destination(Role.DEVELOPER)
        shop.rule(own)
        Rule.objects.create(destination=own, environment=shop.job.environment, outcome="warned", set_by=None, set_at=NOW)
        client = sign_in(shop, Role.DEVELOPER)
        save(client, url(shop), [[shop.job.pk, "cancelled", "off", "on"]], 1)
        page = text(client.get(f"/a/{shop.account.pk}/settings/notifications/mine"))
        for words in ("set by ada@acme.test", "set by you", "set by somebody who left", "All jobs, also new ones"):
            assert words in page

    def test_it_leads_on_to_the_messages_and_to_the_choice(self, shop: Acme) -> None:
        shop.rule(shop.destination(Role.DEVELOPER))
        page = text(sign_in(shop, Role.DEVELOPER).get(f"/a/{shop.account.pk}/settings/notifications/mine"))
        assert f'href="/a/{shop.account.pk}/deliveries?q=dana%40acme.test"' in page
        assert f'href="{url(shop).partition("?")[0]}"' in page

    def test_who_may_not_choose_is_told_whom_to_ask(self, shop: Acme) -> None:
        page = text(sign_in(shop, Role.VIEWER).get(f"/a/{shop.account.pk}/settings/notifications/mine"))
        assert "It is chosen for you by: ada@acme.test." in page
        assert "Choose what you hear about" not in page

    def test_unsubscribing_asks_then_says_how_to_undo(self, shop: Acme) -> None:
        shop.rule(shop.destination(Role.VIEWER))
        other = shop.rule(shop.destination())
        client = sign_in(shop, Role.VIEWER)
        assert "1 rule sends mail about jobs of Acme to" in text(client.get(f"{base(shop)}/unsubscribe"))
        answer = client.post(f"{base(shop)}/unsubscribe", follow=True)
        assert "All e-mail to vera@acme.test is off. 1 rule removed." in text(answer)
        assert list(Rule.objects.all()) == [other]
        assert "Bring back the 1 rule" in text(client.get(base(shop)))
        assert "Undone: 1 rule sends mail to you." in text(client.post(f"{base(shop)}/undo", follow=True))
        assert Rule.objects.count() == 2

    def test_the_button_is_about_the_own_address_whatever_is_picked(self, shop: Acme) -> None:
        own, dana = shop.rule(shop.destination()), shop.rule(shop.destination(Role.DEVELOPER))
        client = sign_in(shop)
        page = text(client.get(url(shop, f"m{dana.destination.member_id}")))
        assert "Removes the 1 rule of ada@acme.test" in page
        client.post(f"{base(shop)}/unsubscribe")
        assert not Rule.objects.filter(pk=own.pk).exists()
        assert Rule.objects.filter(pk=dana.pk).exists()
