"""Who is told by mail that mail does not arrive: once for each trouble, and never about a notice. Over real SMTP."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from pytest_django import Settings

from runbell.core.permissions import Role
from runbell.server.db.models import Delivery, Destination, Member
from tests.fakes.smtp_server import Mail, SmtpServer
from tests.server.people import Acme, acme
from tests.server.test_bounces import ADA, UNKNOWN, run_fails, work
from tests.server.test_pages import make_run
from tests.server.test_worker import queue

DANA, PARTNER = "dana@acme.test", "oncall@partner.test"


@pytest.fixture
def shop(transactional_db: None) -> Acme:
    return acme()


@pytest.fixture
def relay(settings: Settings) -> Iterator[SmtpServer]:
    settings.RUNBELL_TIME_SCALE = 0.001
    with SmtpServer() as server:
        settings.RUNBELL_SMTP_URL = server.url
        yield server


def notices(relay: SmtpServer) -> list[Mail]:
    return [mail for mail in relay.mails if mail.headers["X-Runbell-Outcome"] == "notice"]


def partner(shop: Acme) -> Destination:
    destination = shop.destination()
    destination.member, destination.address, destination.address_key = None, PARTNER, PARTNER
    destination.save()
    return destination


def test_admins_hear_once_that_a_members_address_does_not_work(shop: Acme, relay: SmtpServer) -> None:
    shop.rule(shop.destination(Role.DEVELOPER))
    relay.refuse(DANA, UNKNOWN)
    for _ in range(5):
        make_run(shop)
        work()
    (notice,) = notices(relay)
    assert notice.recipients == (ADA,)
    assert notice.headers["Subject"] == f"NOT DELIVERED · {DANA} · Acme"
    text = notice.content.decode()
    assert "no such user" in text
    assert "nightly" in text
    assert "belongs to an admin" in text
    assert "List-Unsubscribe" not in text


def test_after_a_success_a_new_trouble_is_told_anew(shop: Acme, relay: SmtpServer) -> None:
    shop.rule(shop.destination(Role.DEVELOPER))
    for _ in range(2):
        relay.refuse(DANA, UNKNOWN)
        run_fails(shop)
        relay.accept(DANA)
        run_fails(shop)
    assert len(notices(relay)) == 2


def test_an_admin_whose_own_address_fails_is_not_told_by_mail_but_the_others_are(shop: Acme, relay: SmtpServer) -> None:
    shop.rule(shop.destination())
    relay.refuse(ADA, UNKNOWN)
    run_fails(shop)
    assert not Delivery.objects.filter(purpose="notice").exists()
    Destination.objects.update(trouble_told_at=None)
    Member.objects.filter(pk=shop.members[Role.DEVELOPER].pk).update(role=Role.ACCOUNT_ADMIN)
    run_fails(shop)
    assert [mail.recipients for mail in notices(relay)] == [(DANA,)]


def test_of_an_external_address_also_those_who_chose_for_it_are_told(shop: Acme, relay: SmtpServer) -> None:
    rule = shop.rule(partner(shop))
    rule.set_by = shop.members[Role.NOTIFICATION_MANAGER]
    rule.save()
    relay.refuse(PARTNER, UNKNOWN)
    run_fails(shop)
    assert sorted(mail.recipients for mail in notices(relay)) == [(ADA,), ("nina@acme.test",)]
    assert b"you chose what is sent there" in next(m for m in notices(relay) if m.recipients != (ADA,)).content.replace(b"=\r\n", b"")


def test_an_address_that_is_switched_off_at_last_is_the_same_trouble(shop: Acme, relay: SmtpServer) -> None:
    destination = shop.rule(shop.destination(Role.DEVELOPER)).destination
    Destination.objects.filter(pk=destination.pk).update(refusals=2)
    relay.refuse(DANA, UNKNOWN)
    run_fails(shop)
    (notice,) = notices(relay)
    assert notice.headers["Subject"].startswith(f"ADDRESS REFUSED · {DANA}")


def test_a_notice_that_dies_breeds_no_other(shop: Acme, relay: SmtpServer) -> None:
    Member.objects.filter(pk=shop.members[Role.VIEWER].pk).update(role=Role.ACCOUNT_ADMIN)
    shop.rule(shop.destination(Role.DEVELOPER))
    for address in (ADA, DANA, "vera@acme.test"):
        relay.refuse(address, UNKNOWN)
    for _ in range(4):
        make_run(shop)
        work()
    assert Delivery.objects.filter(purpose="notice", state="dead").count() == 2
    assert Delivery.objects.filter(purpose="notice").count() == 2


def test_a_test_that_does_not_arrive_is_seen_by_who_sent_it(shop: Acme, relay: SmtpServer) -> None:
    relay.refuse(DANA, UNKNOWN)
    queue(shop, shop.destination(Role.DEVELOPER))
    work()
    assert not Delivery.objects.filter(purpose="notice").exists()


def test_a_relay_that_was_down_is_told_once_when_it_works_again(shop: Acme, relay: SmtpServer, settings: Settings) -> None:
    settings.RUNBELL_MAX_AGE = timedelta(seconds=200)  # 0.2 s as scaled
    for role in (Role.DEVELOPER, Role.VIEWER):
        shop.rule(shop.destination(role))
    relay.always("connect", "554 5.3.2 closed for repair")
    make_run(shop)
    pending = Delivery.objects.filter(purpose="run").exclude(state="dead")
    work(lambda: not pending.exists())
    assert Delivery.objects.filter(purpose="notice", state__in=("queued", "waiting", "sending")).count() == 1
    relay.always("connect", "220 back again")
    work()
    (notice,) = notices(relay)
    assert (notice.recipients, notice.headers["Subject"]) == ((ADA,), "NOT DELIVERED · mail server · Acme")
    assert not Destination.objects.exclude(refusals=0).exists()
