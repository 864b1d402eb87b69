"""The home page: what it says of all jobs, what it shows of many, who is not heard, and that it is followed cheaply."""

import gzip
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Destination, Environment, Job, Member, Run, Token
from runbell.server.services import home_pages, live
from runbell.server.services.access import Actor
from runbell.server.services.pauses import pause_job
from tests.server.people import NOW, Acme, acme
from tests.server.test_pages import make_run, sign_in

pytestmark = pytest.mark.django_db


def add_jobs(shop: Acme, *names: str, environment: str = "Production") -> list[Job]:
    project = shop.job.environment.project
    place, _ = Environment.objects.get_or_create(
        account=shop.account, project=project, name=environment, state=1, defaults={"created_at": NOW}
    )
    return [Job.objects.create(account=shop.account, environment=place, name=name, created_at=NOW) for name in names]


def home(shop: Acme, query: str = "", role: Role = Role.ACCOUNT_ADMIN) -> str:
    return sign_in(shop, role).get(f"/a/{shop.account.pk}/{query}").content.decode()


def listed(page: str) -> list[str]:
    return re.findall(r'<tr role="row" id="j\d+">.*?<a href="[^"]+">([^<]+)</a>', page, re.DOTALL)


class TestCounts:
    def test_filters_count_all_jobs_and_show_theirs(self, shop: Acme) -> None:
        good, warned, running = add_jobs(shop, "good", "warned", "running")
        shop.rule(shop.destination(), environment=True)
        make_run(shop)
        make_run(shop, "succeeded", job=good)
        make_run(shop, "warned", job=warned)
        make_run(shop, "failed", job=running, ago=2)
        make_run(shop, "", job=running)
        page = home(shop)
        assert "<h1>2 jobs are failing, 1 is running</h1>" in page
        assert "4 jobs: 1 succeeded, 1 failed, 1 warned, 1 running" in page
        for word, names in {"failing": ["nightly", "running"], "warned": ["warned"], "running": ["running"], "deaf": []}.items():
            assert listed(home(shop, f"?show={word}")) == names
        assert listed(home(shop, "?show=nonsense")) == ["good", "nightly", "running", "warned"]

    def test_hidden_and_deleted_jobs_are_left_out(self, shop: Acme) -> None:
        hidden, deleted = add_jobs(shop, "hidden", "deleted")
        hidden.hidden_at, deleted.state = NOW, 2
        hidden.save()
        deleted.save()
        assert listed(home(shop)) == ["nightly"]

    def test_a_run_that_was_merged_away_counts_for_nothing(self, shop: Acme) -> None:
        good = make_run(shop, "succeeded", ago=2)
        bad = make_run(shop, "failed")
        Run.objects.filter(pk=bad.pk).update(merged_into=good)
        assert "<h1>No job is failing</h1>" in home(shop)

    def test_search_knows_capitals_and_all_words(self, shop: Acme) -> None:
        add_jobs(shop, "Ночная сборка", "ночной отчёт")
        assert listed(home(shop, "?q=СБОРКА ночная")) == ["Ночная сборка"]
        page = home(shop, "?q=%3Cscript%3E")
        assert "No job has these words in its name." in page
        assert "<script>" not in page


class TestMany:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(home_pages, "LIMIT", 12)
        monkeypatch.setattr(home_pages, "TOP", 3)

    def test_some_of_each_environment_and_a_way_to_the_rest(self, shop: Acme) -> None:
        add_jobs(shop, *(f"p{n:02}" for n in range(20)))
        add_jobs(shop, *(f"s{n:02}" for n in range(20)), environment="Staging")
        page = home(shop)
        assert len(listed(page)) == 12
        place = shop.job.environment_id
        assert f'href="?environment={place}"' in page
        assert "Show all 21 jobs" in page
        first = home(shop, f"?environment={place}")
        assert listed(first) == ["nightly", *(f"p{n:02}" for n in range(11))]
        more = re.search(r'href="\?(environment=\d+&amp;after=\d+)"', first)
        assert more
        assert listed(home(shop, "?" + more[1].replace("&amp;", "&"))) == [f"p{n:02}" for n in range(11, 20)]

    def test_with_more_environments_than_room_the_last_show_their_head(self, shop: Acme) -> None:
        for n in range(5):
            add_jobs(shop, *(f"j{k}" for k in range(6)), environment=f"E{n}")
        page = home(shop)
        assert len(listed(page)) == 12
        assert page.count('class="group"') == 6

    def test_the_top_lists_are_short(self, shop: Acme) -> None:
        for job in add_jobs(shop, *(f"p{n}" for n in range(5))):
            make_run(shop, job=job)
        page = home(shop)
        assert page.count('<li class="trouble"') == 3
        assert '<a class="textlink" href="?show=failing">All 5</a>' in page

    def test_queries_do_not_grow(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        for n in range(4):
            for job in add_jobs(shop, *(f"j{k}" for k in range(6)), environment=f"E{n}"):
                make_run(shop, job=job)
        pause_job(Actor(shop.admin), shop.job.pk, until=timezone.now() + timedelta(hours=1), now=timezone.now())
        client = sign_in(shop)
        client.get(f"/a/{shop.account.pk}/")
        with django_assert_max_num_queries(16):
            client.get(f"/a/{shop.account.pk}/")


@pytest.mark.parametrize("query", ["?show=warned", "?q=nothing+like+it", "?environment=999999"])
def test_where_nothing_is_shown_everything_is_a_click_away(shop: Acme, query: str) -> None:
    assert re.search(rf'No job here</h2>.*<a href="/a/{shop.account.pk}/">Show all jobs', home(shop, query))


class TestThousands:
    def test_five_thousand_jobs_cost_what_five_hundred_do(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        """500 lines with 30 runs each are drawn, trouble is above them, and the rest is a click or a search away."""
        names = (f"job {n:05}" for n in range(5_000))
        places = (Job(account=shop.account, environment=shop.job.environment, name=name, created_at=NOW) for name in names)
        start, jobs = timezone.now() - timedelta(hours=1), Job.objects.bulk_create(places)
        runs = (
            (job, start - timedelta(hours=n), timedelta(seconds=30 + (job.pk * 37 + n * 61) % 600)) for n in range(30) for job in jobs[:500]
        )
        Run.objects.bulk_create(
            Run(
                account=shop.account,
                job=job,
                state="finished",
                outcome=("succeeded", "succeeded", "warned", "failed")[(job.pk + at.hour) % 4],
                started_at=at,
                finished_at=at + took,
                received_at=at + took,
            )
            for job, at, took in runs
        )
        client = sign_in(shop)
        client.get(f"/a/{shop.account.pk}/")
        with django_assert_max_num_queries(16):
            answer = client.get(f"/a/{shop.account.pk}/", headers={"Accept-Encoding": "gzip"})
        assert answer["Content-Encoding"] == "gzip"
        assert len(answer.content) < 150_000
        page = gzip.decompress(answer.content).decode()
        assert len(listed(page)) == home_pages.LIMIT
        assert "Show all 5001 jobs" in page.replace(",", "")


class TestNobodyHears:
    """A job is heard while a rule for failures reaches an address that takes messages."""

    def deaf(self, shop: Acme) -> bool:
        return "For 1 job nobody hears about a failure." in home(shop)

    @pytest.mark.parametrize("environment", [True, False])
    def test_a_rule_for_failures_is_what_counts(self, shop: Acme, environment: bool) -> None:
        assert self.deaf(shop)
        destination = shop.destination()
        shop.rule(destination, Outcome.SUCCEEDED, environment=environment)
        assert self.deaf(shop)
        assert "not if it fails" in home(shop)
        shop.rule(destination, environment=environment)
        assert not self.deaf(shop)

    def test_addresses_that_get_nothing_do_not_count(self, shop: Acme) -> None:
        shop.rule(shop.destination(Role.DEVELOPER))
        assert not self.deaf(shop)
        Destination.objects.update(disabled_because={"code": "smtp_address_unknown", "params": {}})
        assert self.deaf(shop)
        Destination.objects.update(disabled_because=None)
        Member.objects.filter(pk=shop.members[Role.DEVELOPER].pk).update(is_active=False)
        assert self.deaf(shop)
        Member.objects.update(is_active=True)
        assert not self.deaf(shop)
        user = shop.members[Role.DEVELOPER].user
        user.is_active = False
        user.save()
        assert self.deaf(shop)
        Destination.objects.update(state=2)
        user.is_active = True
        user.save()
        assert self.deaf(shop)

    def test_who_hears_of_the_environment_and_of_the_job_counts_once(self, shop: Acme) -> None:
        both, part, own = map(shop.destination, (Role.ACCOUNT_ADMIN, Role.DEVELOPER, Role.VIEWER))
        shop.rule(both, environment=True)
        shop.rule(both)
        shop.rule(part, Outcome.SUCCEEDED, environment=True)
        shop.rule(part)
        shop.rule(own, Outcome.WARNED)
        page = home_pages.home_page(Actor(shop.admin), home_pages.Wish(), now=NOW)
        assert page
        (line,) = page.groups[0].lines
        assert (line.hears, line.hears_failure) == (3, 2)

    def test_a_refusal_that_did_not_disable_leaves_it_heard(self, shop: Acme) -> None:
        shop.rule(shop.destination())
        for destination in (found := list(Destination.objects.all())):
            destination.refusals = 1
        Destination.objects.bulk_update(found, ["refusals", "disabled_because"])  # writes null as the worker does
        assert not self.deaf(shop)

    def test_the_way_out_is_for_who_may_take_it(self, shop: Acme) -> None:
        make_run(shop)
        assert "Choose who hears" in home(shop)
        assert "Choose it for yourself" in home(shop, role=Role.DEVELOPER)
        page = home(shop, role=Role.VIEWER)
        assert "nobody" in page
        assert "Choose" not in page


class TestLive:
    @pytest.fixture(autouse=True)
    def no_tick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pages are drawn anew every minute; not in the middle of a test."""
        monkeypatch.setattr(live, "SLOW", 10**12)
        monkeypatch.setattr(live, "FAST", 10**12)

    def look(self, client: Client, shop: Acme, etag: str, query: str = "") -> int:
        return client.get(f"/a/{shop.account.pk}/{query}", headers={"HX-Request": "true", "If-None-Match": etag}).status_code

    def test_what_changes_is_seen_and_else_nothing_is_sent(self, shop: Acme) -> None:
        client = sign_in(shop)

        def etag() -> str:
            return str(client.get(f"/a/{shop.account.pk}/")["ETag"])

        known = etag()
        shop.rule(shop.destination())
        run = make_run(shop, "")
        Run.objects.filter(pk=run.pk).update(lost_at=timezone.now() + timedelta(hours=1))
        started = etag()
        Run.objects.filter(pk=run.pk).update(lost_at=None, outcome="failed", state="finished")
        ended = etag()
        pause_job(Actor(shop.admin), shop.job.pk, until=timezone.now() + timedelta(hours=1), now=timezone.now())
        paused = etag()
        Destination.objects.update(updated_at=timezone.now())
        refused = etag()
        assert len({known, started, ended, paused, refused}) == 5

    def test_the_same_is_not_sent_again(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        client = sign_in(shop)
        page = client.get(f"/a/{shop.account.pk}/")
        etag = page["ETag"]
        assert etag.strip('"') in page.content.decode()  # the script begins with it
        with django_assert_max_num_queries(7):
            assert self.look(client, shop, etag) == 304
        assert self.look(client, shop, f"W/{etag}") == 304  # as a proxy that compresses makes it
        assert self.look(client, shop, etag, "?show=failing") == 200
        assert self.look(sign_in(shop, Role.VIEWER), shop, etag) == 200
        assert self.look(sign_in(acme("Other", "other.test")), shop, etag) == 404
        assert self.look(Client(), shop, etag) == 302

    def test_a_look_gets_the_part_that_changes(self, shop: Acme) -> None:
        part = sign_in(shop).get(f"/a/{shop.account.pk}/", headers={"HX-Request": "true"}).content.decode()
        assert part.startswith('<div id="home" data-every="15">')
        assert 'class="top"' not in part

    def test_the_language_is_part_of_what_is_known(self, shop: Acme) -> None:
        client = sign_in(shop)
        etag = client.get(f"/a/{shop.account.pk}/")["ETag"]
        shop.admin.user.language = "ru"
        shop.admin.user.save()
        assert self.look(client, shop, etag) == 200


class TestFirstRun:
    @pytest.fixture(autouse=True)
    def empty(self, shop: Acme) -> None:
        Job.objects.all().delete()

    def test_four_steps_and_a_token_made_there_shown_once(self, shop: Acme) -> None:
        client, base = sign_in(shop), f"/a/{shop.account.pk}/"
        page = client.get(base).content.decode()
        for step in ("The server is up", "Make a token", "Put Runbell in front of a dbt command", "Choose who hears"):
            assert step in page
        once = re.search(r'name="once" value="([^"]+)"', page)
        assert once
        made = client.post(f"{base}first-run/token", {"once": once[1]}).content.decode()
        token = re.search(r"rb_\w{8}_\w{32}", made)
        assert token
        assert f"RUNBELL_TOKEN={token[0]}" in made
        assert token[0] not in client.get(base).content.decode()
        job = {"project": "shop", "environment": "Production", "name": "first"}
        report = {"version": 1, "key": "k", "state": "started", "started_at": "2026-11-24T02:00:00Z", "job": job}
        sent = Client().post("/api/runbell/v1/runs", report, "application/json", headers={"Authorization": f"Bearer {token[0]}"})
        assert sent.status_code < 300
        jobs = f"/api/v2/accounts/{shop.account.pk}/jobs/"
        assert Client().get(jobs, headers={"Authorization": f"Bearer {token[0]}"}).status_code == 403

    def test_sent_twice_it_makes_one(self, shop: Acme) -> None:
        client, path = sign_in(shop), f"/a/{shop.account.pk}/first-run/token"
        before = Token.objects.count()
        client.post(path, {"once": "x"})
        again = client.post(path, {"once": "x"}, follow=True)
        assert "That token was already made." in again.content.decode()
        assert Token.objects.count() == before + 1
        assert client.get(path)["Location"] == f"/a/{shop.account.pk}/"

    @pytest.mark.parametrize("role", [Role.NOTIFICATION_MANAGER, Role.DEVELOPER, Role.VIEWER])
    def test_others_are_told_whom_to_ask(self, shop: Acme, role: Role) -> None:
        page = home(shop, role=role)
        assert "An admin of the account makes it: ada@acme.test." in page
        assert "first-run/token" not in page

    def test_it_waits_for_the_first_report(self, shop: Acme, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(live, "SLOW", 10**12)
        client, base = sign_in(shop), f"/a/{shop.account.pk}/"
        page = client.get(base)
        headers = {"HX-Request": "true", "HX-Target": "first-run", "If-None-Match": page["ETag"]}
        assert "Waiting for the first report" in page.content.decode()
        assert client.get(base, headers=headers).status_code == 304
        add_jobs(shop, "first")
        make_run(shop, "", job=Job.objects.get())
        assert client.get(base, headers=headers)["HX-Redirect"] == base
