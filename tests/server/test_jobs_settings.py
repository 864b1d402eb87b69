"""Account settings › Jobs: the tree and its pages, and what becomes of runs, rules and receipts."""

import re
from datetime import timedelta
from typing import Any, get_args

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Delivery, Destination, Environment, Job, JobAlias, Project, Receipt, Rule, Run, State
from runbell.server.services import audit, job_merges, job_settings
from runbell.server.services.access import Actor
from runbell.server.services.destinations import save_setting
from runbell.server.services.job_places import Kind
from runbell.server.services.setting_changes import Change
from tests.server.people import NOW, Acme, acme
from tests.server.test_aliases import job_of, merge, report
from tests.server.test_pages import make_run, sign_in

pytestmark = pytest.mark.django_db
KINDS = list(Kind)


def path(shop: Acme, rest: str = "") -> str:
    return f"/a/{shop.account.pk}/settings/jobs{rest}"


def place(job: Job, kind: Kind = Kind.JOB) -> str:
    keys = {Kind.JOB: job.pk, Kind.ENVIRONMENT: job.environment_id, Kind.PROJECT: job.environment.project_id}
    return f"/{kind}/{keys[kind]}"


def act(shop: Acme, rest: str, **fields: Any) -> Any:
    return sign_in(shop).post(path(shop, rest), fields)


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def add_job(shop: Acme, name: str, environment: str = "Production") -> Job:
    found, _ = Environment.objects.get_or_create(
        account=shop.account, project=shop.job.environment.project, name=environment, state=1, defaults={"created_at": NOW}
    )
    return Job.objects.create(account=shop.account, environment=found, name=name, created_at=NOW)


def rule(destination: Destination, job: Job, outcome: str = "failed") -> Rule:
    return Rule.objects.create(destination=destination, job=job, outcome=outcome, set_at=NOW)


class TestTree:
    def test_it_lists_jobs_with_last_run_rules_and_old_names(self, shop: Acme) -> None:
        shop.rule(shop.destination())
        shop.rule(shop.destination(Role.VIEWER), environment=True)
        make_run(shop, "succeeded")
        job_settings.rename(Actor(shop.admin), Kind.JOB, shop.job.pk, "each night", now=NOW)
        text = text_of(sign_in(shop).get(path(shop)))
        assert "also reported as nightly" in text
        assert 'aria-label="Succeeded"' in text
        assert '<td role="cell" class="num quiet" data-label="Rules">1</td>' in text
        assert "1 job · 1 rule for all jobs" in text

    def test_search_finds_old_names_and_says_when_nothing_is_there(self, shop: Acme) -> None:
        job_settings.rename(Actor(shop.admin), Kind.JOB, shop.job.pk, "each night", now=NOW)
        add_job(shop, "hourly")
        client = sign_in(shop)
        found = text_of(client.get(path(shop, "?q=NIGHTLY")))
        assert "each night" in found
        assert "hourly" not in found
        assert "No job has this in its name" in text_of(client.get(path(shop, "?q=%25%5F")))

    def test_empty_places_are_there_to_be_deleted(self, shop: Acme) -> None:
        Project.objects.create(account=shop.account, name="bare", created_at=NOW)
        shop.job.delete()
        text = text_of(sign_in(shop).get(path(shop)))
        assert "Production" in text
        assert "bare" in text
        assert "No environment" in text

    def test_pages_of_500(self, shop: Acme) -> None:
        more = [Job(account=shop.account, environment=shop.job.environment, name=f"job {n:04}", created_at=NOW) for n in range(600)]
        Job.objects.bulk_create(more)
        client = sign_in(shop)
        assert "Page 1 of 2" in text_of(client.get(path(shop)))
        assert "nightly" in text_of(client.get(path(shop, "?page=2")))
        assert "Page 2 of 2" in text_of(client.get(path(shop, "?page=99")))

    def test_the_number_of_queries_is_fixed(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        for number in range(30):
            rule(shop.destination() if not number else Destination.objects.get(), add_job(shop, f"job {number}", f"env {number % 5}"))
        client = sign_in(shop)
        client.get(path(shop))
        with django_assert_max_num_queries(14):
            client.get(path(shop))
        with django_assert_max_num_queries(12):
            client.get(path(shop, place(shop.job)))


class TestRenaming:
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_says_so_and_is_audited(self, shop: Acme, kind: Kind) -> None:
        answer = act(shop, place(shop.job, kind), do="rename", name="  re\u0301sume\u0301 ")
        assert answer["Location"] == path(shop, place(shop.job, kind))
        entry = AuditEntry.objects.get(action=f"{kind}.rename")
        assert entry.after == {"name": "résumé"}
        assert entry.subject.startswith("résumé")
        assert "résumé" in text_of(sign_in(shop).get(path(shop, place(shop.job, kind))))

    @pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201])
    def test_bad_names(self, shop: Acme, name: str) -> None:
        answer = act(shop, place(shop.job), do="rename", name=name)
        assert answer.status_code == 422
        assert "1 to 200 characters" in text_of(answer)
        shop.job.refresh_from_db()
        assert shop.job.name == "nightly"

    def test_a_name_in_use_offers_to_merge(self, shop: Acme) -> None:
        typo = add_job(shop, "nightyl")
        answer = act(shop, place(typo), do="rename", name="nightly")
        assert answer.status_code == 409
        assert f'href="{path(shop, place(typo))}/merge?into={shop.job.pk}"' in answer.content.decode()

    def test_a_name_in_use_elsewhere_is_free_here(self, shop: Acme) -> None:
        job = add_job(shop, "nightly", "Staging")
        assert act(shop, place(job), do="rename", name="each night").status_code == 302

    def test_an_old_name_asks_first(self, shop: Acme) -> None:
        other = add_job(shop, "hourly")
        act(shop, place(shop.job), do="rename", name="each night")
        asked = act(shop, place(other), do="rename", name="nightly")
        assert asked.status_code == 409
        assert "Reports that say “nightly” go to each night · Production · shop" in text_of(asked)
        assert act(shop, place(other), do="rename", name="nightly", take="1").status_code == 302
        assert job_of(report(shop)) == other

    def test_forgetting_an_old_name(self, shop: Acme) -> None:
        act(shop, place(shop.job), do="rename", name="each night")
        alias = JobAlias.objects.get()
        assert act(shop, place(add_job(shop, "x")), do="forget", alias=alias.pk).status_code == 404
        assert act(shop, place(shop.job), do="forget", alias="nonsense").status_code == 404
        assert act(shop, place(shop.job), do="forget", alias=alias.pk).status_code == 302
        assert not JobAlias.objects.exists()


class TestHiding:
    def test_hidden_is_not_listed_but_recorded_and_told(self, shop: Acme) -> None:
        shop.rule(shop.destination())
        act(shop, place(shop.job), do="hide")
        client = sign_in(shop)
        add_job(shop, "hourly")
        home = client.get(f"/a/{shop.account.pk}/").content.decode()
        assert f"/jobs/{shop.job.pk}" not in home
        make_run(shop)
        assert Delivery.objects.count() == 1
        assert job_of(report(shop)) == shop.job
        assert client.get(f"/a/{shop.account.pk}/jobs/{shop.job.pk}").status_code == 200
        assert "hidden" in text_of(client.get(path(shop)))
        assert client.post(path(shop, f"{place(shop.job)}?do=show")).status_code == 302
        assert f"/jobs/{shop.job.pk}" in client.get(f"/a/{shop.account.pk}/").content.decode()
        assert [entry.action for entry in AuditEntry.objects.filter(action__startswith="job.").order_by("pk")] == ["job.hide", "job.show"]

    def test_only_jobs_are_hidden(self, shop: Acme) -> None:
        assert act(shop, place(shop.job, Kind.PROJECT), do="hide").status_code == 404

    def test_an_unknown_act_changes_nothing(self, shop: Acme) -> None:
        assert act(shop, place(shop.job), do="explode").status_code == 400
        assert act(shop, "/cluster/1", do="hide").status_code == 404


class TestLimit:
    @pytest.mark.parametrize(
        ("typed", "span"), [("90m", timedelta(minutes=90)), (" 6H ", timedelta(hours=6)), ("2 d", timedelta(days=2)), ("", None)]
    )
    def test_it_is_kept_and_shown(self, shop: Acme, typed: str, span: timedelta | None) -> None:
        Job.objects.update(lost_after=timedelta(hours=1))
        assert act(shop, place(shop.job), do="limit", lost_after=typed).status_code == 302
        shop.job.refresh_from_db()
        assert shop.job.lost_after == span
        entry = AuditEntry.objects.get(action="job.limit")
        assert (entry.before, entry.after) == ({"lost_after": 3600.0}, {"lost_after": span and span.total_seconds()})

    def test_runs_that_start_from_then_on_fail_after_it(self, shop: Acme) -> None:
        act(shop, place(shop.job), do="limit", lost_after="90m")
        run = Run.objects.get(pk=report(shop).json()["id"])
        assert run.lost_at == run.received_at + timedelta(minutes=90)

    @pytest.mark.parametrize("typed", ["soon", "0m", "31d", "-5m", "1.5h", "99999d", "٣h"])
    def test_bad_times(self, shop: Acme, typed: str) -> None:
        answer = act(shop, place(shop.job), do="limit", lost_after=typed)
        assert answer.status_code == 422
        assert "from one minute to 30 days" in text_of(answer)
        shop.job.refresh_from_db()
        assert shop.job.lost_after is None


class TestMerging:
    def test_the_question_says_what_goes_where_and_the_answer_does_it(self, shop: Acme) -> None:
        typo, ada = add_job(shop, "nightyl"), shop.destination()
        for outcome in ("failed", "warned"):
            rule(ada, typo, outcome)
        make_run(shop, job=typo)
        url = path(shop, f"{place(typo)}/merge?into={shop.job.pk}")
        client = sign_in(shop)
        asked = text_of(client.get(url))
        for said in ("1 run moves.", "2 rules go along", "Merge nightyl · Production · shop into nightly · Production · shop?"):
            assert said in asked
        assert client.post(url)["Location"] == path(shop, place(shop.job))
        assert {found.job_id for found in Rule.objects.all()} | {run.job_id for run in Run.objects.all()} == {shop.job.pk}
        entry = AuditEntry.objects.get(action="job.merge")
        assert entry.before == {"name": "nightyl · Production · shop", "runs": 1, "rules": 2}
        assert client.get(path(shop, place(typo))).status_code == 404
        assert client.post(url).status_code == 404

    def test_what_both_have_stays_once_and_receipts_keep_a_rule(self, shop: Acme) -> None:
        typo, ada, dana = add_job(shop, "nightyl"), shop.destination(), shop.destination(Role.DEVELOPER)
        kept = rule(ada, shop.job)
        double, moved, warned = rule(ada, typo), rule(dana, typo), rule(ada, typo, "warned")
        make_run(shop, job=typo)
        assert set(Receipt.objects.values_list("rule", flat=True)) == {double.pk, moved.pk}
        merge(shop, typo, shop.job)
        assert set(Rule.objects.values_list("pk", "job")) == {(rule.pk, shop.job.pk) for rule in (kept, moved, warned)}
        assert set(Receipt.objects.values_list("rule", flat=True)) == {kept.pk, moved.pk}

    def test_forms_opened_before_are_stale(self, shop: Acme) -> None:
        typo, ada, dana = add_job(shop, "nightyl"), shop.destination(), shop.destination(Role.DEVELOPER)
        rule(ada, typo)
        rule(dana, shop.job)
        merge(shop, typo, shop.job)
        assert dict(Destination.objects.values_list("pk", "revision")) == {ada.pk: 2, dana.pk: 1}

    def test_environments(self, shop: Acme) -> None:
        same, moved = add_job(shop, "nightly", "Prodction"), add_job(shop, "hourly", "Prodction")
        ada = shop.destination()
        for job in (same, moved, shop.job):
            rule(ada, job)
        for outcome, environment in (("failed", same.environment), ("failed", shop.job.environment), ("warned", same.environment)):
            Rule.objects.create(destination=ada, environment=environment, outcome=outcome, set_at=NOW)
        shop.admin.last_environment = same.environment
        shop.admin.save()
        plan = job_merges.merging(Actor(shop.admin), Kind.ENVIRONMENT, same.environment_id, shop.job.environment_id)
        assert (plan.alike, plan.others, plan.rules) == (1, 1, 4)
        merge(shop, same.environment, shop.job.environment, Kind.ENVIRONMENT)
        assert set(Rule.objects.values_list("job", "environment", "outcome")) == {
            (shop.job.pk, None, "failed"),
            (moved.pk, None, "failed"),
            (None, shop.job.environment_id, "failed"),
            (None, shop.job.environment_id, "warned"),
        }
        moved.refresh_from_db()
        shop.admin.refresh_from_db()
        assert (moved.environment_id, moved.state) == (shop.job.environment_id, State.ACTIVE)
        assert shop.admin.last_environment_id == shop.job.environment_id
        assert set(Environment.objects.values_list("name", "state")) == {("Production", 1), ("Prodction", 2)}

    def test_a_merged_job_is_not_brought_back(self, shop: Acme) -> None:
        typo = add_job(shop, "nightyl")
        merge(shop, typo, shop.job)
        assert act(shop, f"{place(typo)}/restore").status_code == 404
        assert "nightyl · Production" not in text_of(sign_in(shop).get(path(shop)))

    def test_many_alike_jobs_cost_few_queries_each(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        ada = shop.destination()
        for number in range(20):
            for environment in ("Production", "Prodction"):
                rule(ada, add_job(shop, f"job {number}", environment))
        source = Environment.objects.get(name="Prodction")
        with django_assert_max_num_queries(20 * 2 + 40):
            merge(shop, source, shop.job.environment, Kind.ENVIRONMENT)
        assert Rule.objects.count() == 20


class TestDeleting:
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_asks_with_counts_deletes_and_comes_back_with_its_rules(self, shop: Acme, kind: Kind) -> None:
        shop.rule(shop.destination())
        make_run(shop)
        client, url = sign_in(shop), path(shop, f"{place(shop.job, kind)}/delete")
        asked = text_of(client.get(url))
        assert "1 rule stops." in asked
        assert "1 run is kept." in asked
        assert ("1 job in it is deleted too." in asked) == (kind is not Kind.JOB)
        assert client.post(url)["Location"] == path(shop)
        shown = text_of(client.get(path(shop)))
        assert "can be brought back until" in shown
        assert f'action="{path(shop, place(shop.job, kind))}/restore"' in shown
        assert client.get(f"/a/{shop.account.pk}/jobs/{shop.job.pk}").status_code == 404
        assert "No message comes to you" in text_of(client.get(reverse("mine", args=[shop.account.pk])))
        assert client.post(path(shop, f"{place(shop.job, kind)}/restore")).status_code == 302
        assert job_of(report(shop)) == shop.job
        assert client.get(f"/a/{shop.account.pk}/jobs/{shop.job.pk}").status_code == 200
        assert Rule.objects.get().job_id == shop.job.pk
        assert {entry.action for entry in AuditEntry.objects.filter(action__startswith=kind)} == {f"{kind}.delete", f"{kind}.restore"}

    def test_what_was_deleted_before_stays_deleted(self, shop: Acme) -> None:
        hourly, now = add_job(shop, "hourly"), timezone.now()
        actor, environment = Actor(shop.admin), shop.job.environment_id
        job_settings.delete(actor, Kind.JOB, hourly.pk, now=now)
        job_settings.delete(actor, Kind.ENVIRONMENT, environment, now=now + timedelta(seconds=1))
        assert act(shop, f"{place(hourly)}/restore").status_code == 404  # not before the environment
        job_settings.restore(actor, Kind.ENVIRONMENT, environment, now=now + timedelta(seconds=2))
        assert set(Job.objects.values_list("name", "state")) == {("nightly", 1), ("hourly", 2)}
        assert act(shop, f"{place(hourly)}/restore").status_code == 302

    def test_only_for_24_hours(self, shop: Acme) -> None:
        actor, now = Actor(shop.admin), timezone.now()
        job_settings.delete(actor, Kind.JOB, shop.job.pk, now=now - timedelta(hours=25))
        assert act(shop, f"{place(shop.job)}/restore").status_code == 404
        assert "can be brought back" not in text_of(sign_in(shop).get(path(shop)))

    @pytest.mark.parametrize("kind", KINDS)
    def test_what_reported_meanwhile_goes_into_what_comes_back(self, shop: Acme, kind: Kind) -> None:
        shop.rule(shop.destination())
        act(shop, f"{place(shop.job, kind)}/delete")
        meanwhile = report(shop)
        assert job_of(meanwhile) != shop.job
        assert act(shop, f"{place(shop.job, kind)}/restore").status_code == 302
        assert job_of(meanwhile) == shop.job
        assert job_of(report(shop)) == shop.job
        assert (Job.objects.filter(state=1).count(), Environment.objects.filter(state=1).count()) == (1, 1)

    def test_something_older_that_took_the_name_is_left_alone(self, shop: Acme) -> None:
        hourly = add_job(shop, "hourly")
        act(shop, f"{place(shop.job)}/delete")
        act(shop, place(hourly), do="rename", name="nightly")
        client = sign_in(shop)
        client.post(path(shop, f"{place(shop.job)}/restore"))
        assert "There is another “nightly” now." in text_of(client.get(path(shop)))
        assert set(Job.objects.values_list("pk", "state")) == {(hourly.pk, 1), (shop.job.pk, 2)}

    def test_a_save_in_between_keeps_the_rules_of_what_is_deleted(self, shop: Acme) -> None:
        ada, hourly = shop.destination(), add_job(shop, "hourly")
        kept = shop.rule(ada)
        act(shop, f"{place(shop.job)}/delete")
        save_setting(ada.pk, Change(jobs={outcome: {hourly.pk} for outcome in Outcome}), actor=Actor(shop.admin), now=NOW)
        assert Rule.objects.filter(pk=kept.pk).exists()
        assert Rule.objects.filter(job=hourly).count() == 4


def test_whatever_is_recorded_has_its_sentence(shop: Acme) -> None:
    """The action is made of kind and verb, which no type checks."""
    verbs = ("rename", "forget_alias", "merge", "delete", "restore")
    made = {f"{kind}.{verb}" for kind in KINDS for verb in verbs} | {f"job.{verb}" for verb in ("hide", "show", "limit")}
    assert made <= set(get_args(audit.Action))


class TestDoors:
    RESTS = ("", "/merge", "/delete", "/restore")

    @pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER, Role.NOTIFICATION_MANAGER])
    def test_others_may_not(self, shop: Acme, role: Role) -> None:
        client, other = sign_in(shop, role), add_job(shop, "x")
        assert client.get(path(shop)).status_code == 403
        for kind in KINDS:
            for rest in self.RESTS[:3]:
                url = path(shop, f"{place(shop.job, kind)}{rest}?into={other.pk}")
                assert {client.get(url).status_code, client.post(url, {"do": "hide"}).status_code} == {403}
        assert set(Job.objects.values_list("state", "hidden_at")) == {(1, None)}

    def test_strangers_find_nothing(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        client = sign_in(other)
        for kind in KINDS:
            for rest in self.RESTS:
                theirs = path(other, f"{place(shop.job, kind)}{rest}?into={other.job.pk}")
                assert client.post(theirs, {"do": "rename", "name": "mine"}).status_code == 404
                assert client.post(path(shop, f"{place(shop.job, kind)}{rest}")).status_code == 404
        into = path(other, f"{place(other.job)}/merge?into={shop.job.pk}")
        assert {client.get(into).status_code, client.post(into).status_code} == {404}

    def test_get_changes_nothing(self, shop: Acme) -> None:
        client: Client = sign_in(shop)
        other = add_job(shop, "x")
        for rest in ("?do=hide", "/delete", f"/merge?into={other.pk}"):
            client.get(path(shop, f"{place(shop.job)}{rest}"))
        assert client.get(path(shop, f"{place(shop.job)}/restore")).status_code == 405
        assert set(Job.objects.values_list("state", "hidden_at")) == {(1, None)}
