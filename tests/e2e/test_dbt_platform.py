"""docs/howto/dbt-platform.md step by step against a fake dbt platform, with a real server, worker and mail server."""

import html
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from tests.e2e.processes import wait_until
from tests.e2e.stage import ROOT, Server, running
from tests.fakes.dbt_platform import FakeDbt, FakeRun
from tests.fakes.smtp_server import Mail, SmtpServer

PAGE = (ROOT / "docs" / "howto" / "dbt-platform.md").read_text()
HEARS = "ops@partner.example"
EXPECTED = {
    "warned": ("WARNED", "configured to warn"),
    "failed": ("FAILED", "Runtime Error"),
    "cancelled": ("CANCELED", ""),
}


class Browser:
    """As much of one as forms need."""

    def __init__(self, url: str) -> None:
        self.url, self.text = url, ""
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def open(self, path: str, fields: dict[str, str] | None = None) -> str:
        """Where it ended up."""
        data = None
        if fields is not None:
            token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.text)[0]
            data = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token}).encode()
        request = urllib.request.Request(urllib.parse.urljoin(self.url, path), data, {"Origin": self.url})
        with closing(self._opener.open(request, timeout=30)) as answer:
            self.text = " ".join(html.unescape(answer.read().decode()).split())
            return str(answer.geturl())

    def sees(self, *names: str) -> None:
        for name in names:
            assert f"**{name}**" in PAGE, f"the page says nothing of {name}"
            assert name in self.text, f"{name} is not there"


@dataclass
class Stage:
    server: Server
    dbt: FakeDbt
    smtp: SmtpServer
    endpoint: str = ""

    def tell(self, run: FakeRun, kind: str) -> None:
        body, signature = self.dbt.event(run, kind)
        request = urllib.request.Request(self.endpoint, body, {"Authorization": signature, "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200

    def mails(self, outcome: str) -> list[Mail]:
        return [mail for mail in self.smtp.mails if str(mail.headers["Subject"]).startswith(outcome)]

    def wait_for(self, outcome: str, count: int) -> None:
        wait_until(lambda: len(self.mails(outcome)) >= count, f"{count} mails: {outcome}")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with FakeDbt() as dbt, SmtpServer() as smtp:
        env = {"RUNBELL_SMTP_URL": smtp.url, "RUNBELL_DBT_POLL": "1s", "RUNBELL_DBT_SETTLE": "3s", "RUNBELL_PRIVATE_HOSTS": "on"}
        with running(tmp_path / "home", **env) as server:
            server.furnish(())
            choose(server)
            yield Stage(server, dbt, smtp)
            assert server.stop() == 0


def choose(server: Server) -> None:
    """All outcomes but Succeeds of the job `nightly`, for an external address."""
    account = f"/api/v2/accounts/{server.account}"
    [job] = server.call("GET", f"{account}/jobs/")["data"]
    user = server.call("GET", "/api/v2/whoami/")["data"]["user"]["id"]
    boxes: dict[str, Any] = {"on_success": [], **{name: [job["id"]] for name in ("on_cancel", "on_failure", "on_warning")}}
    server.call(
        "POST",
        f"{account}/notifications/",
        {"account_id": server.account, "user_id": user, "type": 4, "state": 1, "external_email": HEARS, **boxes},
    )


def follow_the_page(stage: Stage) -> None:
    browser, base = Browser(stage.server.url), f"/a/{stage.server.account}/settings/integrations"
    browser.open("/account/login/")
    browser.open("/account/login/", {"login": "ada@acme.test", "password": "correct horse battery"})
    browser.open(base)
    browser.sees("Connect")
    browser.open(f"{base}/dbt")
    browser.sees("Host", "Account ID", "Service token", "Webhook secret")
    page = browser.open(f"{base}/dbt", {"host": stage.dbt.url, "external_id": "7", "token": stage.dbt.token, "webhook_secret": ""})
    browser.sees("Webhook", "Webhooks", "Never seen", "Check", "Save", "Remove this account")
    found = re.search(r"http://[^<\s]+/sources/dbt/\d+", browser.text)
    assert found
    stage.endpoint = found[0]
    browser.open(page, {"token": "", "webhook_secret": stage.dbt.secret})
    browser.open(f"{page}/check", {})
    assert "Does not work" not in browser.text


def test_each_run_is_one_mail_whatever_came_first(stage: Stage) -> None:
    follow_the_page(stage)
    for count, events in enumerate(((), ("once",), ("once", "once")), 1):
        for kind, (word, error) in EXPECTED.items():
            run = stage.dbt.world.add_run(kind)
            for _ in events:
                stage.tell(run, "job.run.started")
                if kind != "cancelled":
                    stage.tell(run, "job.run.completed")
            stage.wait_for(word, count)
            assert error in text_of(stage.mails(word)[-1])
    wait_until(lambda: stage.server.number("SELECT COUNT(*) FROM runbell_dbtrun WHERE done_at IS NULL") == 0, "everything is read")
    polled = len(stage.dbt.asked_for("finished_at__range"))
    wait_until(lambda: len(stage.dbt.asked_for("finished_at__range")) > polled + 1, "another poll")
    assert len(stage.smtp.mails) == 9


def test_a_run_that_ends_while_the_server_is_down_is_found(stage: Stage) -> None:
    follow_the_page(stage)
    wait_until(lambda: stage.dbt.asked_for("finished_at__range"), "a poll")
    assert stage.server.stop() == 0
    stage.dbt.world.add_run("cancelled")
    stage.server.start()
    stage.wait_for("CANCELED", 1)


def test_a_webhook_is_answered_while_dbt_hangs_and_told_of_without_details(stage: Stage) -> None:
    follow_the_page(stage)
    stage.dbt.hangs = True
    run, took = stage.dbt.world.add_run("failed"), []
    for _ in range(50):
        began = monotonic()
        stage.tell(run, "job.run.errored")
        took.append(monotonic() - began)
    print(f"answered within {max(took) * 1000:.0f} ms, in the middle {sorted(took)[25] * 1000:.0f} ms")
    stage.wait_for("FAILED", 1)
    assert len(stage.mails("FAILED")) == 1


def test_a_token_that_is_none_is_said(stage: Stage) -> None:
    stage.dbt.token = "dbtc_another"
    browser, base = Browser(stage.server.url), f"/a/{stage.server.account}/settings/integrations"
    browser.open("/account/login/")
    browser.open("/account/login/", {"login": "ada@acme.test", "password": "correct horse battery"})
    page = browser.open(f"{base}/dbt", {"host": stage.dbt.url, "external_id": "7", "token": "dbtc_wrong", "webhook_secret": ""})
    wait_until(lambda: any("DBT" in str(mail.headers["Subject"]) for mail in stage.smtp.mails), "a mail to its owner")
    browser.open(page)
    browser.sees("The token does not work")


def text_of(mail: Mail) -> str:
    body = message_from_bytes(mail.content, policy=policy.default).get_body(("plain",))
    assert body
    return str(body.get_content())
