"""Runs started, cancelled and retried through our Admin API, for jobs that came from the dbt platform; and nothing is done twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from runbell.core.permissions import Permission, Role
from runbell.server.db.models import AuditEntry, DbtPlatform, Delivery, Job, Run
from runbell.server.services import dbt_details, dbt_passing, dbt_platforms, dbt_polls
from runbell.server.services.access import Actor
from runbell.server.services.tokens import create_token
from tests.fakes.dbt_platform import FakeDbt
from tests.server.people import NOW, Acme, acme

pytestmark = pytest.mark.django_db
CAUSE = {"cause": "by hand"}


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def dbt() -> Iterator[FakeDbt]:
    with FakeDbt() as fake:
        yield fake


@pytest.fixture
def job(shop: Acme, dbt: FakeDbt) -> Job:
    """`nightly`, known from the dbt platform."""
    given = {"host": dbt.url, "external_id": "7", "token": dbt.token, "webhook_secret": ""}
    dbt_polls.poll(dbt_platforms.connect(Actor(shop.admin), **given, now=now()), now=now())
    return Job.objects.get(external_id="101")


def ask(shop: Acme, path: str, body: Any = None, token: str = "") -> tuple[int, str, Any]:
    """Status, message and data of the answer."""
    answer = Client().post(
        f"/api/v2/accounts/{shop.account.pk}/{path}/",
        body if body is not None else "",
        content_type="application/json",
        headers={"Authorization": f"Token {token or shop.token}"},
    )
    said = answer.json()
    assert said["status"]["code"] == answer.status_code
    assert "dbtc_fake_token" not in answer.content.decode()
    return answer.status_code, said["status"]["user_message"], said["data"]


def acts(dbt: FakeDbt) -> list[str]:
    return [path.removeprefix("POST /api/v2/accounts/7/") for path in dbt.asked if path.startswith("POST")]


class TestStarting:
    def test_the_run_there_is_a_run_here(self, shop: Acme, dbt: FakeDbt, job: Job) -> None:
        """Whoever asked follows it by our id, as Airflow and dbtc do."""
        status, _, data = ask(shop, f"jobs/{job.pk}/run", CAUSE)
        run = Run.objects.get()
        assert (status, data["id"], data["job_definition_id"], data["status"]) == (200, run.pk, job.pk, 3)
        assert data["href"].endswith(f"/runs/{run.pk}")
        assert acts(dbt) == ["jobs/101/run/"]
        [there] = dbt.world.runs.values()
        assert there.said == "by hand"
        there.code, there.finished_at = 30, now()
        dbt_details.run_due(now() + timedelta(minutes=1))
        assert Run.objects.get().outcome == "cancelled"
        assert AuditEntry.objects.get(action="dbt.run").after == {"dbt_run": str(there.id)}

    def test_again(self, shop: Acme, dbt: FakeDbt, job: Job) -> None:
        assert ask(shop, f"jobs/{job.pk}/rerun")[0] == 200
        assert acts(dbt) == ["jobs/101/rerun/"]

    def test_what_the_platform_refuses_is_said_in_its_words(self, shop: Acme, dbt: FakeDbt, job: Job) -> None:
        status, message, data = ask(shop, f"jobs/{job.pk}/run", {})
        assert (status, data) == (400, None)
        assert "cause: This field is required." in message
        assert not DbtPlatform.objects.get().failures


class TestChanging:
    @pytest.fixture
    def run(self, shop: Acme, job: Job) -> Run:
        ask(shop, f"jobs/{job.pk}/run", CAUSE)
        return Run.objects.get()

    def test_cancel(self, shop: Acme, dbt: FakeDbt, run: Run) -> None:
        status, _, data = ask(shop, f"runs/{run.pk}/cancel")
        assert (status, data["id"]) == (200, run.pk)
        assert acts(dbt)[-1] == f"runs/{next(iter(dbt.world.runs))}/cancel/"
        dbt_details.run_due(now() + timedelta(minutes=1))
        run.refresh_from_db()
        assert run.outcome == "cancelled"
        status, message, _ = ask(shop, f"runs/{run.pk}/cancel")
        assert (status, "ended already" in message) == (400, True)
        assert Delivery.objects.count() == 0

    def test_retry_is_another_run(self, shop: Acme, dbt: FakeDbt, run: Run) -> None:
        status, _, data = ask(shop, f"runs/{run.pk}/retry")
        assert status == 200
        assert data["id"] != run.pk
        assert len(dbt.world.runs) == 2
        assert AuditEntry.objects.filter(action="dbt.retry").exists()


class TestNothingIsDoneTwice:
    def test_when_the_answer_is_lost(self, shop: Acme, dbt: FakeDbt, job: Job) -> None:
        """A code that no client repeats: the job may be running."""
        dbt.faults = ["lost"]
        status, message, _ = ask(shop, f"jobs/{job.pk}/run", CAUSE)
        assert (status, len(acts(dbt)), len(dbt.world.runs)) == (409, 1, 1)
        assert "Whether it was done is not known" in message

    @pytest.mark.parametrize("fault", [500, 502, 504, "html"])
    def test_when_the_answer_is_trouble(self, shop: Acme, dbt: FakeDbt, job: Job, fault: int | str) -> None:
        dbt.faults = [fault]
        status, message, _ = ask(shop, f"jobs/{job.pk}/run", CAUSE)
        assert (status, len(acts(dbt))) == (409, 1)
        assert "Whether it was done is not known" in message

    def test_when_it_cannot_be_noted_here(self, shop: Acme, dbt: FakeDbt, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any, **__: Any) -> None:
            raise OperationalError("database or disk is full")

        monkeypatch.setattr(dbt_passing, "record_run", full)
        status, message, _ = ask(shop, f"jobs/{job.pk}/run", CAUSE)
        assert (status, "Do not ask again" in message) == (409, True)

    def test_when_it_asks_for_patience(self, shop: Acme, dbt: FakeDbt, job: Job) -> None:
        """Nothing was done: it may be asked again. Until then it is left in peace."""
        dbt.faults = [7.0]
        answer = Client().post(
            f"/api/v2/accounts/{shop.account.pk}/jobs/{job.pk}/run",
            CAUSE,
            content_type="application/json",
            headers={"Authorization": f"Token {shop.token}"},
        )
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
        status, message, _ = ask(shop, f"jobs/{job.pk}/run", CAUSE)
        assert (status, len(acts(dbt))) == (503, 1)
        assert "was not asked" in message

    def test_when_it_cannot_be_reached(self, shop: Acme, dbt: FakeDbt, job: Job) -> None:
        DbtPlatform.objects.update(url="http://127.0.0.1:9")
        assert ask(shop, f"jobs/{job.pk}/run", CAUSE)[0] == 503

    def test_when_our_token_there_is_no_good(self, shop: Acme, dbt: FakeDbt, job: Job) -> None:
        """The client's own token is good: 401 would say otherwise."""
        dbt.token = "dbtc_another"
        assert ask(shop, f"jobs/{job.pk}/run", CAUSE)[0] == 409

    def test_when_our_token_there_may_only_read(self, shop: Acme, dbt: FakeDbt, job: Job) -> None:
        """Which is enough for everything else: the integration is not broken."""
        dbt.forbidden = {"acts"}
        status, message, _ = ask(shop, f"jobs/{job.pk}/run", CAUSE)
        assert (status, "permission" in message) == (403, True)
        assert DbtPlatform.objects.get().broken_because is None


class TestWhoAndWhat:
    def test_other_jobs_are_refused_as_ever(self, shop: Acme, dbt: FakeDbt) -> None:
        run = Run.objects.create(account=shop.account, job=shop.job, state="started", started_at=NOW, received_at=NOW)
        for path in (f"jobs/{shop.job.pk}/run", f"jobs/{shop.job.pk}/rerun", f"runs/{run.pk}/cancel", f"runs/{run.pk}/retry"):
            status, message, _ = ask(shop, path, "no object" if "jobs" in path else None)
            assert (status, "does not execute" in message) == (409, True)

    def test_nothing_is_asked_of_an_account_that_was_removed(self, shop: Acme, dbt: FakeDbt, job: Job) -> None:
        dbt_platforms.remove(Actor(shop.admin), DbtPlatform.objects.get().pk, now=now())
        assert ask(shop, f"jobs/{job.pk}/run", CAUSE)[0] == 409
        assert acts(dbt) == []

    @pytest.mark.parametrize("role", [Role.NOTIFICATION_MANAGER, Role.DEVELOPER, Role.VIEWER])
    def test_it_takes_an_admin(self, shop: Acme, dbt: FakeDbt, job: Job, role: Role) -> None:
        token = create_token(member=shop.members[role], name="t", permissions=list(Permission), now=NOW)
        assert ask(shop, f"jobs/{job.pk}/run", CAUSE, token)[0] == 403
        assert acts(dbt) == []

    def test_it_takes_the_permission_admin(self, shop: Acme, dbt: FakeDbt, job: Job) -> None:
        token = create_token(
            member=shop.admin, name="t", permissions=[Permission.READ, Permission.REPORT, Permission.NOTIFICATIONS], now=NOW
        )
        assert ask(shop, f"jobs/{job.pk}/run", CAUSE, token)[0] == 403
        assert acts(dbt) == []

    def test_another_account_sees_no_such_job(self, shop: Acme, dbt: FakeDbt, job: Job) -> None:
        other = acme("Other", "other.test")
        assert ask(other, f"jobs/{job.pk}/run", CAUSE)[0] == 404
        assert acts(dbt) == []

    @pytest.mark.parametrize("body", ["[1]", "nonsense", '"text"'])
    def test_a_body_that_is_no_object(self, shop: Acme, dbt: FakeDbt, job: Job, body: str) -> None:
        assert ask(shop, f"jobs/{job.pk}/run", body)[0] == 400
        assert acts(dbt) == []
