"""Old names: reports that still use them land where the name leads, at the cost of a known job, also while a merge is under way."""

from collections.abc import Callable
from threading import Event, Thread
from types import ModuleType
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from runbell.core.permissions import Permission
from runbell.core.runs import JobRef
from runbell.server.db.models import Environment, EnvironmentAlias, Job, JobAlias, Project, Rule, Run
from runbell.server.services import job_merges, job_settings, runs
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.job_places import Kind
from runbell.server.services.jobs import find_job
from runbell.server.services.tokens import create_token
from tests.server.people import NOW, Acme, acme
from tests.server.test_reports import STARTED, post

pytestmark = pytest.mark.django_db
COUNT = iter(range(10**6))


def report(
    shop: Acme, name: str = "nightly", environment: str = "Production", project: str = "shop", token: str = "", **fields: Any
) -> Any:
    job = {"project": project, "environment": environment, "name": name}
    return post(STARTED | {"key": f"cli:{next(COUNT)}", "job": job} | fields, token or shop.token)


def job_of(answer: Any) -> Job:
    assert answer.status_code == 201, answer.content
    return Run.objects.get(pk=answer.json()["id"]).job


def rename(shop: Acme, kind: Kind, key: int, name: str, **more: Any) -> str:
    return job_settings.rename(Actor(shop.admin), kind, key, name, now=NOW, **more)


def merge(shop: Acme, source: Any, target: Any, kind: Kind = Kind.JOB) -> job_merges.Merging:
    return job_merges.merge(Actor(shop.admin), kind, source.pk, target.pk, now=NOW)


class TestOldNames:
    @pytest.mark.parametrize("kind", list(Kind))
    def test_a_report_with_the_old_name_lands_in_the_renamed(self, shop: Acme, kind: Kind) -> None:
        keys = {Kind.JOB: shop.job.pk, Kind.ENVIRONMENT: shop.job.environment_id, Kind.PROJECT: shop.job.environment.project_id}
        rename(shop, kind, keys[kind], "renamed")
        assert job_of(report(shop)) == shop.job
        now = {Kind.JOB: {"name": "renamed"}, Kind.ENVIRONMENT: {"environment": "renamed"}, Kind.PROJECT: {"project": "renamed"}}
        assert job_of(report(shop, **now[kind])) == shop.job
        assert (Project.objects.count(), Environment.objects.count(), Job.objects.count()) == (1, 1, 1)

    def test_all_three_old_at_once_and_a_new_job_in_an_old_environment(self, shop: Acme) -> None:
        rename(shop, Kind.JOB, shop.job.pk, "each night")
        rename(shop, Kind.ENVIRONMENT, shop.job.environment_id, "prod")
        rename(shop, Kind.PROJECT, shop.job.environment.project_id, "store")
        assert job_of(report(shop)) == shop.job
        assert job_of(report(shop, "new")).environment_id == shop.job.environment_id

    def test_every_name_it_ever_had_works(self, shop: Acme) -> None:
        for name in ("b", "c", "nightly", "d"):
            rename(shop, Kind.JOB, shop.job.pk, name)
        assert {job_of(report(shop, name)).pk for name in ("nightly", "b", "c", "d")} == {shop.job.pk}
        assert set(JobAlias.objects.values_list("name", flat=True)) == {"b", "c", "nightly"}

    def test_names_can_be_swapped(self, shop: Acme) -> None:
        other = job_of(report(shop, "hourly"))
        rename(shop, Kind.JOB, shop.job.pk, "tmp")
        rename(shop, Kind.JOB, other.pk, "nightly", take_old_name=True)
        rename(shop, Kind.JOB, shop.job.pk, "hourly", take_old_name=True)
        assert job_of(report(shop, "nightly")) == other
        assert job_of(report(shop, "hourly")) == shop.job

    def test_an_old_name_is_only_taken_when_asked(self, shop: Acme) -> None:
        other = job_of(report(shop, "hourly"))
        rename(shop, Kind.JOB, shop.job.pk, "each night")
        with pytest.raises(job_settings.OldNameTaken) as caught, transaction.atomic():
            rename(shop, Kind.JOB, other.pk, "nightly")
        assert caught.value.label == "each night · Production · shop"
        assert job_of(report(shop)) == shop.job

    def test_a_forgotten_name_makes_a_new_job(self, shop: Acme) -> None:
        rename(shop, Kind.JOB, shop.job.pk, "each night")
        job_settings.forget_alias(Actor(shop.admin), Kind.JOB, shop.job.pk, JobAlias.objects.get().pk, now=NOW)
        assert job_of(report(shop)) != shop.job

    def test_names_of_another_account_lead_nowhere(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        rename(shop, Kind.PROJECT, shop.job.environment.project_id, "store")
        assert job_of(report(other)) == other.job
        Project.objects.filter(account=other.account).update(name="mine")
        assert job_of(report(other)).environment.project.account_id == other.account.pk

    def test_check_knows_old_names_and_counts_who_would_hear_of_a_new_job(self, shop: Acme) -> None:
        shop.rule(shop.destination(), environment=True)
        rename(shop, Kind.ENVIRONMENT, shop.job.environment_id, "prod")

        def check(job: str) -> Any:
            query = {"project": "shop", "environment": "Production", "job": job}
            return Client().get("/api/runbell/v1/check", query, headers={"Authorization": f"Bearer {shop.token}"}).json()["job"]

        assert (check("nightly")["id"], check("nightly")["hears"]["failed"]) == (shop.job.pk, 1)
        assert (check("new")["known"], check("new")["hears"]["failed"]) == (False, 1)
        assert check("nightly")["known"]


class TestHeldTokens:
    def held(self, shop: Acme) -> str:
        return create_token(member=shop.admin, name="held", permissions=[Permission.REPORT], now=NOW, project=shop.job.environment.project)

    def test_they_follow_a_rename(self, shop: Acme) -> None:
        held = self.held(shop)
        rename(shop, Kind.PROJECT, shop.job.environment.project_id, "store")
        assert job_of(report(shop, token=held)) == shop.job
        assert job_of(report(shop, "new", project="store", token=held)).environment.project.name == "store"
        assert report(shop, project="other", token=held).status_code == 404
        assert not Project.objects.filter(name="other").exists()

    def test_they_stop_with_their_project(self, shop: Acme) -> None:
        held = self.held(shop)
        job_settings.delete(Actor(shop.admin), Kind.PROJECT, shop.job.environment.project_id, now=NOW)
        assert report(shop, token=held).status_code == 404
        assert Project.objects.count() == 1


class TestQueries:
    def count(self, call: Callable[[], object]) -> int:
        with CaptureQueriesContext(connection) as captured:
            call()
        return len(captured)

    def test_a_known_job_is_found_in_one(self, shop: Acme) -> None:
        rename(shop, Kind.JOB, job_of(report(shop, "other")).pk, "another")
        ref = JobRef("shop", "Production", "nightly")
        assert self.count(lambda: find_job(ref, account_id=shop.account.pk)) == 1
        with transaction.atomic():
            assert self.count(lambda: find_job(ref, account_id=shop.account.pk, lock=True)) == 1

    def test_an_old_name_costs_three_more_however_many_there_are(self, shop: Acme) -> None:
        for name in ("a", "b", "c"):
            rename(shop, Kind.JOB, shop.job.pk, name)
        ref = JobRef("shop", "Production", "nightly")
        assert self.count(lambda: find_job(ref, account_id=shop.account.pk)) == 4


class TestAfterDeletion:
    def test_a_deleted_job_that_reports_again_is_a_new_one_of_that_name(self, shop: Acme) -> None:
        shop.rule(shop.destination())
        job_settings.delete(Actor(shop.admin), Kind.JOB, shop.job.pk, now=NOW)
        fresh = job_of(report(shop))
        assert (fresh.name, fresh.state, fresh.rules.count()) == ("nightly", 1, 0)
        assert fresh != shop.job
        assert Rule.objects.count() == 1

    def test_an_old_name_of_a_deleted_job_leads_nowhere(self, shop: Acme) -> None:
        rename(shop, Kind.JOB, shop.job.pk, "each night")
        job_settings.delete(Actor(shop.admin), Kind.JOB, shop.job.pk, now=NOW)
        assert job_of(report(shop)) != shop.job

    def test_a_known_run_of_a_deleted_job_still_ends(self, shop: Acme) -> None:
        report(shop, key="cli:x")
        job_settings.delete(Actor(shop.admin), Kind.JOB, shop.job.pk, now=NOW)
        again = report(shop, key="cli:x")
        assert again.status_code == 200
        assert Run.objects.get().job_id == shop.job.pk


class TestAfterMerging:
    def test_reports_with_the_merged_name_land_in_the_target(self, shop: Acme) -> None:
        typo = job_of(report(shop, "nightyl"))
        merge(shop, typo, shop.job)
        assert job_of(report(shop, "nightyl")) == shop.job
        assert Run.objects.filter(job=shop.job).count() == 2

    def test_across_environments_and_from_old_names_of_the_merged(self, shop: Acme) -> None:
        typo = job_of(report(shop, "nightly", "Prodction"))
        rename(shop, Kind.JOB, typo.pk, "nightyl")
        merge(shop, typo, shop.job)
        assert job_of(report(shop, "nightyl", "Prodction")) == shop.job
        assert job_of(report(shop, "nightly", "Prodction")) == shop.job

    def test_merging_twice_follows_through(self, shop: Acme) -> None:
        first, second = job_of(report(shop, "a")), job_of(report(shop, "b"))
        merge(shop, first, second)
        merge(shop, second, shop.job)
        assert {job_of(report(shop, name)).pk for name in ("a", "b")} == {shop.job.pk}

    def test_a_known_run_goes_on_where_it_went(self, shop: Acme) -> None:
        typo = job_of(report(shop, "nightyl", key="cli:x"))
        merge(shop, typo, shop.job)
        again = report(shop, "nightyl", key="cli:x")
        assert again.status_code == 200
        assert (Run.objects.get().job_id, Run.objects.count()) == (shop.job.pk, 1)

    def test_environments_with_all_their_names(self, shop: Acme) -> None:
        same, moved = job_of(report(shop, "nightly", "Prodction")), job_of(report(shop, "hourly", "Prodction"))
        renamed = job_of(report(shop, "old", "Prodction"))
        rename(shop, Kind.JOB, renamed.pk, "new")
        merge(shop, same.environment, shop.job.environment, Kind.ENVIRONMENT)
        assert job_of(report(shop, "nightly", "Prodction")) == shop.job
        assert {job_of(report(shop, "hourly", place)).pk for place in ("Production", "Prodction")} == {moved.pk}
        assert {job_of(report(shop, "old", place)).pk for place in ("Production", "Prodction")} == {renamed.pk}
        assert job_of(report(shop, "newest", "Prodction")).environment == shop.job.environment
        assert EnvironmentAlias.objects.get().environment == shop.job.environment

    def test_a_name_that_is_old_in_the_target_goes_where_it_leads_there(self, shop: Acme) -> None:
        rename(shop, Kind.JOB, shop.job.pk, "each night")
        typo = job_of(report(shop, "nightly", "Prodction"))
        merge(shop, typo.environment, shop.job.environment, Kind.ENVIRONMENT)
        assert job_of(report(shop, "nightly", "Prodction")) == shop.job
        assert Job.objects.filter(state=1).count() == 1

    def test_projects(self, shop: Acme) -> None:
        other = job_of(report(shop, "nightly", project="shpo"))
        apart = job_of(report(shop, "nightly", "Staging", project="shpo"))
        held = create_token(member=shop.admin, name="h", permissions=[Permission.REPORT], now=NOW, project=other.environment.project)
        merge(shop, other.environment.project, shop.job.environment.project, Kind.PROJECT)
        assert job_of(report(shop, "nightly", project="shpo", token=held)) == shop.job
        assert job_of(report(shop, "nightly", "Staging", project="shop", token=held)) == apart

    def test_not_into_itself_nor_another_accounts_nor_twice(self, shop: Acme) -> None:
        other, typo = acme("Other", "other.test"), job_of(report(shop, "nightyl"))
        for source, target in ((shop.job, shop.job), (shop.job, other.job), (other.job, shop.job)):
            with pytest.raises(NotThere), transaction.atomic():
                merge(shop, source, target)
        merge(shop, typo, shop.job)
        with pytest.raises(NotThere), transaction.atomic():
            merge(shop, typo, shop.job)


@pytest.mark.django_db(transaction=True)
class TestAtTheSameTime:
    """On PostgreSQL; SQLite lets one writing transaction after the other."""

    @pytest.fixture(autouse=True)
    def postgres(self, db: None) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has one writer at a time")

    def aside(self, act: Callable[[], Any]) -> tuple[Thread, list[Any]]:
        """`act` in a thread with a connection of its own, and where its result will be."""
        results: list[Any] = []

        def run() -> None:
            try:
                results.append(act())
            finally:
                connection.close()

        thread = Thread(target=run)
        thread.start()
        return thread, results

    def halt(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> tuple[Event, Event]:
        """The first call of a function stops after its work: `reached`, until `go`."""
        reached, go, real = Event(), Event(), getattr(module, name)

        def halting(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            if not reached.is_set():
                reached.set()
                go.wait(30)
            return result

        monkeypatch.setattr(module, name, halting)
        return reached, go

    def both(self, first: Callable[[], Any], second: Callable[[], Any], reached: Event, go: Event) -> list[Any]:
        """`first` until it halts, then `second`, which has to wait for it; what they returned."""
        one, results = self.aside(first)
        assert reached.wait(30)
        other, more = self.aside(second)
        other.join(1)
        assert other.is_alive(), "the second has to wait for the first"
        go.set()
        for thread in (one, other):
            thread.join(60)
            assert not thread.is_alive()
        return results + more

    def test_a_report_that_found_the_job_before_a_merge_is_moved_by_it(self, shop: Acme, monkeypatch: pytest.MonkeyPatch) -> None:
        typo = job_of(report(shop, "nightyl"))
        halt = self.halt(monkeypatch, runs, "find_or_create_job")
        self.both(lambda: report(shop, "nightyl"), lambda: merge(shop, typo, shop.job), *halt)
        assert Run.objects.filter(job=shop.job).count() == 2

    @pytest.mark.parametrize("fields", [{}, {"key": "cli:known"}], ids=["new", "known"])
    def test_a_report_in_the_middle_of_a_merge_lands_in_the_target(
        self, shop: Acme, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
    ) -> None:
        typo = job_of(report(shop, "nightyl", key="cli:known"))
        halt = self.halt(monkeypatch, job_merges, "_join_rules")
        _, answer = self.both(lambda: merge(shop, typo, shop.job), lambda: report(shop, "nightyl", **fields), *halt)
        assert answer.status_code in (200, 201)
        assert Run.objects.get(pk=answer.json()["id"]).job_id == shop.job.pk
        assert Run.objects.exclude(job=shop.job).count() == 0

    @pytest.mark.parametrize("name", ["nightly", "brand new"])
    def test_a_first_report_beside_a_merge_of_its_environment(self, shop: Acme, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        typo = job_of(report(shop, "nightly", "Prodction")).environment
        halt = self.halt(monkeypatch, job_merges, "_join_rules")
        merging = lambda: merge(shop, typo, shop.job.environment, Kind.ENVIRONMENT)  # noqa: E731
        _, answer = self.both(merging, lambda: report(shop, name, "Prodction"), *halt)
        assert job_of(answer).environment == shop.job.environment
