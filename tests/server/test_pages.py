"""The pages: who may see what, what they say, how many queries they cost, and that no page has anything inline."""

import re
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from tools.catalogues import DOMAINS, extract, lacking, read

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import (
    Attempt,
    AuditEntry,
    Delivery,
    Destination,
    Job,
    MailboxItem,
    Node,
    Rule,
    Run,
    Step,
    Unsubscription,
)
from runbell.server.services.decisions import decide_run
from runbell.server.services.pages import RunLine
from runbell.server.services.unsubscribe import unsubscribe_url
from runbell.server.web.bars import row_of, tally
from tests.server.people import NOW, PASSWORD, Acme, acme

pytestmark = pytest.mark.django_db
BECAUSE = {"failed": {"code": "exit_code", "params": {"step": 1, "code": 1}}, "succeeded": {"code": "no_trouble"}}


def sign_in(shop: Acme, role: Role = Role.ACCOUNT_ADMIN) -> Client:
    client = Client()
    client.force_login(shop.members[role].user)
    return client


def make_run(shop: Acme, outcome: str = "failed", *, ago: float = 1, job: Job | None = None) -> Run:
    start = timezone.now() - timedelta(hours=ago)
    end = start + timedelta(seconds=90)
    run = Run.objects.create(
        account=shop.account,
        job=job or shop.job,
        state="finished" if outcome else "started",
        outcome=outcome,
        because=BECAUSE.get(outcome, {}),
        started_at=start,
        finished_at=end if outcome else None,
        received_at=start,
        log_end="Done. <b>PASS=1</b>",
    )
    step = Step.objects.create(run=run, index=1, command="dbt build", outcome=outcome, exit_code=1, started_at=start, finished_at=end)
    if outcome == "failed":
        Node.objects.create(step=step, unique_id="model.shop.orders", name="orders", status="error", message="no such column <x>")
    if outcome:
        with transaction.atomic():
            decide_run(run, now=end, account=shop.account)
    return run


def keep_mail(shop: Acme, delivery: Delivery) -> MailboxItem:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["List-Unsubscribe-Post"] = "FAILED", "rb@acme.test", "List-Unsubscribe=One-Click"
    mail.set_content("the text twin")
    mail.add_alternative('<p style="color:red">the letter</p>', subtype="html")
    return MailboxItem.objects.create(
        account=shop.account, delivery=delivery, recipient="ada@acme.test", subject="FAILED", content=bytes(mail), at=NOW
    )


SETTINGS = (
    "settings/notifications/email",
    "settings/notifications/email?edit=1",
    "settings/notifications/email/external",
    "settings/notifications/mine",
)


def paths(shop: Acme, run: Run, item: MailboxItem) -> list[str]:
    own = ["", f"jobs/{run.job_id}", f"runs/{run.pk}", "deliveries", "mailbox", f"mailbox/{item.pk}", *SETTINGS]
    return [f"/a/{shop.account.pk}/{path}" for path in own]


@pytest.fixture
def told(shop: Acme) -> Run:
    shop.rule(shop.destination())
    shop.rule(shop.destination(Role.DEVELOPER), Outcome.WARNED)
    return make_run(shop)


@pytest.fixture
def item(shop: Acme, told: Run) -> MailboxItem:
    return keep_mail(shop, Delivery.objects.get())


class TestDoors:
    def test_visitors_are_sent_to_the_sign_in_page(self, shop: Acme, client: Client) -> None:
        answer = client.get(f"/a/{shop.account.pk}/")
        assert answer.status_code == 302
        assert answer["Location"].startswith("/account/login/")

    def test_members_of_another_account_find_nothing(self, shop: Acme, told: Run, item: MailboxItem) -> None:
        stranger = sign_in(acme("Other", "other.test"))
        assert {stranger.get(path).status_code for path in paths(shop, told, item)} == {404}

    def test_things_of_another_account_are_not_found_in_the_own(self, shop: Acme, told: Run, item: MailboxItem) -> None:
        other = acme("Other", "other.test")
        stranger = sign_in(other)
        for path in (f"jobs/{told.job_id}", f"runs/{told.pk}", f"mailbox/{item.pk}", f"mailbox/{item.pk}/html"):
            assert stranger.get(f"/a/{other.account.pk}/{path}").status_code == 404

    @pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER, Role.NOTIFICATION_MANAGER])
    def test_only_admins_read_the_mailbox(self, shop: Acme, item: MailboxItem, role: Role) -> None:
        client = sign_in(shop, role)
        for path in ("mailbox", f"mailbox/{item.pk}", f"mailbox/{item.pk}/html"):
            answer = client.get(f"/a/{shop.account.pk}/{path}")
            assert answer.status_code == 403
            assert "the letter" not in answer.content.decode()
        assert 'class="top"' in client.get(f"/a/{shop.account.pk}/mailbox").content.decode()

    def test_a_member_who_left_finds_nothing(self, shop: Acme) -> None:
        client = sign_in(shop, Role.VIEWER)
        member = shop.members[Role.VIEWER]
        member.is_active = False
        member.save()
        assert client.get(f"/a/{shop.account.pk}/").status_code == 404
        assert client.get("/").status_code == 403

    def test_root_leads_to_the_account_last_looked_at(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        other.members[Role.VIEWER].user = shop.admin.user
        other.members[Role.VIEWER].save()
        client = sign_in(shop)
        assert client.get("/")["Location"] == f"/a/{shop.account.pk}/"
        client.get(f"/a/{other.account.pk}/")
        assert client.get("/")["Location"] == f"/a/{other.account.pk}/"
        assert client.get("/mailbox")["Location"] == f"/a/{other.account.pk}/mailbox"

    def test_signing_in_with_the_password(self, shop: Acme, client: Client) -> None:
        wrong = client.post("/account/login/", {"login": "ada@acme.test", "password": "no"})
        assert 'role="alert"' in wrong.content.decode()
        right = client.post("/account/login/", {"login": "ada@acme.test", "password": PASSWORD})
        assert right["Location"] == "/"

    def test_nobody_signs_up(self, client: Client) -> None:
        assert client.get("/account/signup/").status_code == client.post("/account/signup/").status_code == 404

    def test_health_and_readiness(self, client: Client) -> None:
        assert client.get("/healthz").content == b"ok\n"
        assert client.get("/readyz").content == b"ready\nqueue: 0\n"


class TestMarkup:
    @pytest.mark.parametrize("language", ["en", "ru"])
    def test_nothing_is_inline_and_nothing_untranslated_breaks(
        self, shop: Acme, told: Run, item: MailboxItem, client: Client, language: str
    ) -> None:
        user = shop.admin.user
        user.language = language
        user.save()
        member = sign_in(shop)
        pages = [(member, path) for path in paths(shop, told, item)]
        pages += [(client, path) for path in ("/account/login/", "/account/password/reset/", unsubscribe_path(Destination.objects.first()))]
        pages += [(member, "/account/logout/"), (member, f"/a/{shop.account.pk}/runs/{told.pk + 1}")]
        for who, path in pages:
            text = who.get(path).content.decode()
            assert not re.search(r'<script(?! src=| id="facts" type="application/json")|<style|\sstyle=|\son\w+=', text), path
            assert 'rel="stylesheet"' in text, path

    def test_all_but_the_letter_have_the_strict_policy(self, shop: Acme, item: MailboxItem) -> None:
        client = sign_in(shop)
        page = client.get(f"/a/{shop.account.pk}/mailbox/{item.pk}")
        assert "unsafe" not in page["Content-Security-Policy"]
        letter = client.get(f"/a/{shop.account.pk}/mailbox/{item.pk}/html")
        assert letter["Content-Security-Policy"] == "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        assert letter["X-Frame-Options"] == "SAMEORIGIN"
        assert "the letter" in letter.content.decode()

    def test_an_unknown_address_is_a_page_too(self, client: Client) -> None:
        answer = client.get("/nowhere")
        assert answer.status_code == 404
        assert "There is no such page" in answer.content.decode()

    def test_every_string_has_its_russian(self) -> None:
        domain = next(domain for domain in DOMAINS if domain.name == "django")
        assert [lacking(read(path), extract(domain)) for path in domain.files] == [[]]


class TestHome:
    def test_the_sentence_comes_first(self, shop: Acme, told: Run) -> None:
        page = sign_in(shop).get(f"/a/{shop.account.pk}/").content.decode()
        assert "<h1>1 job is failing</h1>" in page
        assert "0 of 1 job succeeded the last time it ended." in page
        assert "1 was told." in page
        assert "no such column &lt;x&gt;" in page
        assert "Last runs: 1 failed" in page

    def test_an_empty_account_says_what_to_do(self, shop: Acme) -> None:
        Job.objects.all().delete()
        page = sign_in(shop).get(f"/a/{shop.account.pk}/").content.decode()
        assert "No job has reported yet" in page
        assert "RUNBELL_URL=http://testserver" in page

    def test_as_many_queries_for_many_jobs_as_for_one(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        for n in range(5):
            job = Job.objects.create(account=shop.account, environment=shop.job.environment, name=f"job {n}", created_at=NOW)
            for ago in range(3):
                make_run(shop, job=job, ago=ago)
        client = sign_in(shop)
        client.get(f"/a/{shop.account.pk}/")
        with django_assert_max_num_queries(16):
            client.get(f"/a/{shop.account.pk}/")

    def test_only_the_last_thirty_runs_are_drawn(self, shop: Acme) -> None:
        for n in range(32):
            make_run(shop, "failed" if n > 29 else "succeeded", ago=n + 1)
        page = sign_in(shop).get(f"/a/{shop.account.pk}/").content.decode()
        assert "Last runs: 30 succeeded" in page


class TestJob:
    def test_runs_and_who_hears(self, shop: Acme, told: Run) -> None:
        page = sign_in(shop, Role.VIEWER).get(f"/a/{shop.account.pk}/jobs/{shop.job.pk}").content.decode()
        for words in ("ada@acme.test", "dana@acme.test", "1 told, 1 not", "orders"):
            assert words in page
        assert f"/a/{shop.account.pk}/runs/{told.pk}" in page

    def test_a_rule_for_all_jobs_says_so(self, shop: Acme) -> None:
        shop.rule(shop.destination(), environment=True)
        page = sign_in(shop).get(f"/a/{shop.account.pk}/jobs/{shop.job.pk}").content.decode()
        assert '<span class="via">all jobs</span>' in page

    def test_older_runs_are_on_the_next_page(self, shop: Acme) -> None:
        runs = [make_run(shop, "succeeded", ago=40 - n) for n in range(32)]
        client = sign_in(shop)
        base = f"/a/{shop.account.pk}/jobs/{shop.job.pk}"
        assert f"?before={runs[2].pk}#runs" in client.get(base).content.decode()
        assert f"/runs/{runs[1].pk}" in client.get(f"{base}?before={runs[2].pk}").content.decode()
        assert client.get(f"{base}?before=x").status_code == 200


class TestRun:
    def test_what_broke_who_was_told_and_who_was_not(self, shop: Acme, told: Run) -> None:
        page = sign_in(shop).get(f"/a/{shop.account.pk}/runs/{told.pk}").content.decode()
        assert "nightly failed" in page
        assert "no such column &lt;x&gt;" in page
        assert "Done. &lt;b&gt;PASS=1&lt;/b&gt;" in page
        assert re.search(r"1 was told</h2>.*ada@acme\.test.*1 was not</h2>.*dana@acme\.test", page, re.DOTALL)
        assert 'id="why"' in page

    def test_a_late_end_is_shown(self, shop: Acme, told: Run) -> None:
        told.late_end = {"outcome": "succeeded", "because": BECAUSE["succeeded"], "finished_at": NOW.isoformat()}
        told.save()
        page = sign_in(shop).get(f"/a/{shop.account.pk}/runs/{told.pk}").content.decode()
        assert "Later another end was reported" in page

    def test_a_merged_run_leads_to_the_one_it_went_into(self, shop: Acme, told: Run) -> None:
        young = make_run(shop, "", ago=0)
        young.merged_into = told
        young.save()
        answer = sign_in(shop).get(f"/a/{shop.account.pk}/runs/{young.pk}")
        assert answer["Location"] == f"/a/{shop.account.pk}/runs/{told.pk}"

    def test_a_running_one(self, shop: Acme) -> None:
        run = make_run(shop, "")
        page = sign_in(shop).get(f"/a/{shop.account.pk}/runs/{run.pk}").content.decode()
        assert "nightly is running" in page
        assert "Nobody was told yet" in page

    def test_only_web_addresses_become_links(self, shop: Acme, told: Run) -> None:
        told.trigger = {"url": "javascript:alert(1)"}
        told.save()
        assert "javascript:" not in sign_in(shop).get(f"/a/{shop.account.pk}/runs/{told.pk}").content.decode()

    def test_the_number_of_queries_is_fixed(self, shop: Acme, told: Run, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        client = sign_in(shop)
        client.get(f"/a/{shop.account.pk}/runs/{told.pk}")
        with django_assert_max_num_queries(16):
            client.get(f"/a/{shop.account.pk}/runs/{told.pk}")


class TestDeliveries:
    def test_filter_and_tries(self, shop: Acme, told: Run) -> None:
        delivery = Delivery.objects.get()
        Delivery.objects.update(state="dead", attempts=1, last_because={"code": "smtp_address_unknown", "params": {"text": "no such user"}})
        Attempt.objects.create(delivery=delivery, at=NOW, took=0.2, verdict="dead", because={"code": "smtp_address_unknown", "params": {}})
        client, log = sign_in(shop), f"/a/{shop.account.pk}/deliveries"
        assert "nightly" in client.get(f"{log}?state=dead").content.decode()
        assert "No message fits. Look without:" in client.get(f"{log}?state=sent").content.decode()
        opened = client.get(f"{log}?open={delivery.pk}").content.decode()
        assert "Given up" in opened
        assert "There is no such address" in opened
        assert "1 message in 24 hours, 1 did not arrive" in opened

    def test_account_mail_is_nobody_elses_matter(self, shop: Acme) -> None:
        delivery = Delivery.objects.create(account=shop.account, purpose="account", lane="email", due_at=NOW, created_at=NOW)
        keep_mail(shop, delivery)
        client = sign_in(shop)
        assert "Nothing here" in client.get(f"/a/{shop.account.pk}/deliveries").content.decode()
        assert "No mail yet" in client.get(f"/a/{shop.account.pk}/mailbox").content.decode()


class TestMailbox:
    @pytest.mark.parametrize(("view", "words"), [("text", "the text twin"), ("headers", "List-Unsubscribe-Post"), ("html", 'sandbox=""')])
    def test_ways_to_look_at_a_mail(self, shop: Acme, item: MailboxItem, view: str, words: str) -> None:
        assert words in sign_in(shop).get(f"/a/{shop.account.pk}/mailbox?show={view}").content.decode()


def unsubscribe_path(destination: Destination | None) -> str:
    assert destination is not None
    return "/u/" + unsubscribe_url(destination, 1).partition("/u/")[2]


class TestUnsubscribe:
    def test_looking_changes_nothing(self, shop: Acme, client: Client) -> None:
        rule = shop.rule(shop.destination())
        page = client.get(unsubscribe_path(rule.destination))
        assert "Nothing has changed yet" in page.content.decode()
        assert page["Referrer-Policy"] == "same-origin"
        assert Rule.objects.count() == 1

    def test_one_click_takes_everything_of_this_address_and_nothing_else(self, shop: Acme) -> None:
        destination, other = shop.destination(), shop.destination(Role.DEVELOPER)
        shop.rule(destination)
        shop.rule(destination, Outcome.WARNED, environment=True)
        kept = shop.rule(other)
        client = Client(enforce_csrf_checks=True)
        answer = client.post(unsubscribe_path(destination), {"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
        assert "2 rules were removed" in answer.content.decode()
        assert list(Rule.objects.all()) == [kept]
        entry = AuditEntry.objects.get(action="email.unsubscribe")
        assert (entry.subject, entry.before, entry.after["rules"]) == ("ada@acme.test", {"rules": 2}, 0)
        destination.refresh_from_db()
        assert destination.revision == 2

    def test_twice_is_as_once(self, shop: Acme, client: Client) -> None:
        path = unsubscribe_path(shop.rule(shop.destination()).destination)
        assert [client.post(path).status_code for _ in range(2)] == [200, 200]
        assert Unsubscription.objects.count() == 1

    def test_undo_brings_the_rules_back_once(self, shop: Acme, client: Client) -> None:
        destination = shop.destination()
        shop.rule(destination)
        shop.rule(destination, Outcome.WARNED, environment=True)
        path = unsubscribe_path(destination)
        client.post(path)
        assert [client.post(f"{path}/undo").status_code for _ in range(2)] == [302, 302]
        assert "the rules are back" in client.get(f"{path}?undone=1").content.decode()
        rows = set(destination.rules.values_list("job", "environment", "outcome", "set_by"))
        assert rows == {
            (shop.job.pk, None, "failed", shop.admin.pk),
            (None, shop.job.environment_id, "warned", shop.admin.pk),
        }

    def test_undo_ends_after_a_day_and_skips_what_is_gone(self, shop: Acme, client: Client) -> None:
        destination = shop.destination()
        shop.rule(destination)
        path = unsubscribe_path(destination)
        client.post(path)
        Unsubscription.objects.update(at=timezone.now() - timedelta(hours=25))
        client.post(f"{path}/undo")
        assert not destination.rules.exists()
        Unsubscription.objects.update(at=timezone.now())
        Job.objects.update(state=2)
        client.post(f"{path}/undo")
        assert not destination.rules.exists()

    def test_the_token_is_checked_against_every_key_and_the_generation(self, shop: Acme, client: Client, settings: Settings) -> None:
        destination = shop.rule(shop.destination()).destination
        path = unsubscribe_path(destination)
        assert len(path.rsplit("/", 1)[1]) == 22
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key" * 5, [settings.SECRET_KEY]
        assert client.get(path).status_code == 200
        settings.SECRET_KEY_FALLBACKS = []
        assert client.get(path).status_code == 404
        raised = unsubscribe_path(destination)
        Destination.objects.update(generation=2)
        assert client.post(raised).status_code == 404
        assert client.post(f"{raised[:-3]}äöü").status_code == 404
        assert Rule.objects.count() == 1

    @pytest.mark.parametrize("role", list(Role))
    def test_every_member_may_stop_their_own_mail_and_take_it_back(self, shop: Acme, role: Role) -> None:
        shop.rule(shop.destination(role))
        client, page = sign_in(shop, role), f"/a/{shop.account.pk}/settings/notifications/email"
        assert "Unsubscribe from all email notifications" in client.get(page).content.decode()
        client.post(f"{page}/unsubscribe")
        assert not Rule.objects.exists()
        assert "Bring back the 1 rule removed by unsubscribing" in client.get(page).content.decode()
        client.post(f"{page}/undo")
        assert Rule.objects.count() == 1
        assert AuditEntry.objects.get(action="email.unsubscribe").member == shop.members[role]

    def test_a_forged_request_does_not_stop_a_members_mail(self, shop: Acme) -> None:
        shop.rule(shop.destination())
        client = Client(enforce_csrf_checks=True)
        client.force_login(shop.admin.user)
        assert client.post(f"/a/{shop.account.pk}/settings/notifications/email/unsubscribe").status_code == 403
        assert Rule.objects.exists()


class TestBars:
    line = RunLine(1, "succeeded", NOW, NOW + timedelta(seconds=60))

    @pytest.mark.parametrize(("seconds", "height"), [(60, 12), (600, 24), (1, 3), (120, 24), (30, 6)])
    def test_half_the_height_is_the_usual_duration(self, seconds: int, height: int) -> None:
        run = replace(self.line, finished_at=NOW + timedelta(seconds=seconds))
        assert row_of([run], 60)[-1] == (("ok", 174, 24 - height, 4, height),)

    @pytest.mark.parametrize(
        ("outcome", "classes"),
        [("warned", ["warn", "warn"]), ("failed", ["track", "fail"]), ("cancelled", ["stop"]), ("", ["run", "run", "run"])],
    )
    def test_outcomes_differ_in_shape(self, outcome: str, classes: list[str]) -> None:
        bars = row_of([replace(self.line, outcome=outcome)], 60)
        assert len(bars) == 30
        assert [rect[0] for rect in bars[-1]] == classes
        assert bars[0][0][0] == "none"

    def test_tally_is_in_reading_order(self) -> None:
        runs = [replace(self.line, outcome=word) for word in ("failed", "succeeded", "failed", "")]
        assert tally(runs) == {"succeeded": 1, "failed": 2, "": 1}
