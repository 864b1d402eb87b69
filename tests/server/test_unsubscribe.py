"""The page of the unsubscribe link: what it offers, what each choice takes away and gives back, and who is told."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Delivery, Destination, Environment, Job, Member, Rule, Unsubscription
from runbell.server.services import unsubscribe as service
from runbell.server.services.subscriptions import Scope
from runbell.server.services.unsubscribe import last_unsubscribed, unsubscribe_url
from tests.server.people import NOW, Acme, acme
from tests.server.test_pages import make_run

pytestmark = pytest.mark.django_db


def path_of(destination: Destination, job: Job) -> str:
    return "/u/" + unsubscribe_url(destination, job.pk).partition("/u/")[2]


def job_in(shop: Acme, name: str, environment: Environment | None = None) -> Job:
    return Job.objects.create(account=shop.account, environment=environment or shop.job.environment, name=name, created_at=NOW)


def rows(destination: Destination) -> set[tuple[Any, ...]]:
    return set(destination.rules.values_list("job__name", "environment__name", "outcome"))


def external(shop: Acme, address: str = "oncall@acme.pagerduty.test") -> Destination:
    destination = shop.destination()
    destination.member, destination.address, destination.address_key = None, address, address
    destination.save()
    return destination


@pytest.fixture
def told(shop: Acme) -> Destination:
    """Rules for two jobs of Production, for all of Production, and for Staging; a run of `nightly` was told."""
    destination = shop.destination(Role.DEVELOPER)
    shop.rule(destination)
    shop.rule(destination, Outcome.WARNED, environment=True)
    staging = Environment.objects.create(account=shop.account, project=shop.job.environment.project, name="Staging", created_at=NOW)
    for job in (job_in(shop, "hourly"), job_in(shop, "smoke", staging)):
        Rule.objects.create(destination=destination, job=job, outcome="failed", set_by=shop.admin, set_at=NOW)
    make_run(shop)
    return destination


class TestChoices:
    def test_each_says_how_many_rules_go(self, shop: Acme, told: Destination, client: Client) -> None:
        page = client.get(path_of(told, shop.job)).content.decode()
        choices = service.subscription(told.public_id, path_of(told, shop.job).rsplit("/", 1)[1], shop.job.pk, now=timezone.now()).choices
        assert [(choice.scope, choice.rules) for choice in choices] == [("job", 2), ("environment", 3), ("everything", 4)]
        for words in ("nightly", "Every job in Production", "2 jobs, and those that appear later", "4 rules are removed"):
            assert words in page
        assert "The rule for all jobs of Production becomes one for the 1 other job" in page

    def test_a_job_the_address_was_never_told_of_stays_unnamed(self, shop: Acme, told: Destination, client: Client) -> None:
        """Whoever holds a mail must not read the names of other jobs by counting."""
        secret, other = job_in(shop, "layoffs"), acme("Other", "other.test").job
        for job in (secret, other):
            page = client.get(path_of(told, job)).content.decode()
            assert job.name not in page
            assert page.count('type="radio"') == 1
            assert client.post(path_of(told, job), {"scope": "job"}).status_code == 400

    def test_a_mail_about_several_jobs_or_one_that_is_gone_names_none(self, shop: Acme, told: Destination, client: Client) -> None:
        digest = "/u/" + unsubscribe_url(told, 0).partition("/u/")[2]
        gone = path_of(told, shop.job)
        Job.objects.filter(pk=shop.job.pk).update(state=2)
        for path in (digest, gone):
            page = client.get(path).content.decode()
            assert "about dbt jobs of Acme" in page
            assert "nightly" not in page
            assert page.count('type="radio"') == 1

    @pytest.mark.parametrize("method", ["get", "head"])
    def test_looking_changes_nothing(self, shop: Acme, told: Destination, client: Client, method: str) -> None:
        before = (rows(told), AuditEntry.objects.count(), Delivery.objects.count())
        assert getattr(client, method)(path_of(told, shop.job)).status_code == 200
        assert (rows(told), AuditEntry.objects.count(), Delivery.objects.count()) == before

    def test_the_page_costs_a_fixed_number_of_queries(
        self, shop: Acme, told: Destination, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        for number in range(20):
            job_in(shop, f"job {number}")
        with django_assert_max_num_queries(11):
            client.get(path_of(told, shop.job))


class TestWhy:
    @pytest.mark.parametrize(("environment", "jobs"), [(False, "this job"), (True, "all jobs of Production")])
    def test_both_pages_name_the_job_and_say_why_it_rang(self, shop: Acme, client: Client, environment: bool, jobs: str) -> None:
        destination = shop.destination(Role.DEVELOPER)
        shop.rule(destination, environment=environment)
        make_run(shop)
        path = path_of(destination, shop.job)
        asked, done = client.get(path).content.decode(), client.post(path).content.decode()
        assert "about <strong>nightly</strong> in Production, a dbt job of Acme" in asked
        for page in (asked, done):
            assert f"Sent because Fails was set for {jobs}." in page
            assert f'href="/a/{shop.account.pk}/jobs/{shop.job.pk}#who">Why did I get it?' in page
            assert shop.admin.user.email not in page

    def test_the_page_behind_it_wants_a_sign_in(self, shop: Acme, client: Client) -> None:
        answer = client.get(f"/a/{shop.account.pk}/jobs/{shop.job.pk}")
        assert answer["Location"].startswith("/account/login/")

    def test_an_address_from_outside_is_led_to_no_page_of_ours(self, shop: Acme, client: Client) -> None:
        destination = external(shop)
        shop.rule(destination)
        make_run(shop)
        path = path_of(destination, shop.job)
        for page in (client.get(path).content.decode(), client.post(path).content.decode()):
            assert "Sent because Fails was set for this job." in page
            assert "Acme chose that for this address." in page
            assert "/a/" not in page

    def test_the_done_page_leads_a_member_to_the_boxes(self, shop: Acme, told: Destination, client: Client) -> None:
        done = client.post(path_of(told, shop.job)).content.decode()
        assert f'href="/a/{shop.account.pk}/settings/notifications/email">Choose outcomes job by job' in done


class TestStopping:
    def test_one_job_goes_and_the_others_of_an_all_jobs_rule_keep_theirs(self, shop: Acme, told: Destination, client: Client) -> None:
        answer = client.post(path_of(told, shop.job), {"scope": "job"})
        assert rows(told) == {("hourly", None, "failed"), ("hourly", None, "warned"), ("smoke", None, "failed")}
        assert "hears nothing more about <strong>nightly</strong> in Production." in answer.content.decode()
        entry = AuditEntry.objects.get(action="email.unsubscribe")
        assert (entry.before, entry.after) == (
            {"rules": 4},
            {"rules": 3, "scope": "job", "of": "nightly", "through": "unsubscribe link"},
        )

    def test_undo_of_one_job_makes_the_all_jobs_rule_whole_again(self, shop: Acme, told: Destination, client: Client) -> None:
        before, path = rows(told), path_of(told, shop.job)
        client.post(path, {"scope": "job"})
        late = job_in(shop, "born later")
        client.post(f"{path}/undo")
        assert rows(told) == before
        assert not Rule.objects.filter(job=late).exists()

    def test_a_rule_set_meanwhile_outlives_the_undo(self, shop: Acme, told: Destination, client: Client) -> None:
        path = path_of(told, shop.job)
        client.post(path, {"scope": "job"})
        Rule.objects.create(destination=told, job=Job.objects.get(name="hourly"), outcome="cancelled", set_at=timezone.now())
        client.post(f"{path}/undo")
        assert ("hourly", None, "cancelled") in rows(told)

    def test_an_environment(self, shop: Acme, told: Destination, client: Client) -> None:
        answer = client.post(path_of(told, shop.job), {"scope": "environment"})
        assert rows(told) == {("smoke", None, "failed")}
        assert "hears nothing more about jobs in <strong>Production</strong>." in answer.content.decode()
        assert "1 other rule still sends mail here" in answer.content.decode()
        client.post(path_of(told, shop.job) + "/undo")
        assert told.rules.count() == 4

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            ("application/x-www-form-urlencoded", "List-Unsubscribe=One-Click"),
            (
                "multipart/form-data; boundary=x",
                '--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
            ),
            ("text/plain", ""),
        ],
    )
    def test_a_mail_clients_one_click_means_everything(
        self, shop: Acme, told: Destination, client: Client, content_type: str, body: str
    ) -> None:
        answer = client.post(path_of(told, shop.job), body, content_type=content_type)
        assert (answer.status_code, told.rules.count()) == (200, 0)
        assert "runbell_session" not in answer.cookies

    @pytest.mark.parametrize("scope", list(Scope))
    def test_a_second_time_does_no_harm(self, shop: Acme, told: Destination, client: Client, scope: str) -> None:
        path = path_of(told, shop.job)
        client.post(path, {"scope": scope})
        after = rows(told)
        assert client.post(path, {"scope": scope}).status_code == 200
        assert (rows(told), Unsubscription.objects.count()) == (after, 1)

    def test_a_word_nobody_knows_is_refused_and_says_so(self, shop: Acme, told: Destination, client: Client) -> None:
        answer = client.post(path_of(told, shop.job), {"scope": "planet"})
        assert answer.status_code == 400
        assert "Nothing was changed" in answer.content.decode()
        assert told.rules.count() == 4

    def test_too_often_is_refused_for_this_address_alone(self, shop: Acme, told: Destination, client: Client) -> None:
        path, window = path_of(told, shop.job), int(timezone.now().timestamp()) // 60
        for _ in range(2):
            assert client.post(f"{path}/undo").status_code == 302
        for later in range(3):
            cache.set(f"runbell.limit:unsubscribe:{told.pk}:{window + later}", service.CHANGES_A_MINUTE)
        assert {client.post(where).status_code for where in (path, f"{path}/undo")} == {429}
        assert told.rules.count() == 4
        assert client.get(path).status_code == 200
        assert client.post(path_of(shop.rule(shop.destination()).destination, shop.job)).status_code == 200


class TestTelling:
    def test_admins_are_told_once_that_an_external_address_left(self, shop: Acme, client: Client) -> None:
        destination = external(shop)
        shop.rule(destination)
        path = path_of(destination, shop.job)
        for _ in range(2):
            client.post(path, {"scope": "job"})
            client.post(f"{path}/undo")
        notice = Delivery.objects.get(purpose="notice")
        assert notice.destination is not None
        assert notice.destination.member == shop.admin
        assert notice.message is not None
        assert "unsubscribed from messages about nightly in Production" in str(notice.message.body["summary"])
        assert AuditEntry.objects.filter(action="email.unsubscribe").count() == 2

    def test_a_members_own_wish_is_told_to_nobody(self, shop: Acme, told: Destination, client: Client) -> None:
        client.post(path_of(told, shop.job))
        assert not Delivery.objects.filter(purpose="notice").exists()

    def test_only_admins_who_can_sign_in_are_told_each_in_their_language(self, shop: Acme, client: Client) -> None:
        second, gone = shop.members[Role.DEVELOPER], shop.members[Role.VIEWER]
        Member.objects.filter(pk__in=[second.pk, gone.pk]).update(role=Role.ACCOUNT_ADMIN)
        Member.objects.filter(pk=gone.pk).update(is_active=False)
        second.user.language = "ru"
        second.user.save()
        destination = external(shop)
        shop.rule(destination)
        client.post(path_of(destination, shop.job))
        told = dict(Delivery.objects.filter(purpose="notice").values_list("destination__member", "message__language"))
        assert told == {shop.admin.pk: "en", second.pk: "ru"}

    def test_whoever_sets_new_rules_can_be_warned_with_the_date(self, shop: Acme, told: Destination, client: Client) -> None:
        assert last_unsubscribed(told) is None
        client.post(path_of(told, shop.job), {"scope": "job"})
        Unsubscription.objects.update(at=timezone.now() - timedelta(days=40))
        found = last_unsubscribed(told)
        assert found is not None
        assert (found.scope, (timezone.now() - found.at).days) == ("job", 40)
        Unsubscription.objects.update(undone_at=timezone.now())
        assert last_unsubscribed(told) is None
