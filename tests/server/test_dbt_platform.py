"""Runs of the dbt platform: by webhook first, twice, late or never, each is one run and one message with what went wrong."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, DbtPlatform, DbtRun, Delivery, Job, Message, Node, Run, RunKey, State, Step
from runbell.server.services import dbt_details, dbt_platforms, dbt_polls
from runbell.server.services.access import Actor
from tests.fakes.dbt_platform import FakeDbt, FakeRun
from tests.server.people import Acme, acme
from tests.server.test_pages import sign_in

pytestmark = pytest.mark.django_db
KINDS = {"warned": Outcome.WARNED, "failed": Outcome.FAILED, "cancelled": Outcome.CANCELLED}
ERRORS = {"warned": "configured to warn", "failed": "Runtime Error", "cancelled": ""}


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def dbt() -> Iterator[FakeDbt]:
    with FakeDbt() as fake:
        yield fake


@pytest.fixture
def platform(shop: Acme, dbt: FakeDbt) -> DbtPlatform:
    """All outcomes of everything in Production are told to ada."""
    destination = shop.destination()
    for outcome in Outcome:
        shop.rule(destination, outcome, environment=True)
    return connected(shop, dbt)


def connected(shop: Acme, dbt: FakeDbt, **given: str) -> DbtPlatform:
    fields = {"host": dbt.url, "external_id": str(dbt.world.account), "token": dbt.token, "webhook_secret": dbt.secret} | given
    return dbt_platforms.connect(Actor(shop.admin), **fields, now=now())


def post(platform: DbtPlatform, body: bytes, signature: str) -> Any:
    return Client().post(f"/sources/dbt/{platform.pk}", body, content_type="application/json", headers={"Authorization": signature})


def tell(platform: DbtPlatform, dbt: FakeDbt, run: FakeRun, *kinds: str) -> None:
    for kind in kinds:
        assert post(platform, *dbt.event(run, kind)).status_code == 200


def kinds_of(run: FakeRun) -> tuple[str, ...]:
    ends = {10: ("job.run.completed",), 20: ("job.run.errored", "job.run.completed"), 30: ()}
    return ("job.run.started", *ends[run.code])


def work(at: datetime | None = None) -> None:
    dbt_details.run_due(at or now())


def poll(platform: DbtPlatform, at: datetime | None = None) -> None:
    platform.refresh_from_db()
    dbt_polls.poll(platform, now=at or now())
    work(at)


def the_run() -> Run:
    return Run.objects.get(merged_into=None)


def told() -> list[str]:
    return [json.dumps(message.body) for message in Message.objects.all()]


class TestOneMessage:
    """Issue: a run that warned, one that failed, one that was cancelled: one message each, with the failing node's error text."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("way", ["webhooks", "twice", "never", "reordered"])
    def test_whatever_came_first(self, platform: DbtPlatform, dbt: FakeDbt, kind: str, way: str) -> None:
        run = dbt.world.add_run(kind)
        events = {"webhooks": kinds_of(run), "twice": kinds_of(run) * 2, "never": (), "reordered": kinds_of(run)[::-1]}[way]
        tell(platform, dbt, run, *events)
        work()
        poll(platform)
        tell(platform, dbt, run, *events)
        poll(platform)
        found = the_run()
        assert (found.outcome, found.host_tool, found.job.name) == (KINDS[kind], "dbt platform", "nightly")
        assert Delivery.objects.filter(purpose="run").count() == 1
        [message] = told()
        assert ERRORS[kind] in message
        assert RunKey.objects.filter(run=found, key__startswith="dbt:127.0.0.1").exists()

    def test_one_after_the_other(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        """Started is shown while it runs, and told of when it ended."""
        run = dbt.world.add_run("running")
        tell(platform, dbt, run, "job.run.started")
        work()
        assert the_run().state == "started"
        run.code, run.finished_at = 30, now()
        poll(platform)
        assert the_run().outcome == Outcome.CANCELLED
        assert len(told()) == 1

    def test_a_report_about_the_same_run(self, platform: DbtPlatform, dbt: FakeDbt, shop: Acme) -> None:
        """`runbell report` from artifacts that carry DBT_CLOUD_RUN_ID, before and after the platform tells."""
        run = dbt.world.add_run("failed")
        report = {
            "version": 1,
            "key": "cli:1",
            "aliases": [f"dbt-run:{run.id}"],
            "state": "finished",
            "job": {"project": "shop", "environment": "Production", "name": "nightly"},
            "started_at": run.started_at.isoformat(),
            "finished_at": now().isoformat(),
            "steps": [{"index": 1, "command": "dbt build", "exit_code": 1}],
        }
        for _ in range(2):
            answer = Client().post(
                "/api/runbell/v1/runs", report, content_type="application/json", headers={"Authorization": f"Token {shop.token}"}
            )
            assert answer.status_code in (200, 201)
            tell(platform, dbt, run, *kinds_of(run))
            poll(platform)
        assert the_run().outcome == Outcome.FAILED
        assert len(told()) == 1

    def test_a_stale_source_that_does_not_fail_the_run_warns(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        dbt.world.add_run("stale")
        poll(platform)
        assert the_run().outcome == Outcome.WARNED


class TestArtifacts:
    @pytest.mark.parametrize("is_on", [False, True])
    def test_what_was_read_is_kept_where_that_is_switched_on(
        self, platform: DbtPlatform, dbt: FakeDbt, settings: Settings, is_on: bool
    ) -> None:
        settings.RUNBELL_DBT_ARTIFACTS = is_on
        run = dbt.world.add_run("failed")
        for _ in range(2):
            tell(platform, dbt, run, *kinds_of(run))
            poll(platform)
        kept = {Step.objects.get(run=the_run(), index=file.step).command: file.name for file in the_run().artifacts.all()}
        assert kept == ({"dbt seed": "run_results.json", "dbt build": "run_results.json"} if is_on else {})

    def test_one_that_is_too_large_is_not(self, platform: DbtPlatform, dbt: FakeDbt, settings: Settings) -> None:
        settings.RUNBELL_DBT_ARTIFACTS, settings.RUNBELL_MAX_ARTIFACT = True, 10
        dbt.world.add_run("failed")
        poll(platform)
        assert the_run().artifacts.count() == 0


class TestSettling:
    def test_late_artifacts_are_waited_for(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        run = dbt.world.add_run("failed", has_artifacts=False)
        tell(platform, dbt, run, "job.run.errored")
        work()
        assert told() == []
        run.has_artifacts = True
        work(now() + timedelta(seconds=5))
        assert ERRORS["failed"] in told()[0]

    def test_without_them_it_goes_anyway_and_the_page_gets_them_later(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        run = dbt.world.add_run("failed", has_artifacts=False)
        tell(platform, dbt, run, "job.run.errored")
        work()
        work(now() + timedelta(seconds=15))
        assert told() == []
        work(now() + timedelta(seconds=30))
        assert len(told()) == 1
        assert not Node.objects.exists()
        before = list(the_run().steps.values("index", "outcome", "exit_code", "finished_at"))
        run.has_artifacts = True
        work(now() + timedelta(minutes=5))
        assert len(told()) == 1
        assert DbtRun.objects.get().done_at
        [broken] = Node.objects.filter(step__run=the_run(), status="error")
        assert ERRORS["failed"] in broken.message
        assert list(the_run().steps.values("index", "outcome", "exit_code", "finished_at")) == before
        tell(platform, dbt, run, *kinds_of(run))
        poll(platform, now() + timedelta(minutes=10))
        assert (Node.objects.filter(status="error").count(), len(told()), Delivery.objects.filter(purpose="run").count()) == (1, 1, 1)

    def test_a_warning_that_comes_after_success_was_told_is_for_the_page(self, platform: DbtPlatform, dbt: FakeDbt, shop: Acme) -> None:
        """Decisions 0003 and 0010: the outcome stands, nothing rings again, and the page shows how it ended in truth."""
        run = dbt.world.add_run("warned", has_artifacts=False)
        tell(platform, dbt, run, "job.run.completed")
        work()
        work(now() + timedelta(seconds=30))
        run.has_artifacts = True
        work(now() + timedelta(minutes=5))
        found = the_run()
        assert (found.outcome, (found.late_end or {}).get("outcome"), len(told())) == (Outcome.SUCCEEDED, "warned", 1)
        assert Delivery.objects.filter(purpose="run").count() == 1
        text = sign_in(shop).get(f"/a/{shop.account.pk}/runs/{found.pk}").content.decode()
        assert "configured to warn" in text

    def test_while_the_api_hangs_the_webhook_is_enough(self, platform: DbtPlatform, dbt: FakeDbt, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("runbell.server.services.dbt_asking.api_of", lambda platform, **_: dbt_platforms.api_of(platform, timeout=0.2))
        dbt.hangs = True
        run = dbt.world.add_run("failed")
        tell(platform, dbt, run, "job.run.errored")
        work()
        assert told() == []
        work(now() + timedelta(seconds=30))
        assert (the_run().outcome, the_run().job.name, len(told())) == (Outcome.FAILED, "nightly", 1)

    @pytest.mark.parametrize("fault", [429, 7.0, 500, 503, "html"])
    def test_a_fault_is_tried_again(self, platform: DbtPlatform, dbt: FakeDbt, fault: Any) -> None:
        run = dbt.world.add_run("failed")
        tell(platform, dbt, run, "job.run.completed")
        dbt.faults = [fault]
        work()
        asked = len(dbt.asked)
        work()  # in peace for a while
        assert len(dbt.asked) == asked
        work(now() + timedelta(seconds=12))
        assert ERRORS["failed"] in told()[0]
        assert DbtPlatform.objects.get().failures == 0


class TestRemoving:
    def test_what_goes_silent_is_said_beforehand(self, platform: DbtPlatform, dbt: FakeDbt, shop: Acme) -> None:
        dbt.world.jobs[102] = (11, "hourly")
        poll(platform)
        text = sign_in(shop).get(f"/a/{shop.account.pk}/settings/integrations/dbt/{platform.pk}/remove").content.decode()
        assert "2 jobs come from there and go silent. 1 recipient hears of them now." in text

    def test_without_jobs_nothing_does(self, platform: DbtPlatform, shop: Acme) -> None:
        text = sign_in(shop).get(f"/a/{shop.account.pk}/settings/integrations/dbt/{platform.pk}/remove").content.decode()
        assert "silent" not in text


class TestWebhook:
    def test_a_wrong_signature_changes_nothing(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        body, signature = dbt.event(dbt.world.add_run("failed"), "job.run.errored")
        other = platform.pk + 1
        for answer in (
            post(platform, body, "0" * 64),
            post(platform, body, ""),
            post(platform, body, "é"),
            post(platform, body.replace(b"nightly", b"weekly"), signature),
            Client().post(f"/sources/dbt/{other}", body, content_type="application/json", headers={"Authorization": signature}),
        ):
            assert answer.status_code == 401
        assert not DbtRun.objects.exists()

    def test_an_event_counts_once(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        event = dbt.event(dbt.world.add_run("failed"), "job.run.errored")
        assert [post(platform, *event).json() for _ in range(2)] == [{"taken": True}, {"known": True}]

    def test_another_account(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        answer = post(platform, *dbt.event(dbt.world.add_run("failed"), "job.run.errored", accountId=8))
        assert (answer.status_code, answer.json()) == (200, {"ignored": "dbt_other_account", "account": "8"})
        assert not DbtRun.objects.exists()

    def test_an_event_nobody_knows_and_new_fields(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        run = dbt.world.add_run("failed")
        answer = post(platform, *dbt.event(run, "job.run.errored", eventType="job.run.paused"))
        assert answer.json()["ignored"] == "dbt_other_event"
        assert post(platform, *dbt.event(run, "job.run.errored", tomorrow={"a": [1]})).json() == {"taken": True}

    @pytest.mark.parametrize(
        ("body", "status", "field"),
        [
            (b"{", 400, "body"),
            (b"\xff", 400, "body"),
            (b"[]", 400, "body"),
            (b"{}", 422, "eventId"),
            (b'{"eventId": "1", "eventType": "job.run.errored", "accountId": 7, "data": []}', 422, "data"),
            (b'{"eventId": "1", "eventType": "job.run.errored", "accountId": 7, "data": {"runId": "../1"}}', 422, "data.runId"),
        ],
    )
    def test_what_cannot_be_read(self, platform: DbtPlatform, dbt: FakeDbt, body: bytes, status: int, field: str) -> None:
        answer = post(platform, body, dbt.sign(body))
        assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
        assert not DbtRun.objects.exists()

    def test_ten_megabytes(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        body = b" " * 10_000_000
        assert post(platform, body, dbt.sign(body)).status_code == 413

    def test_clocks_may_differ(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        run = dbt.world.add_run("failed", ended_at=now() + timedelta(minutes=20))
        tell(platform, dbt, run, *kinds_of(run))
        poll(platform)
        assert len(told()) == 1

    def test_it_is_only_written_down(self, platform: DbtPlatform, dbt: FakeDbt, django_assert_max_num_queries: Any) -> None:
        event = dbt.event(dbt.world.add_run("failed"), "job.run.errored")
        with django_assert_max_num_queries(20):
            post(platform, *event)
        assert dbt.asked == []


class TestPoller:
    def test_its_cursor_survives(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        dbt.world.add_run("failed")
        poll(platform)
        asked = len(dbt.asked_for("include_related"))
        poll(platform)
        assert len(dbt.asked_for("include_related")) == asked
        dbt.world.add_run("cancelled", ended_at=now() + timedelta(minutes=1))
        poll(platform, now() + timedelta(minutes=2))
        assert Run.objects.count() == 2

    def test_what_ended_before_it_was_connected_is_no_news(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        dbt.world.add_run("failed", ended_at=now() - timedelta(hours=1))
        poll(platform)
        assert not Run.objects.exists()

    def test_more_runs_than_a_page(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        for _ in range(230):
            dbt.world.add_run("succeeded")
        platform.refresh_from_db()
        dbt_polls.poll(platform, now=now())
        assert DbtRun.objects.count() == 230

    def test_paging_that_never_ends(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        dbt.endless = True
        poll(platform)
        assert len(dbt.asked) == 100
        assert DbtPlatform.objects.get().failures == 1

    def test_two_hosts_do_not_mix_their_runs(self, platform: DbtPlatform, dbt: FakeDbt, shop: Acme) -> None:
        with FakeDbt() as second:
            second.world.jobs = {102: (11, "weekly")}
            other = connected(shop, second)
            dbt.world.add_run("failed", run_id=5)
            second.world.add_run("failed", job=102, run_id=5)
            poll(platform)
            poll(other)
        assert Run.objects.filter(merged_into=None).count() == 2


class TestMirror:
    def test_a_job_that_reports_made_is_the_same(self, platform: DbtPlatform, dbt: FakeDbt, shop: Acme) -> None:
        poll(platform)
        job = Job.objects.get()
        assert (job.pk, job.external_id, job.integration) == (shop.job.pk, "101", f"dbt:{platform.pk}")

    def test_a_new_name_is_followed_between_event_and_poll(self, platform: DbtPlatform, dbt: FakeDbt, shop: Acme) -> None:
        poll(platform)
        run = dbt.world.add_run("failed")
        tell(platform, dbt, run, "job.run.errored")
        dbt.world.jobs[101] = (11, "every night")
        poll(platform, now() + timedelta(minutes=20))
        job = Job.objects.get()
        assert (job.pk, job.name, [alias.name for alias in job.aliases.all()]) == (shop.job.pk, "every night", ["nightly"])
        assert the_run().job_id == job.pk

    def test_a_name_given_here_stays(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        poll(platform)
        Job.objects.update(name="ours")
        dbt.world.add_run("failed")
        poll(platform, now() + timedelta(minutes=20))
        assert (Job.objects.get().name, the_run().job.name) == ("ours", "ours")

    def test_gone_and_back(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        dbt.world.add_run("failed")
        poll(platform)
        kept = dbt.world.jobs.pop(101)
        poll(platform, now() + timedelta(minutes=20))
        job = Job.objects.get()
        assert (job.hidden_at is not None, job.state, job.runs.count()) == (True, State.ACTIVE, 1)
        dbt.world.jobs[101] = kept
        poll(platform, now() + timedelta(minutes=40))
        assert Job.objects.get().hidden_at is None

    def test_two_of_one_name(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        dbt.world.jobs[102] = (11, "nightly")
        poll(platform)
        assert set(Job.objects.values_list("name", flat=True)) == {"nightly", "nightly (102)"}


class TestPage:
    def test_connect_check_change_remove(self, shop: Acme, dbt: FakeDbt) -> None:
        client, base = sign_in(shop), f"/a/{shop.account.pk}/settings/integrations/dbt"
        form = {"host": dbt.url, "external_id": "7", "token": dbt.token, "webhook_secret": dbt.secret}
        answer = client.post(base, form)
        page = answer["Location"]
        text = client.get(page).content.decode()
        assert "Never seen" in text
        assert f"/sources/dbt/{DbtPlatform.objects.get().pk}" in text
        client.post(f"{page}/check")
        assert "Does not work" not in client.get(page).content.decode()
        assert client.post(base, form).status_code == 422
        client.post(page, {"token": "dbtc_other", "webhook_secret": ""})
        assert DbtPlatform.objects.get().webhook_secret == dbt.secret
        client.post(f"{page}/check")
        text = client.get(page).content.decode()
        assert "does not accept this token" in text
        assert "dbtc_other" not in text
        assert dbt.secret not in text
        client.post(f"{page}/remove")
        assert client.get(page).status_code == 404
        gone = DbtPlatform.objects.get()
        assert (gone.token, gone.webhook_secret) == ("", "")
        assert list(AuditEntry.objects.filter(action__startswith="dbt").order_by("pk").values_list("action", flat=True)) == [
            "dbt.connect",
            "dbt.change",
            "dbt.remove",
        ]
        assert dbt.token not in json.dumps(list(AuditEntry.objects.values_list("after", flat=True)))
        client.post(base, form)
        assert DbtPlatform.objects.get().removed_at is None

    @pytest.mark.parametrize(
        "host", ["", "http://cloud.getdbt.com", "https://a@b.example", "cloud.getdbt.com/api/v2", "a b", "https://x:y"]
    )
    def test_a_host_that_is_none(self, shop: Acme, host: str) -> None:
        answer = sign_in(shop).post(
            f"/a/{shop.account.pk}/settings/integrations/dbt", {"host": host, "external_id": "7", "token": "x", "webhook_secret": ""}
        )
        assert answer.status_code == 422
        assert not DbtPlatform.objects.exists()

    def test_a_right_that_lacks_is_named(self, shop: Acme, dbt: FakeDbt, platform: DbtPlatform) -> None:
        dbt.forbidden = {"jobs"}
        page = f"/a/{shop.account.pk}/settings/integrations/dbt/{platform.pk}"
        client = sign_in(shop)
        client.post(f"{page}/check")
        assert "may not read jobs" in " ".join(client.get(page).content.decode().split())

    def test_its_owner_is_told_once(self, platform: DbtPlatform, dbt: FakeDbt) -> None:
        dbt.token = "dbtc_another"
        for minutes in (0, 10, 20):
            poll(platform, now() + timedelta(minutes=minutes))
        assert Delivery.objects.filter(purpose="notice").count() == 1
        assert (DbtPlatform.objects.get().broken_because or {}).get("code") == "dbt_token"

    def test_another_account_sees_nothing_of_it(self, platform: DbtPlatform, settings: Settings) -> None:
        other = acme("Other", "other.test")
        assert sign_in(other).get(f"/a/{other.account.pk}/settings/integrations/dbt/{platform.pk}").status_code == 404


def test_a_host_on_this_machine_is_not_asked_unless_it_is_allowed(
    shop: Acme, dbt: FakeDbt, platform: DbtPlatform, settings: Settings
) -> None:
    settings.RUNBELL_PRIVATE_HOSTS = False
    page = sign_in(shop).post(f"/a/{shop.account.pk}/settings/integrations/dbt/{platform.pk}/check", follow=True)
    assert "private network" in page.content.decode()
    assert not dbt.asked
