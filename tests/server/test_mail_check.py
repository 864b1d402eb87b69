"""Does mail leave? The settings at start, the page and the command that ask a real mail server, and what monitors hear."""

import re
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import monotonic

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from runbell.channels.reach import why_not_us
from runbell.core.permissions import Role
from runbell.server import commands
from runbell.server.db import outbox
from runbell.server.db.bell import open_bell
from runbell.server.db.models import Delivery
from runbell.server.services import mail_check
from runbell.server.services.readiness import Outage, has_worker, outage, queue
from runbell.server.web import health
from tests.fakes.smtp_server import SmtpServer
from tests.server.people import Acme, acme
from tests.server.test_pages import sign_in

SECRET = "hunter2-and-more"


@pytest.fixture
def relay() -> Iterator[SmtpServer]:
    with SmtpServer(credentials=("mailer", SECRET)) as server:
        yield server


@pytest.fixture
def mail_set(settings: Settings, relay: SmtpServer) -> None:
    settings.RUNBELL_SMTP_URL = f"smtp://mailer:{SECRET}@127.0.0.1:{relay.port}"
    settings.RUNBELL_MAIL_FROM = "Runbell <runbell@acme.se>"
    settings.RUNBELL_PUBLIC_URL = f"http://127.0.0.1:{free_port()}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def page_of(shop: Acme) -> str:
    return f"/a/{shop.account.pk}/settings/mail"


@pytest.mark.django_db
@pytest.mark.usefixtures("mail_set")
class TestPage:
    def test_every_answer_of_the_mail_server_is_shown(self, shop: Acme, relay: SmtpServer) -> None:
        relay.say("mail", "250 2.1.0 sender fine")
        page = sign_in(shop).post(page_of(shop), {"address": "oncall@partner.example"}).content.decode()
        assert "The mail server took the mail to oncall@partner.example" in page
        for words in (f"127.0.0.1:{relay.port}", "sink.test", "Signed in as", "mailer", "250 2.1.0 sender fine", "SINK1"):
            assert words in page
        mail = relay.wait_for(1)[0]
        assert mail.recipients == ("oncall@partner.example",)
        assert mail.sender == "runbell@acme.se"
        assert mail.headers["Subject"].startswith("TEST")
        assert "ada@acme.test" in mail.content.decode()
        assert SECRET not in page

    def test_a_refusal_is_said_in_words_with_what_went_well_before(self, shop: Acme, relay: SmtpServer) -> None:
        relay.say("rcpt", "550 5.1.1 no such user")
        page = sign_in(shop).post(page_of(shop), {"address": "x@partner.example"}).content.decode()
        assert "The mail to x@partner.example was not taken" in page
        assert "There is no such address: 550 5.1.1 “no such user”." in page
        assert "Takes mail from our address" in page
        assert "Takes mail for this address" not in page

    def test_a_refused_sign_in_shows_no_secret(self, shop: Acme, relay: SmtpServer) -> None:
        relay.always("auth", f"535 5.7.8 {SECRET} is wrong")
        page = sign_in(shop).post(page_of(shop), {"address": "x@partner.example"}).content.decode()
        assert "The mail server did not take our sign-in" in page
        assert SECRET not in page

    def test_nobody_there(self, shop: Acme, settings: Settings) -> None:
        settings.RUNBELL_SMTP_URL = f"smtp://127.0.0.1:{free_port()}"
        page = sign_in(shop).post(page_of(shop), {"address": "x@partner.example"}).content.decode()
        assert "The mail server cannot be reached" in page

    def test_what_the_domain_should_publish(self, shop: Acme, settings: Settings) -> None:
        page = sign_in(shop).get(page_of(shop)).content.decode()
        assert "_dmarc.acme.se" in page
        settings.RUNBELL_MAIL_FROM = "Runbell <runbell@localhost>"
        page = sign_in(shop).get(page_of(shop)).content.decode()
        assert "which is no domain of the internet" in page
        assert "_dmarc" not in page

    @pytest.mark.parametrize("address", ["", "nobody", "a@b\r\nBcc: c@d.example", "x" * 300 + "@a.example"])
    def test_what_is_no_address_goes_nowhere(self, shop: Acme, relay: SmtpServer, address: str) -> None:
        answer = sign_in(shop).post(page_of(shop), {"address": address})
        assert answer.status_code == 400
        assert "This is not an e-mail address that can be written to." in answer.content.decode()
        assert relay.sessions == 0

    def test_tests_are_counted(self, shop: Acme, relay: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mail_check, "TESTS_AN_HOUR", 1)
        client = sign_in(shop)
        assert client.post(page_of(shop), {"address": "x@partner.example"}).status_code == 200
        assert client.post(page_of(shop), {"address": "x@partner.example"}).status_code == 429
        assert len(relay.mails) == 1

    @pytest.mark.parametrize("role", [Role.NOTIFICATION_MANAGER, Role.DEVELOPER, Role.VIEWER])
    def test_admins_alone(self, shop: Acme, relay: SmtpServer, role: Role) -> None:
        assert sign_in(shop, role).get(page_of(shop)).status_code == 403
        assert sign_in(shop, role).post(page_of(shop), {"address": "x@partner.example"}).status_code == 403
        assert relay.sessions == 0


@pytest.mark.django_db
class TestBanner:
    def test_admins_are_told_on_the_home_page_that_mail_reaches_nobody(self, shop: Acme, settings: Settings) -> None:
        words = "No mail server is set"
        home = f"/a/{shop.account.pk}/"
        assert words in sign_in(shop).get(home).content.decode()
        assert words not in sign_in(shop, Role.DEVELOPER).get(home).content.decode()
        assert "RUNBELL_SMTP_URL=" in sign_in(shop).get(page_of(shop)).content.decode()
        settings.RUNBELL_SMTP_URL = "smtp://127.0.0.1"
        assert words not in sign_in(shop).get(home).content.decode()

    def test_a_test_without_a_mail_server_is_refused(self, shop: Acme) -> None:
        answer = sign_in(shop).post(page_of(shop), {"address": "x@partner.example"})
        assert answer.status_code == 400

    def test_a_wrong_setting_is_named(self, shop: Acme, settings: Settings) -> None:
        settings.RUNBELL_SMTP_URL = f"http://mailer:{SECRET}@127.0.0.1"
        page = sign_in(shop).get(page_of(shop)).content.decode()
        assert "<code>RUNBELL_SMTP_URL</code> must begin with smtp://" in page
        assert SECRET not in page
        assert "a setting of the server is wrong" in sign_in(shop).get(f"/a/{shop.account.pk}/").content.decode()


class TestStart:
    @pytest.mark.parametrize("command", ["serve", "worker"])
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("RUNBELL_SMTP_URL", f"http://u:{SECRET}@mail.acme.example"),
            ("RUNBELL_SMTP_URL", f"smtp://u:{SECRET}#x@mail.acme.example:port"),
            ("RUNBELL_MAIL_FROM", "Runbell"),
        ],
    )
    def test_a_wrong_setting_is_an_error_that_names_it(
        self, settings: Settings, capsys: pytest.CaptureFixture[str], command: str, name: str, value: str
    ) -> None:
        setattr(settings, name, value)
        assert commands.main([command]) == 2
        said = capsys.readouterr().err
        assert name in said
        assert SECRET not in said

    def test_the_doctor_says_it_too(self, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
        settings.RUNBELL_SMTP_URL = f"http://u:{SECRET}@mail.acme.example"
        assert commands.main(["doctor"]) == 1
        said = capsys.readouterr().out
        assert "runbell.E001: RUNBELL_SMTP_URL: must begin with" in said
        assert SECRET not in said

    def test_the_doctor_sends_a_test(
        self, settings: Settings, capsys: pytest.CaptureFixture[str], relay: SmtpServer, mail_set: None
    ) -> None:
        assert commands.main(["doctor", "--send-test", "x@partner.example"]) == 0
        said = capsys.readouterr().out
        for words in ("sender     250 2.1.0 ok", "The mail server took it.", "_dmarc.acme.se", "The public URL cannot be reached"):
            assert words in said
        assert SECRET not in said
        relay.always("rcpt", "550 5.7.1 relaying denied")
        assert commands.main(["doctor", "--send-test", "x@partner.example"]) == 1
        assert "not taken: The address was refused: 550 5.7.1 “relaying denied”." in capsys.readouterr().out

    def test_the_doctor_needs_a_mail_server_and_an_address(
        self, settings: Settings, capsys: pytest.CaptureFixture[str], relay: SmtpServer
    ) -> None:
        assert commands.main(["doctor", "--send-test", "x@partner.example"]) == 2
        assert "RUNBELL_SMTP_URL" in capsys.readouterr().err
        settings.RUNBELL_SMTP_URL = relay.url
        assert commands.main(["doctor", "--send-test", "nobody"]) == 2
        assert relay.sessions == 0


class Site(BaseHTTPRequestHandler):
    answers = ((200, b"ok\n"),)

    def do_GET(self) -> None:
        status, body = {"/healthz": (200, b"ok\n"), "/other": (200, b"<html>"), "/moved": (302, b"")}.get(self.path, (503, b""))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/healthz")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""


class TestPublicUrl:
    @pytest.fixture
    def site(self) -> Iterator[str]:
        server = HTTPServer(("127.0.0.1", 0), Site)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
        server.server_close()

    @pytest.mark.parametrize(
        ("path", "code"), [("/healthz", None), ("/other", "url_not_ours"), ("/moved", "url_answers"), ("/down", "url_answers")]
    )
    def test_only_our_own_answer_counts_and_no_redirect_is_followed(self, site: str, path: str, code: str | None) -> None:
        found = why_not_us(f"{site}{path}")
        assert (found.code if found else None) == code

    @pytest.mark.parametrize("url", ["http://127.0.0.1:1/healthz", "http://no-such-host.invalid/healthz", "http://[::1"])
    def test_what_cannot_be_reached(self, url: str) -> None:
        found = why_not_us(url, timeout=2)
        assert found
        assert found.code == "url_unreachable"

    def test_silence(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            found = why_not_us(f"http://127.0.0.1:{mute.getsockname()[1]}/healthz", timeout=0.2)
        assert found
        assert found.code == "url_silent"


def trouble() -> Outage | None:
    now = timezone.now()
    return outage(queue(now=now), now=now)


@pytest.mark.django_db
class TestReadyz:
    def ready(self) -> tuple[int, str]:
        answer = Client().get("/readyz")
        state, _, self.depth = answer.content.decode().partition("\n")
        return answer.status_code, state

    def waiting(self, shop: Acme, *, age: timedelta, code: str = "") -> None:
        at = timezone.now() - age
        because = {"code": code, "params": {"text": "relay.acme.example says no"}} if code else None
        state = "waiting" if code else "queued"
        Delivery.objects.create(account=shop.account, lane="email", state=state, due_at=at, created_at=at, last_because=because)

    def test_a_worker_may_be_missing_for_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "has_worker", lambda: False)  # another test's may not have ended yet
        monkeypatch.setattr(health.WATCH, "seen_at", monotonic())
        assert self.ready() == (200, "ready")
        monkeypatch.setattr(health.WATCH, "seen_at", monotonic() - health.GRACE - 1)
        assert self.ready() == (503, "no worker runs")

    @pytest.mark.django_db(transaction=True)
    def test_a_worker_that_listens_is_seen_and_not_woken(self, settings: Settings, tmp_path: Path) -> None:
        settings.RUNBELL_HOME = tmp_path  # on PostgreSQL a listener of another test may still be there
        can_be_alone = connection.vendor == "sqlite"
        assert not (can_be_alone and has_worker())
        bell = open_bell()
        try:
            assert has_worker()
            health.WATCH.seen_at -= health.GRACE + 1
            assert self.ready() == (200, "ready")
        finally:
            bell.close()
        assert not (can_be_alone and has_worker())

    def test_a_way_out_that_is_down_is_told_without_details(self, shop: Acme) -> None:
        self.waiting(shop, age=timedelta(minutes=2), code="smtp_unreachable")
        assert self.ready() == (200, "ready; trouble with a transport, messages wait")
        page = sign_in(shop).get(f"/a/{shop.account.pk}/").content.decode()
        assert "Messages wait since" in page
        assert "The mail server cannot be reached: “relay.acme.example says no”." in page
        others = sign_in(shop, Role.VIEWER).get(f"/a/{shop.account.pk}/").content.decode()
        assert "Messages wait since" in others
        assert "relay.acme.example" not in others

    def test_messages_that_nobody_takes(self, shop: Acme) -> None:
        self.waiting(shop, age=timedelta(minutes=6))
        assert self.ready() == (200, "ready; messages are late")

    def test_how_much_waits_and_for_how_long(self, shop: Acme) -> None:
        self.ready()
        assert self.depth == "queue: 0\n"
        for age in (3, 2):
            self.waiting(shop, age=timedelta(minutes=age))
        self.waiting(acme("Other", "other.test"), age=timedelta(minutes=4))
        self.ready()
        found = re.fullmatch(r"queue: 3, oldest (\d+) s\n", self.depth)
        assert found
        assert 240 <= int(found[1]) < 300

    def test_admins_see_how_much_of_their_own_waits(self, shop: Acme) -> None:
        self.waiting(acme("Other", "other.test"), age=timedelta(minutes=4))
        home = f"/a/{shop.account.pk}/"
        assert "on its way or" not in sign_in(shop).get(home).content.decode()
        for age in (3, 2):
            self.waiting(shop, age=timedelta(minutes=age))
        page = sign_in(shop).get(home).content.decode()
        assert re.search(r"2 messages are on their way or wait, the oldest made <time [^>]*>3\Wmin ago</time>\.", page)
        assert "on their way or" not in sign_in(shop, Role.VIEWER).get(home).content.decode()

    @pytest.mark.parametrize(("age", "code"), [(6, "smtp_later"), (0, "smtp_unreachable"), (4, "")])
    def test_what_is_no_outage(self, shop: Acme, age: int, code: str) -> None:
        """One address that is told to wait, a hiccup, and a queue that moves."""
        self.waiting(shop, age=timedelta(minutes=age), code=code)
        Delivery.objects.filter(state="waiting").update(due_at=timezone.now() + timedelta(minutes=1))
        assert trouble() is None

    def test_it_costs_little(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        self.waiting(shop, age=timedelta(minutes=2), code="smtp_unreachable")
        with django_assert_max_num_queries(2):
            trouble()


@pytest.mark.django_db
def test_the_look_for_trouble_reads_only_what_is_pending() -> None:
    """Else every look would read the whole delivery log."""
    plan = Delivery.objects.extra(where=[outbox.PENDING_SQL]).filter(last_because__isnull=False, created_at__lt=timezone.now()).explain()
    assert "delivery_turn" in plan or "Seq Scan" in plan  # PostgreSQL reads an empty table as it is
