"""Preview of a mail, and sending it as a test the real way."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Delivery, Destination, Environment, Job, Rule, Run
from runbell.server.services.access import Actor
from runbell.server.services.destinations import add_member_email
from runbell.server.services.previews import TESTS_A_MINUTE
from runbell.server.services.setting_changes import Change, Taken
from runbell.server.web.mailbox import LETTER_CSP
from tests.fakes.smtp_server import SmtpServer
from tests.mails import body
from tests.server.people import NOW, Acme, acme
from tests.server.test_bounces import UNKNOWN, work
from tests.server.test_pages import make_run, sign_in


@pytest.fixture
def shop(transactional_db: None) -> Acme:
    return acme()


@pytest.fixture
def relay(settings: Settings) -> Iterator[SmtpServer]:
    settings.RUNBELL_TIME_SCALE = 0.001
    with SmtpServer() as server:
        settings.RUNBELL_SMTP_URL = server.url
        yield server


def external(shop: Acme, **fields: str) -> Destination:
    destination = shop.destination()
    destination.member, destination.address, destination.address_key = None, "ops@partner.example", "ops@partner.example"
    for name, value in fields.items():
        setattr(destination, name, value)
    destination.save()
    return destination


def path(shop: Acme, rest: str = "preview") -> str:
    return f"/a/{shop.account.pk}/settings/notifications/{rest}"


def look(client: Client, shop: Acme, **asked: object) -> str:
    answer = client.get(path(shop), asked)  # type: ignore[arg-type]
    assert answer.status_code == 200
    return answer.content.decode()


class TestLooking:
    def test_the_last_run_of_the_outcome_is_shown(self, shop: Acme) -> None:
        for ago in (3, 2):
            run = make_run(shop, "failed", ago=ago)
        make_run(shop, "succeeded", ago=1)
        page = look(sign_in(shop), shop, job=shop.job.pk, outcome="failed")
        assert f"/runs/{run.pk}" in page
        assert "the last run that ended like this" in page
        assert "FAILED · nightly · Production" in page
        assert "no such column &lt;x&gt;" in page

    @pytest.mark.parametrize(("outcome", "word"), list(zip(Outcome, ("SUCCEEDED", "WARNED", "FAILED", "CANCELED"), strict=True)))
    def test_without_such_a_run_an_example_bears_the_names_of_the_job(self, shop: Acme, outcome: str, word: str) -> None:
        page = look(sign_in(shop), shop, job=shop.job.pk, outcome=outcome)
        assert f"{word} · nightly · Production" in page
        assert "an example, since no run of the job has ended like this yet" in page
        assert "Acme Retail" not in page
        assert f"/a/{shop.account.pk}/jobs/{shop.job.pk}" in page

    def test_an_account_without_a_job_has_its_preview_too(self, shop: Acme) -> None:
        Job.objects.update(state=2)
        assert "an example" in look(sign_in(shop), shop)

    def test_without_a_job_the_one_of_the_environment_that_ran_last(self, shop: Acme) -> None:
        project = shop.job.environment.project
        staging = Environment.objects.create(account=shop.account, project=project, name="Staging", created_at=NOW)
        smoke = Job.objects.create(account=shop.account, environment=staging, name="smoke", created_at=NOW)
        make_run(shop, job=smoke)
        make_run(shop)
        client = sign_in(shop)
        assert "FAILED · nightly" in look(client, shop)
        assert "FAILED · smoke · Staging" in look(client, shop, env=staging.pk)

    def test_it_is_in_the_language_and_zone_of_the_address(self, shop: Acme) -> None:
        destination = external(shop, language="ru", zone="Asia/Tokyo")
        page = look(sign_in(shop), shop, to=destination.pk, job=shop.job.pk, outcome="failed")
        assert "СБОЙ · nightly" in page
        assert "Asia/Tokyo" in page
        assert "ops@partner.example" in page

    def test_the_rule_it_would_come_from_is_named(self, shop: Acme) -> None:
        destination = shop.destination()
        client = sign_in(shop)
        shop.rule(destination, environment=True)
        assert "all jobs of Production for ada@acme.test" in " ".join(look(client, shop, outcome="failed").split())
        shop.rule(destination)
        assert "for this job for ada@acme.test" in " ".join(look(client, shop, outcome="failed").split())

    def test_the_letter_has_the_policy_of_the_mailbox_and_a_void_unsubscribe_link(self, shop: Acme) -> None:
        destination = external(shop)
        shop.rule(destination)
        client = sign_in(shop)
        asked: dict[str, Any] = {"to": destination.pk, "outcome": "failed"}
        letter = client.get(path(shop, "preview/html"), asked)
        assert letter["Content-Security-Policy"] == LETTER_CSP
        assert letter["X-Frame-Options"] == "SAMEORIGIN"
        assert "<style" in letter.content.decode()
        text = look(client, shop, **asked)
        for shown in (letter.content.decode(), text):
            assert destination.public_id not in shown
            assert "/u/preview/" in shown
        assert Client().post(f"/u/preview/{shop.job.pk}/preview").status_code == 404
        assert Rule.objects.count() == 1
        page = client.get(path(shop))
        assert 'sandbox=""' in page.content.decode()
        assert "unsafe" not in page["Content-Security-Policy"]

    def test_looking_stores_nothing(self, shop: Acme) -> None:
        look(sign_in(shop, Role.VIEWER), shop)
        assert (Destination.objects.count(), Delivery.objects.count()) == (0, 0)

    def test_others_addresses_are_for_those_who_set_them(self, shop: Acme) -> None:
        destination = external(shop)
        for to in (destination.pk, f"m{shop.admin.pk}"):
            for rest in ("preview", "preview/html"):
                assert sign_in(shop, Role.DEVELOPER).get(path(shop, rest), {"to": to}).status_code == 403
                assert sign_in(shop, Role.NOTIFICATION_MANAGER).get(path(shop, rest), {"to": to}).status_code == 200

    def test_what_is_of_another_account_is_not_there(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        theirs = external(other)
        client = sign_in(shop)
        environment = other.job.environment_id
        paths: list[dict[str, Any]] = [
            {"to": theirs.pk},
            {"to": f"m{other.admin.pk}"},
            {"job": other.job.pk},
            {"env": environment},
            {"to": "x"},
        ]
        for asked in paths:
            assert client.get(path(shop), asked).status_code == 404

    @pytest.mark.parametrize("asked", [{"outcome": "exploded"}, {"job": "x"}, {"env": "9" * 40}, {"test": "x"}])
    def test_nonsense_counts_as_not_asked(self, shop: Acme, asked: dict[str, str]) -> None:
        assert sign_in(shop).get(path(shop), asked).status_code == 200

    def test_the_number_of_queries_is_fixed(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        for number in range(30):
            Job.objects.create(account=shop.account, environment=shop.job.environment, name=f"job {number}", created_at=NOW)
        make_run(shop)
        client = sign_in(shop)
        look(client, shop)
        with django_assert_max_num_queries(18):
            look(client, shop, to=f"m{shop.admin.pk}", job=shop.job.pk)

    def test_the_email_page_leads_here(self, shop: Acme) -> None:
        page = sign_in(shop).get(path(shop, "email")).content.decode()
        assert path(shop) in page
        assert path(shop, "test") in page
        assert path(shop, "test") not in sign_in(shop, Role.VIEWER).get(path(shop, "email")).content.decode()


class TestSending:
    def test_a_bare_test_takes_the_real_way_and_says_what_it_is(self, shop: Acme, relay: SmtpServer) -> None:
        client = sign_in(shop, Role.DEVELOPER)
        answer = client.post(path(shop, "test"))
        page = client.get(answer["Location"]).content.decode()
        assert "Test to dana@acme.test:" in page
        assert "hx-get" in page
        work()
        (mail,) = relay.mails
        assert (mail.recipients, mail.headers["Subject"]) == (("dana@acme.test",), "TEST · messages arrive here · Acme")
        delivery = Delivery.objects.get()
        fragment = client.get(path(shop, f"test/{delivery.pk}")).content.decode()
        assert "Taken by the mail server" in fragment
        assert "hx-get" not in fragment
        assert "<html" not in fragment
        log = client.get(f"/a/{shop.account.pk}/deliveries").content.decode()
        assert "test message" in log
        assert "dana@acme.test" in log

    def test_what_the_preview_shows_is_sent_marked_as_a_test(self, shop: Acme, relay: SmtpServer) -> None:
        run, destination = make_run(shop), external(shop, language="ru")
        sign_in(shop).post(path(shop, "test"), {"to": destination.pk, "job": shop.job.pk, "outcome": "failed"})
        work()
        (mail,) = relay.mails
        assert mail.headers["Subject"].startswith("[")
        assert "СБОЙ · nightly" in mail.headers["Subject"]
        text = body(mail.content, "plain")
        assert "Это пробное сообщение. Ничего не произошло." in text
        assert f"/runs/{run.pk}" in text
        assert "List-Unsubscribe" not in mail.headers
        assert "позже" not in text.split("СБОЙ")[1].split("nightly")[0]
        assert Run.objects.get(pk=run.pk).receipts.count() == 0

    def test_an_example_can_be_sent_too(self, shop: Acme, relay: SmtpServer) -> None:
        sign_in(shop).post(path(shop, "test"), {"job": shop.job.pk, "outcome": "cancelled"})
        work()
        assert relay.mails[0].headers["Subject"] == "[Test] CANCELED · nightly · Production"

    def test_a_refusal_is_told_in_words(self, shop: Acme, relay: SmtpServer) -> None:
        relay.refuse("ada@acme.test", UNKNOWN)
        client = sign_in(shop)
        client.post(path(shop, "test"))
        work()
        fragment = client.get(path(shop, f"test/{Delivery.objects.get().pk}")).content.decode()
        assert "There is no such address: 550 5.1.1 “no such user”." in fragment

    def test_an_address_that_is_switched_off_gets_no_test_either(self, shop: Acme, relay: SmtpServer) -> None:
        destination = shop.destination()
        Destination.objects.update(disabled_because={"code": "smtp_address_unknown", "params": {}})
        client = sign_in(shop)
        client.post(path(shop, "test"))
        work()
        delivery = Delivery.objects.get()
        assert (delivery.destination_id, delivery.state, relay.mails) == (destination.pk, "suppressed", [])
        assert "Nothing is sent to this address until it is set right." in client.get(path(shop, f"test/{delivery.pk}")).content.decode()

    def test_who_may_send_to_whom(self, shop: Acme) -> None:
        destination = external(shop)
        allowed = {
            (role, to): sign_in(shop, role).post(path(shop, "test"), {"to": to}).status_code for role in Role for to in ("", destination.pk)
        }
        assert allowed == {
            (Role.ACCOUNT_ADMIN, ""): 302,
            (Role.ACCOUNT_ADMIN, destination.pk): 302,
            (Role.NOTIFICATION_MANAGER, ""): 302,
            (Role.NOTIFICATION_MANAGER, destination.pk): 302,
            (Role.DEVELOPER, ""): 302,
            (Role.DEVELOPER, destination.pk): 403,
            (Role.VIEWER, ""): 403,
            (Role.VIEWER, destination.pk): 403,
        }
        assert Delivery.objects.filter(purpose="test").count() == 5

    def test_a_member_sends_only_so_many_a_minute(self, shop: Acme) -> None:
        client, minute = sign_in(shop), int(timezone.now().timestamp()) // 60
        for later in range(3):
            cache.set(f"runbell.limit:test:{shop.admin.pk}:{minute + later}", TESTS_A_MINUTE)
        answer = client.post(path(shop, "test"), {"outcome": "failed"})
        assert answer.status_code == 429
        assert "Nothing was sent now" in answer.content.decode()
        assert not Delivery.objects.exists()
        assert sign_in(shop, Role.DEVELOPER).post(path(shop, "test")).status_code == 302

    def test_a_forged_request_sends_nothing(self, shop: Acme) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(shop.admin.user)
        assert client.post(path(shop, "test")).status_code == 403
        assert client.get(path(shop, "test")).status_code == 405
        assert not Delivery.objects.exists()

    def test_the_line_of_another_accounts_delivery_is_not_there(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        sign_in(other).post(path(other, "test"))
        delivery = Delivery.objects.get()
        assert sign_in(shop).get(path(shop, f"test/{delivery.pk}")).status_code == 404
        assert sign_in(shop).get(path(shop), {"test": delivery.pk}).status_code == 404

    def test_a_test_is_no_setting_the_first_real_one_takes_its_place(self, shop: Acme) -> None:
        sign_in(shop, Role.DEVELOPER).post(path(shop, "test"))
        made = Destination.objects.get()
        member, actor = shop.members[Role.DEVELOPER], Actor(shop.admin)
        change = Change(jobs={Outcome.FAILED: [shop.job.pk]})
        later = NOW + timedelta(days=1)
        assert add_member_email(member.user_id, change, actor=actor, now=later).destination.pk == made.pk
        with pytest.raises(Taken):
            add_member_email(member.user_id, Change(), actor=actor, now=later)
