"""The delivery log: what it says of each message, how it is searched and filtered, and what it costs when it is long."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from runbell.core.permissions import Role
from runbell.server.db.models import Attempt, Delivery, Destination, Environment, Job, Run
from runbell.server.services.access import Actor
from runbell.server.services.delivery_filters import FEW, Chosen, Wish
from runbell.server.services.delivery_pages import BATCH, PAGE, delivery_log, every_line
from tests.server.people import NOW, Acme, acme
from tests.server.test_pages import make_run


def channel(shop: Acme, kind: str = "slack_webhook", name: str = "#data-alerts") -> Destination:
    """Somewhere in Slack that hears of failures of the shop's job."""
    there = shop.destination(Role.VIEWER)
    Destination.objects.filter(pk=there.pk).update(
        kind=kind, member=None, address=name, address_key=name, secret="https://hooks.slack.test/x"
    )
    there.refresh_from_db()
    shop.rule(there)
    return there


def job(shop: Acme, name: str, environment: str = "Production") -> Job:
    place, _ = Environment.objects.get_or_create(
        account=shop.account, project=shop.job.environment.project, name=environment, defaults={"created_at": NOW}
    )
    return Job.objects.create(account=shop.account, environment=place, name=name, created_at=NOW)


def message(shop: Acme, to: Destination, about: Job | None = None, **fields: Any) -> Delivery:
    """One that is on the log. `ago` in hours."""
    ago = timedelta(hours=fields.pop("ago", 1))
    run = make_run(shop, fields.pop("outcome", "failed"), job=about or shop.job)
    Delivery.objects.filter(run=run).delete()
    at = timezone.now() - ago
    given = {"lane": to.kind, "state": "sent", "due_at": at, "created_at": at, "settled_at": at, **fields}
    return Delivery.objects.create(account=shop.account, destination=to, run=run, **given)


@pytest.fixture
def client(shop: Acme, client: Client) -> Client:
    client.force_login(shop.admin.user)
    return client


def look(client: Client, shop: Acme, query: str = "") -> str:
    answer = client.get(f"/a/{shop.account.pk}/deliveries{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def ids(page: str) -> list[int]:
    return [int(found) for found in re.findall(r'<tr role="row" id="d(\d+)"', page)]


class TestWords:
    def test_a_message_in_slack_is_posted_and_a_mail_is_sent(self, shop: Acme, client: Client) -> None:
        there, _ = channel(shop), shop.rule(shop.destination())
        run = make_run(shop)
        Delivery.objects.update(state="sent", attempts=1, settled_at=NOW)
        posted = Delivery.objects.get(destination=there)
        Attempt.objects.create(delivery=posted, at=NOW, took=0.2, verdict="sent")
        log = look(client, shop, f"?open={posted.pk}")
        assert log.count("Posted in Slack</span>") == log.count("Sent</span>") == 1
        assert log.count('aria-label="Slack"><use href="#i-hash"/>') == log.count('aria-label="E-mail"><use href="#i-mail"/>') == 1
        assert "Slack took it." in log
        assert "Taken by the mail server" not in log
        receipts = client.get(f"/a/{shop.account.pk}/runs/{run.pk}").content.decode()
        assert receipts.count("Posted in Slack</span>") == receipts.count("Sent</span>") == 1
        assert f"from={posted.pk}&amp;open={posted.pk}#d{posted.pk}" in receipts
        result = client.get(f"/a/{shop.account.pk}/settings/notifications/test/{posted.pk}").content.decode()
        assert "Posted in Slack</span>" in result


class TestFilters:
    @pytest.fixture
    def log(self, shop: Acme) -> dict[str, int]:
        """Five messages, each the only one in some respect."""
        mail, there, hook = shop.destination(), channel(shop, "slack", "#Данные"), channel(shop, "slack_webhook", "#pager")
        staging = job(shop, "ночная СБОРКА", "Staging")
        made = {
            "mail": message(shop, mail, ago=2),
            "dead": message(shop, mail, state="dead", ago=3),
            "slack": message(shop, there, lane="slack:7", ago=30),
            "hook": message(shop, hook, outcome="cancelled", ago=24 * 8),
            "staging": message(shop, mail, staging, outcome="warned", ago=5),
        }
        return {name: delivery.pk for name, delivery in made.items()}

    FITTING: ClassVar = [
        ("", ["mail", "dead", "staging", "slack", "hook"]),
        ("state=dead", ["dead"]),
        ("state=sent", ["mail", "staging", "slack", "hook"]),
        ("state=trying", []),
        ("channel=slack", ["slack"]),
        ("channel=slack_webhook", ["hook"]),
        ("channel=email&state=sent", ["mail", "staging"]),
        ("outcome=cancelled", ["hook"]),
        ("outcome=failed&channel=email&state=dead", ["dead"]),
        ("environment=Staging", ["staging"]),
        ("environment=Production&q=ada", ["mail", "dead"]),
        ("job=nightly&span=24h", ["mail", "dead"]),
        ("span=7d", ["mail", "dead", "staging", "slack"]),
        ("q=СБОРка", ["staging"]),
        ("q=данн", ["slack"]),
        ("q=%23PAGER", ["hook"]),
        ("q=ADA@acme&outcome=warned", ["staging"]),
        ("q=nothing like it", []),
        ("state=nonsense&channel=pigeon&span=9y&outcome=won&before=x&open=x", ["mail", "dead", "staging", "slack", "hook"]),
    ]

    @pytest.mark.parametrize("few", [FEW, -1])
    def test_each_alone_and_together(
        self, shop: Acme, client: Client, log: dict[str, int], monkeypatch: pytest.MonkeyPatch, few: int
    ) -> None:
        """By the indexes of what was named, and by a walk along the log."""
        monkeypatch.setattr("runbell.server.services.delivery_filters.FEW", few)
        named = {place.name: place.pk for model in (Environment, Job) for place in model.objects.all()}
        for query, fits in self.FITTING:
            asked = re.sub(r"(environment|job)=(\w+)", lambda found: f"{found[1]}={named[found[2]]}", query)
            assert ids(look(client, shop, f"?{asked}")) == [log[name] for name in fits], query

    def test_links_keep_the_filters_and_numbers_follow_them(self, shop: Acme, client: Client, log: dict[str, int]) -> None:
        page = look(client, shop, "?q=ada&outcome=failed&span=30d")
        assert 'href="?q=ada&amp;outcome=failed&amp;span=30d&amp;state=dead"' in page
        assert f'href="?q=ada&amp;outcome=failed&amp;span=30d&amp;open={log["mail"]}#d' in page
        assert 'deliveries.csv?q=ada&amp;outcome=failed&amp;span=30d"' in page
        assert re.findall(r"(All|Sent|Trying|Dead|Not sent) <b>(\d+)</b>", page) == [
            *[("All", "2"), ("Sent", "1"), ("Trying", "0"), ("Dead", "1"), ("Not sent", "0")]
        ]

    def test_nothing_found_says_how_to_look_wider(self, shop: Acme, client: Client, log: dict[str, int]) -> None:
        page = look(client, shop, f"?q=ada&outcome=cancelled&job={shop.job.pk}&before=1.1")
        assert "No message fits all of these" in page
        for narrower in (f"outcome=cancelled&job={shop.job.pk}", f"q=ada&job={shop.job.pk}", "q=ada&outcome=cancelled"):
            assert f'href="?{narrower.replace("&", "&amp;")}"' in page
        assert f'href="/a/{shop.account.pk}/deliveries">Show all messages' in page

    def test_a_job_and_an_environment_of_another_account_are_not_there(self, shop: Acme, client: Client) -> None:
        other = acme("Other", "other.test")
        message(other, other.destination())
        for query in (f"job={other.job.pk}", f"environment={other.job.environment_id}", "job=999999"):
            for page in ("deliveries", "deliveries.csv"):
                assert client.get(f"/a/{shop.account.pk}/{page}?{query}").status_code == 404
        for query in ("", "?q=ada", "?outcome=failed", "?state=sent"):
            assert ids(look(client, shop, query)) == []

    def test_jobs_and_runs_lead_to_their_messages(self, shop: Acme, client: Client) -> None:
        run = message(shop, shop.destination()).run
        assert run
        for page in (f"jobs/{shop.job.pk}", f"runs/{run.pk}"):
            assert f'deliveries?job={shop.job.pk}"' in client.get(f"/a/{shop.account.pk}/{page}").content.decode()
        assert "Messages about the job nightly" in look(client, shop, f"?job={shop.job.pk}")


class TestPages:
    @pytest.fixture
    def many(self, shop: Acme) -> list[int]:
        """The newest first; two and two at one moment."""
        to = shop.destination()
        start = timezone.now()
        made = Delivery.objects.bulk_create(
            Delivery(
                account=shop.account, destination=to, lane="email", state="sent", due_at=start, created_at=start - timedelta(seconds=n // 2)
            )
            for n in range(2 * PAGE + 7)
        )
        return [row.pk for row in sorted(made, key=lambda row: (row.created_at, row.pk), reverse=True)]

    def follow(self, client: Client, shop: Acme, query: str = "") -> Iterator[list[int]]:
        """Page after page, by its own link."""
        while True:
            page = look(client, shop, query)
            yield ids(page)
            link = re.search(r'href="(\?[^"]*before=[^"]*)">Older', page)
            if not link:
                return
            query = unquote(link[1].replace("&amp;", "&"))

    def test_every_message_is_on_one_page(self, shop: Acme, client: Client, many: list[int]) -> None:
        pages = list(self.follow(client, shop, "?q=ada"))
        assert [len(page) for page in pages] == [PAGE, PAGE, 7]
        assert [pk for page in pages for pk in page] == many

    def test_the_next_page_follows_though_its_link_was_deleted_and_new_ones_came(self, shop: Acme, client: Client, many: list[int]) -> None:
        pages = self.follow(client, shop)
        next(pages)
        Delivery.objects.filter(pk=many[PAGE - 1]).delete()
        message(shop, shop.destination(Role.DEVELOPER), ago=0)
        assert next(pages) == many[PAGE : 2 * PAGE]

    def test_a_link_to_one_begins_with_it(self, shop: Acme, client: Client, many: list[int]) -> None:
        page = look(client, shop, f"?from={many[60]}&open={many[60]}")
        assert ids(page)[:2] == many[60:62]
        assert "Put into the outbox" in page
        other = acme("Other", "other.test")
        assert ids(look(client, shop, f"?from={message(other, other.destination()).pk}"))[0] == many[0]

    def test_behind_the_last_page_one_is_led_back(self, shop: Acme, client: Client, many: list[int]) -> None:
        page = look(client, shop, "?before=1.1")
        assert "There are no older messages." in page
        assert "Show all messages" in page


class TestFile:
    def rows(self, client: Client, shop: Acme, query: str = "") -> list[dict[str, str]]:
        answer: Any = client.get(f"/a/{shop.account.pk}/deliveries.csv{query}")
        assert answer.status_code == 200
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert answer["Content-Disposition"].startswith('attachment; filename="deliveries-')
        return list(csv.DictReader(io.StringIO(b"".join(answer).decode(), newline="")))

    def test_it_is_what_the_filters_show(self, shop: Acme, client: Client) -> None:
        shop.admin.user.language = "ru"
        shop.admin.user.save()
        at = datetime(2026, 11, 20, 2, 12, 6, 123456, tzinfo=UTC)
        mail = message(shop, shop.destination(), created_at=at, settled_at=at + timedelta(seconds=2), attempts=2)
        message(shop, channel(shop))
        [row] = self.rows(client, shop, "?channel=email")
        assert row == {
            "id": str(mail.pk),
            "created_at": "2026-11-20T02:12:06.123456+00:00",
            "settled_at": "2026-11-20T02:12:08.123456+00:00",
            "purpose": "run",
            "project": "shop",
            "environment": "Production",
            "job": "nightly",
            "run_id": str(mail.run_id),
            "outcome": "failed",
            "channel": "email",
            "address": "ada@acme.test",
            "state": "sent",
            "attempts": "2",
            "reason": "",
        }
        assert len(self.rows(client, shop)) == 2

    @pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@sum", "\t=1"])
    def test_no_cell_is_a_formula(self, shop: Acme, client: Client, name: str) -> None:
        message(shop, channel(shop, name=name), job(shop, f'{name}"quoted, and "'))
        [row] = self.rows(client, shop)
        assert (row["job"], row["address"]) == (f'\'{name}"quoted, and "', f"'{name}")

    def test_a_long_log_is_read_a_few_at_a_time(self, shop: Acme, client: Client) -> None:
        to, start = shop.destination(), timezone.now()
        Delivery.objects.bulk_create(
            Delivery(account=shop.account, destination=to, lane="email", state="sent", due_at=start, created_at=start)
            for _ in range(2 * BATCH + 1)
        )
        answer: Any = client.get(f"/a/{shop.account.pk}/deliveries.csv")
        assert answer.streaming
        with CaptureQueriesContext(connection) as queries:
            lines = list(every_line(Actor(shop.admin), Wish(), group="all"))
        assert len({line.id for line in lines}) == len(lines) == 2 * BATCH + 1
        assert len(queries) == 6


class TestCost:
    """What a page asks of the database does not grow with the log: the number of statements, and what each of them reads."""

    def test_the_number_of_statements_is_fixed(self, shop: Acme, client: Client) -> None:
        numbers, to = [], shop.destination()
        look(client, shop)
        for count in (1, 30):
            for _ in range(count):
                message(shop, to, state="dead")
            query = f"?q=ada&outcome=failed&environment={shop.job.environment_id}&channel=email&span=7d&state=dead&open=1"
            with CaptureQueriesContext(connection) as queries:
                look(client, shop, query)
            numbers.append(len(queries))
        assert numbers[0] == numbers[1] <= 17

    @pytest.fixture
    def long(self, shop: Acme) -> Job:
        """Some ten thousand messages, a few of them dead, a few on their way, and a few about a job of its own."""
        rare, to, start = job(shop, "rare"), shop.destination(), timezone.now()
        channel(shop, "slack")
        run = {"account": shop.account, "state": "finished", "started_at": start, "received_at": start}
        runs = Run.objects.bulk_create(
            Run(job=rare if n % 1000 == 0 else shop.job, outcome="cancelled" if n % 97 == 0 else "failed" if n % 3 else "succeeded", **run)
            for n in range(12_000)
        )
        states = {1: "dead", 2: "waiting", 3: "suppressed"}
        made = {"account": shop.account, "lane": "email", "due_at": start}
        Delivery.objects.bulk_create(
            Delivery(
                destination=to,
                run=one,
                state=states.get(n % 1000, "sent"),
                created_at=start - timedelta(seconds=n),
                settled_at=start,
                **made,
            )
            for n, one in enumerate(runs)
        )
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("ANALYZE runbell_delivery, runbell_run, runbell_job, runbell_destination")
        return rare

    ANSWERS: ClassVar[list[tuple[str, dict[str, Any], str]]] = [
        ("all", {}, "delivery_log"),
        ("sent", {}, "delivery_log"),
        ("dead", {}, "delivery_ended"),
        ("unsent", {}, "delivery_ended"),
        ("trying", {}, "delivery_turn"),
        ("all", {"outcome": "failed"}, "delivery_log"),
        ("all", {"outcome": "cancelled"}, "run_rare"),
        ("all", {"channel": "slack"}, "delivery_by_destination"),
        ("all", {"since": True}, "delivery_log"),
        ("all", {"search": "nightly"}, "delivery_log"),
        ("all", {"job": True}, "run_id|delivery_once"),
        ("dead", {"search": "rare"}, "run_id|delivery_once"),
    ]

    def test_an_index_answers(self, shop: Acme, long: Job) -> None:
        for group, wish, index in self.ANSWERS:
            given = {"job": long.pk} if "job" in wish else {"since": timezone.now() - timedelta(minutes=10)} if "since" in wish else wish
            plan = Chosen.by(shop.account.pk, Wish(**given)).rows(group).values_list("pk", flat=True)[:51].explain()
            assert re.search(index, plan), (group, wish, plan)
            assert not re.search(r"SCAN runbell_delivery(?! USING)|Seq Scan on runbell_delivery", plan), (group, wish, plan)

    def test_nothing_reads_the_whole_table(self, shop: Acme, long: Job) -> None:
        with CaptureQueriesContext(connection) as queries:
            log = delivery_log(Actor(shop.admin), Wish(), group="all", opened=None, place=None, now=timezone.now())
        assert (log.counts["all"], log.counts["dead"], log.counts["trying"], log.day["all"]) == (10_000, 12, 12, 10_000)
        assert len(queries) == 4
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL enable_seqscan = off")  # with one account in the table it may well read it from its start
            for query in queries.captured_queries:
                cursor.execute(("EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN ") + query["sql"])
                plan = str(cursor.fetchall())
                assert not re.search(r"SCAN runbell_delivery(?! USING)|SCAN U0(?! USING)|Seq Scan on runbell_delivery", plan), plan
