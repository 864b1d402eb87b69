"""Pausing: who may, until when, what is told meanwhile and what the receipts say."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from runbell.core.fields import BadField
from runbell.core.permissions import Role
from runbell.server.db.models import AuditEntry, Delivery, Environment, Job, Receipt, Run
from runbell.server.services.access import Actor, NotAllowed
from runbell.server.services.decisions import decide_run
from runbell.server.services.pauses import pause_environment, pause_job, resume_environment, resume_job
from runbell.server.web.pauses import read_until
from tests.server.people import NOW, Acme, acme

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
PAUSERS = (Role.ACCOUNT_ADMIN, Role.NOTIFICATION_MANAGER)


def sign_in(shop: Acme, role: Role = Role.ACCOUNT_ADMIN) -> Client:
    client = Client()
    client.force_login(shop.members[role].user)
    return client


def end_run(shop: Acme, *, now: datetime = NOW) -> Run:
    """A failed run, decided at `now` as the intake does: with the job as the database has it."""
    job = Job.objects.select_related("environment__project").get(pk=shop.job.pk)
    why = {"code": "exit_code", "params": {"step": 1, "code": 1}}
    times = {"started_at": now - HOUR, "finished_at": now, "received_at": now}
    run = Run.objects.create(account=shop.account, job=job, state="finished", outcome="failed", because=why, **times)
    with transaction.atomic():
        decide_run(run, now=now, account=shop.account)
    return run


class TestDeciding:
    def test_runs_are_recorded_and_receipts_say_why_nobody_is_told(self, shop: Acme) -> None:
        shop.rule(shop.destination())
        pause_job(Actor(shop.admin), shop.job.pk, until=NOW + HOUR, now=NOW)
        run = end_run(shop)
        receipt = Receipt.objects.get(run=run)
        assert not Delivery.objects.exists()
        assert not receipt.is_told
        until = (NOW + HOUR).isoformat()
        assert receipt.because == {"code": "paused", "params": {"scope": "job", "until": until, "by": "ada@acme.test"}}

    def test_a_pause_ends_by_itself(self, shop: Acme) -> None:
        shop.rule(shop.destination())
        pause_job(Actor(shop.admin), shop.job.pk, until=NOW + HOUR, now=NOW)
        end_run(shop, now=NOW + HOUR)
        assert Delivery.objects.count() == 1

    def test_of_two_pauses_the_longer_is_the_reason(self, shop: Acme) -> None:
        shop.rule(shop.destination(), environment=True)
        pause_job(Actor(shop.admin), shop.job.pk, until=NOW + HOUR, now=NOW)
        pause_environment(Actor(shop.members[Role.NOTIFICATION_MANAGER]), shop.job.environment_id, until=NOW + 2 * HOUR, now=NOW)
        end_run(shop)
        params = Receipt.objects.get().because["params"]
        assert (params["scope"], params["by"]) == ("environment", "nina@acme.test")
        resume_environment(Actor(shop.admin), shop.job.environment_id, now=NOW)
        end_run(shop)
        assert Receipt.objects.latest("pk").because["params"]["scope"] == "job"
        resume_job(Actor(shop.admin), shop.job.pk, now=NOW)
        end_run(shop)
        assert Receipt.objects.latest("pk").is_told

    def test_an_address_that_is_silent_anyway_keeps_that_reason(self, shop: Acme) -> None:
        destination = shop.destination()
        shop.rule(destination)
        destination.disabled_because = {"code": "smtp_address_unknown", "params": {}}
        destination.save()
        pause_job(Actor(shop.admin), shop.job.pk, until=NOW + HOUR, now=NOW)
        end_run(shop)
        assert Receipt.objects.get().because["code"] == "destination_disabled"

    def test_somebody_who_left_is_no_obstacle(self, shop: Acme) -> None:
        shop.rule(shop.destination())
        pause_job(Actor(shop.members[Role.NOTIFICATION_MANAGER]), shop.job.pk, until=NOW + HOUR, now=NOW)
        shop.members[Role.NOTIFICATION_MANAGER].user.delete()
        end_run(shop)
        assert Receipt.objects.get().because["params"]["by"] == ""
        assert "paused" in sign_in(shop).get(f"/a/{shop.account.pk}/runs/{Run.objects.get().pk}").content.decode()


class TestService:
    @pytest.mark.parametrize("until", [NOW, NOW - HOUR, NOW + timedelta(days=367)])
    def test_only_times_to_come_within_a_year(self, shop: Acme, until: datetime) -> None:
        with pytest.raises(BadField, match="until"):
            pause_job(Actor(shop.admin), shop.job.pk, until=until, now=NOW)
        assert Job.objects.get().paused_until is None

    @pytest.mark.parametrize("role", [Role.DEVELOPER, Role.VIEWER])
    def test_others_may_not(self, shop: Acme, role: Role) -> None:
        with pytest.raises(NotAllowed):
            pause_environment(Actor(shop.members[role]), shop.job.environment_id, until=NOW + HOUR, now=NOW)

    def test_every_change_is_audited_once(self, shop: Acme) -> None:
        actor = Actor(shop.admin)
        pause_job(actor, shop.job.pk, until=NOW + HOUR, now=NOW)
        pause_job(actor, shop.job.pk, until=NOW + HOUR, now=NOW)
        resume_job(actor, shop.job.pk, now=NOW)
        resume_job(actor, shop.job.pk, now=NOW)
        entries = AuditEntry.objects.filter(action__startswith="job.").order_by("pk").values_list("action", "subject", "before", "after")
        fact = {"paused_until": (NOW + HOUR).isoformat()}
        assert list(entries) == [
            ("job.pause", "shop · Production · nightly", {}, fact),
            ("job.resume", "shop · Production · nightly", fact, {}),
        ]


class TestPages:
    @pytest.mark.parametrize("role", list(Role))
    def test_who_may_pause_and_resume(self, shop: Acme, role: Role) -> None:
        client, base = sign_in(shop, role), f"/a/{shop.account.pk}"
        for path in (f"jobs/{shop.job.pk}", f"environments/{shop.job.environment_id}"):
            allowed = role in PAUSERS
            assert client.get(f"{base}/{path}/pause").status_code == (200 if allowed else 403)
            assert client.post(f"{base}/{path}/pause", {"for": "1h"}).status_code == (302 if allowed else 403)
            assert client.post(f"{base}/{path}/resume").status_code == (302 if allowed else 403)
            assert client.get(f"{base}/{path}/resume").status_code == 405

    def test_things_of_another_account_are_not_there(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        client = sign_in(other)
        for account in (shop, other):
            assert client.post(f"/a/{account.account.pk}/jobs/{shop.job.pk}/pause", {"for": "1h"}).status_code == 404
            path = f"/a/{account.account.pk}/environments/{shop.job.environment_id}/pause"
            assert client.post(path, {"for": "1h"}).status_code == 404
        assert not Job.objects.filter(paused_until__isnull=False).exists()

    def test_what_is_paused_is_seen_on_home_and_job_page_with_the_way_back(self, shop: Acme) -> None:
        client, base = sign_in(shop), f"/a/{shop.account.pk}"
        job = f"{base}/jobs/{shop.job.pk}"
        asked = client.get(f"{job}/pause").content.decode()
        assert "Pause messages about nightly?" in asked
        page = client.post(f"{job}/pause", {"for": "4h"}, follow=True).content.decode()
        assert "Messages about this job are paused" in page
        assert "by ada@acme.test." in page
        assert f'action="{job}/resume"' in page
        assert "Messages about 1 job are paused." in client.get(f"{base}/").content.decode()
        assert "nightly" in client.get(f"{base}/?show=paused").content.decode()
        seen = sign_in(shop, Role.VIEWER).get(job).content.decode()
        assert "Messages about this job are paused" in seen
        assert "Resume" not in seen
        after = client.post(f"{job}/resume", follow=True).content.decode()
        assert "Messages about nightly go out again." in after
        assert "are paused" not in after

    def test_an_environment_from_its_head_on_the_home_page(self, shop: Acme) -> None:
        client, base = sign_in(shop), f"/a/{shop.account.pk}"
        place = f"{base}/environments/{shop.job.environment_id}"
        assert f'href="{place}/pause"' in client.get(f"{base}/").content.decode()
        page = client.post(f"{place}/pause", {"for": "tomorrow"}, follow=True).content.decode()
        assert f'action="{place}/resume"' in page
        assert "Messages about every job of Production are paused" in client.get(f"{base}/jobs/{shop.job.pk}").content.decode()

    @pytest.mark.parametrize("typed", ["", "x", "2020-01-01T00:00", "2999-01-01T00:00", "2026-02-30T10:00", "9999-12-31T23:59"])
    def test_a_time_that_cannot_be_taken_is_asked_for_again(self, shop: Acme, typed: str) -> None:
        answer = sign_in(shop).post(f"/a/{shop.account.pk}/jobs/{shop.job.pk}/pause", {"for": "until", "until": typed})
        assert answer.status_code == 400
        assert "Choose a time that is in the future and within a year." in answer.content.decode()
        assert Job.objects.get().paused_until is None

    def test_what_is_typed_counts_in_the_persons_zone(self, shop: Acme) -> None:
        user = shop.admin.user
        user.zone = "Asia/Tokyo"
        user.save()
        typed = (timezone.now() + timedelta(days=3)).strftime("%Y-%m-%dT10:00")
        sign_in(shop).post(f"/a/{shop.account.pk}/jobs/{shop.job.pk}/pause", {"for": "until", "until": typed})
        assert Job.objects.get().paused_until == datetime.fromisoformat(f"{typed}:00+09:00")
        assert Environment.objects.get().paused_until is None


def test_tomorrow_is_eight_in_the_morning_also_when_the_clocks_change() -> None:
    evening = datetime(2026, 10, 24, 20, tzinfo=UTC)  # the night in which Stockholm goes back to winter time
    with timezone.override("Europe/Stockholm"):
        assert read_until("tomorrow", "", evening) == datetime(2026, 10, 25, 7, tzinfo=UTC)
    with timezone.override("UTC"):
        assert read_until("tomorrow", "", evening) == datetime(2026, 10, 25, 8, tzinfo=UTC)
