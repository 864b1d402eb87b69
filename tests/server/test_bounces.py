"""Addresses that a mail server refuses: counted over real SMTP, switched off after three in a row, set right by a person."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

import pytest
from pytest_django import Settings

from runbell.core.because import Because
from runbell.core.deliveries import REFUSALS, Dead, Retry, Sent, Verdict, refusals_after
from runbell.core.permissions import Role
from runbell.messages.reasons import reason
from runbell.server.db.models import AuditEntry, Delivery, Destination, Receipt
from runbell.server.services import deliveries
from runbell.server.services.access import Actor, NotAllowed, NotThere
from runbell.server.services.bounces import lift, switched_off
from runbell.server.services.destinations import save_setting
from runbell.server.services.setting_changes import Change
from runbell.server.worker.loop import utc_now
from tests.fakes.smtp_server import SmtpServer
from tests.server.people import Acme, acme
from tests.server.test_pages import make_run, sign_in
from tests.server.test_worker import Watched, all_are

UNKNOWN = "550 5.1.1 no such user"
ADA = "ada@acme.test"


class Relay:
    """The way out that a real worker takes."""

    connect = staticmethod(partial(deliveries.connect, clock=utc_now))


SETTLED = all_are("sent", "dead", "suppressed")


def work(until: Callable[[], bool] = SETTLED) -> None:
    Watched(Relay(), until).run()  # type: ignore[arg-type]


@pytest.fixture
def shop(transactional_db: None) -> Acme:
    return acme()


@pytest.fixture
def relay(settings: Settings) -> Iterator[SmtpServer]:
    settings.RUNBELL_TIME_SCALE = 0.001
    with SmtpServer() as server:
        settings.RUNBELL_SMTP_URL = server.url
        yield server


def run_fails(shop: Acme) -> Delivery:
    run = make_run(shop)
    work()
    return Delivery.objects.get(run=run, purpose="run")


def test_three_refusals_in_a_row_switch_an_address_off_and_receipts_say_so(shop: Acme, relay: SmtpServer) -> None:
    destination = shop.rule(shop.destination()).destination
    relay.refuse(ADA, UNKNOWN)
    for row in range(1, REFUSALS + 1):
        assert run_fails(shop).state == "dead"
        destination.refresh_from_db()
        assert (destination.refusals, bool(destination.disabled_because)) == (row, row == REFUSALS)
    run = make_run(shop)
    receipt = Receipt.objects.get(run=run)
    assert not receipt.is_told
    assert not Delivery.objects.filter(run=run).exists()
    said = reason(Because.from_json(receipt.because), "en")
    assert said == "Nothing is sent to this address until it is set right. There is no such address: 550 5.1.1 “no such user”."


def test_a_message_that_is_taken_ends_the_row(shop: Acme, relay: SmtpServer) -> None:
    destination = shop.rule(shop.destination()).destination
    for _ in range(2):
        relay.refuse(ADA, UNKNOWN)
        for _ in range(REFUSALS - 1):
            run_fails(shop)
        relay.accept(ADA)
        assert run_fails(shop).state == "sent"
    destination.refresh_from_db()
    assert (destination.refusals, destination.disabled_because, destination.trouble_told_at) == (0, None, None)


def test_others_behind_the_same_relay_get_theirs(shop: Acme, relay: SmtpServer) -> None:
    shop.rule(shop.destination())
    shop.rule(shop.destination(Role.VIEWER))
    relay.refuse("vera@acme.test", UNKNOWN)
    for _ in range(REFUSALS + 1):
        make_run(shop)
        work()
    assert sum(mail.recipients == (ADA,) and "FAILED" in mail.headers["Subject"] for mail in relay.mails) == REFUSALS + 1
    assert Delivery.objects.filter(destination__member=shop.admin).exclude(state="sent").count() == 0


@pytest.mark.parametrize(("point", "answer"), [("rcpt", "554 5.7.1 relay access denied"), ("message", "554 5.7.1 looks like spam")])
def test_policy_is_not_the_addresss_fault(shop: Acme, relay: SmtpServer, point: str, answer: str) -> None:
    destination = shop.rule(shop.destination()).destination
    relay.always(point, answer)
    for _ in range(REFUSALS):
        assert run_fails(shop).state == "dead"
    destination.refresh_from_db()
    assert (destination.refusals, destination.disabled_because) == (0, None)


def test_several_refusals_of_one_turn_count_each(shop: Acme, relay: SmtpServer) -> None:
    destination = shop.rule(shop.destination()).destination
    relay.refuse(ADA, UNKNOWN)
    for _ in range(REFUSALS):
        make_run(shop)
    work()
    destination.refresh_from_db()
    assert destination.disabled_because is not None


NOBODY = Dead(Because("smtp_address_unknown"), is_refusal=True)


@pytest.mark.parametrize(
    ("verdict", "row"), [(Sent(), 0), (NOBODY, 3), (Dead(Because("smtp_message_refused")), 2), (Retry(Because("smtp_later")), 2)]
)
def test_what_counts(verdict: Verdict, row: int) -> None:
    assert refusals_after(2, verdict) == row


def silenced(shop: Acme, role: Role = Role.DEVELOPER) -> Destination:
    destination = shop.destination(role)
    destination.refusals, destination.disabled_because = 3, NOBODY.because.to_json()
    destination.trouble_told_at = datetime.now(UTC)
    destination.save()
    return destination


def test_saving_settings_does_not_switch_it_on_again(shop: Acme) -> None:
    destination = silenced(shop)
    save_setting(destination.pk, Change(), actor=Actor(shop.admin), now=utc_now())
    destination.refresh_from_db()
    assert (destination.disabled_because, destination.refusals) == (NOBODY.because.to_json(), 3)


@pytest.mark.parametrize("role", [Role.ACCOUNT_ADMIN, Role.NOTIFICATION_MANAGER, Role.DEVELOPER])
def test_the_member_and_those_who_set_for_others_lift_it(shop: Acme, role: Role) -> None:
    destination = silenced(shop)
    actor = Actor(shop.members[role])
    assert [row.id for row in switched_off(actor)] == [destination.pk]
    assert lift(actor, destination.pk, now=utc_now()) == "dana@acme.test"
    destination.refresh_from_db()
    assert (destination.disabled_because, destination.refusals, destination.trouble_told_at) == (None, 0, None)
    entry = AuditEntry.objects.get(action="notifications.lift")
    assert (entry.member, entry.subject, entry.before["because"]["code"]) == (actor.member, "dana@acme.test", "smtp_address_unknown")
    lift(actor, destination.pk, now=utc_now())
    assert AuditEntry.objects.filter(action="notifications.lift").count() == 1
    assert switched_off(actor) == ()


def test_nobody_else_does(shop: Acme) -> None:
    others, own = silenced(shop, Role.ACCOUNT_ADMIN), silenced(shop, Role.VIEWER)
    for role, destination in ((Role.DEVELOPER, others), (Role.VIEWER, others), (Role.VIEWER, own)):
        with pytest.raises(NotAllowed):
            lift(Actor(shop.members[role]), destination.pk, now=utc_now())
    with pytest.raises(NotThere):
        lift(Actor(acme("Other", "other.test").admin), own.pk, now=utc_now())
    assert [row.id for row in switched_off(Actor(shop.members[Role.VIEWER]))] == [own.pk]


def test_the_button_says_what_it_did_and_leads_back(shop: Acme) -> None:
    destination, client = silenced(shop), sign_in(shop)
    path = f"/a/{shop.account.pk}/settings/notifications/lift"
    answer = client.post(path, {"destination": destination.pk, "back": "https://evil.test/"})
    assert answer["Location"].startswith(f"/a/{shop.account.pk}/settings/notifications/")
    assert "Messages go to dana@acme.test again." in client.get(f"/a/{shop.account.pk}/deliveries").content.decode()
    answer = client.post(path, {"destination": destination.pk, "back": f"/a/{shop.account.pk}/deliveries"})
    assert answer["Location"] == f"/a/{shop.account.pk}/deliveries"
    assert client.get(path).status_code == 405
    assert {client.post(path, {"destination": sent}).status_code for sent in ("", "x", "9" * 30, "-1")} == {404}


def test_pages_say_in_words_which_addresses_are_switched_off(shop: Acme) -> None:
    silenced(shop)
    log, own = f"/a/{shop.account.pk}/deliveries", f"/a/{shop.account.pk}/settings/notifications/mine"
    said = "Nothing is sent to dana@acme.test"
    for role, path, is_told in (
        (Role.ACCOUNT_ADMIN, log, True),
        (Role.ACCOUNT_ADMIN, own, False),
        (Role.DEVELOPER, log, True),
        (Role.DEVELOPER, own, True),
        (Role.VIEWER, log, False),
    ):
        page = sign_in(shop, role).get(path).content.decode()
        assert (said in page) is is_told, (role, path)
        assert ("There is no such address" in page) is is_told


def test_the_log_shows_three_of_them_and_counts_the_rest(shop: Acme) -> None:
    for number in range(5):
        destination = silenced(shop, Role.DEVELOPER) if number == 0 else shop.destination()
        Destination.objects.filter(pk=destination.pk).update(
            member=None, address=f"a{number}@x.test", address_key=f"a{number}@x.test", disabled_because=NOBODY.because.to_json()
        )
    page = sign_in(shop).get(f"/a/{shop.account.pk}/deliveries").content.decode()
    assert page.count("Nothing is sent to a") == 3
    assert "2 more addresses are switched off" in page
