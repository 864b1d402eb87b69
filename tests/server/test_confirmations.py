"""External addresses whose holder is asked first: when, how, and what happens until then."""

import re
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from runbell.core.because import Because
from runbell.core.fields import BadField
from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.messages.reasons import reason
from runbell.server.db.models import AuditEntry, Delivery, Destination, Job, MailboxItem, Receipt
from runbell.server.environment import switch
from runbell.server.services import confirmations
from runbell.server.services.access import Actor, NotAllowed, NotThere
from runbell.server.services.destinations import add_external_email, save_setting
from runbell.server.services.hearing import able
from runbell.server.services.limits import TooMany
from runbell.server.services.setting_changes import Change
from runbell.server.services.trust import awaits_confirmation, is_trusted, unconfirmed
from tests.server.people import NOW, Acme, acme
from tests.server.test_pages import make_run, sign_in

pytestmark = pytest.mark.django_db
OPS = "Ops@Partner.example"
LONG_LOCAL_PART = "a" * 64


@pytest.fixture
def asking(settings: Settings) -> Settings:
    settings.RUNBELL_CONFIRM_EXTERNAL = True
    return settings


def add(shop: Acme, address: str = OPS) -> Destination:
    change = Change(jobs={Outcome.FAILED: [shop.job.pk]}, external_email=address)
    return Destination.objects.get(pk=add_external_email(change, actor=Actor(shop.admin), now=NOW).destination.pk)


def mails() -> list[Any]:
    payloads = Delivery.objects.filter(purpose="account").order_by("pk").values_list("payload", flat=True)
    return [message_from_bytes(bytes(payload), policy=policy.default) for payload in payloads if payload]


def link_in(mail: Any) -> str:
    return str(re.search(r"/confirm/\S+", mail.get_body(("plain",)).get_content())[0])  # type: ignore[index]


def test_off_nobody_is_asked_and_addresses_count_as_confirmed_when_it_is_switched_on(shop: Acme, settings: Settings) -> None:
    destination = add(shop)
    assert (destination.confirmed_at, mails()) == (NOW, [])
    settings.RUNBELL_CONFIRM_EXTERNAL = True
    assert not awaits_confirmation(destination)
    make_run(shop)
    assert Delivery.objects.filter(purpose="run").count() == 1


def test_until_its_holder_confirms_runs_leave_a_receipt_and_no_delivery(shop: Acme, asking: Settings, client: Client) -> None:
    destination = add(shop)
    run = make_run(shop)
    receipt = Receipt.objects.get(run=run)
    assert (receipt.is_told, receipt.because["code"]) == (False, "not_confirmed")
    assert "has not confirmed" in reason(Because.from_json(receipt.because), "en")
    assert not Delivery.objects.filter(purpose="run").exists()
    assert not destination.rules.filter(able()).exists()
    (mail,) = mails()
    assert (mail["To"], mail["Subject"]) == (OPS, "PLEASE CONFIRM · messages about dbt jobs · Acme")
    client.post(link_in(mail))
    make_run(shop)
    assert Delivery.objects.filter(purpose="run").count() == 1
    assert destination.rules.filter(able()).exists()


@pytest.mark.parametrize("method", ["get", "head"])
def test_opening_the_link_changes_nothing(shop: Acme, asking: Settings, client: Client, method: str) -> None:
    destination = add(shop)
    answer = getattr(client, method)(link_in(mails()[0]))
    assert answer.status_code == 200
    assert "no-cache" in answer["Cache-Control"]
    destination.refresh_from_db()
    assert destination.confirmed_at is None


def test_the_button_confirms_once_without_a_cookie(shop: Acme, asking: Settings) -> None:
    destination = add(shop)
    client, link = Client(enforce_csrf_checks=True), link_in(mails()[0])
    assert "gets the messages" in client.post(link).content.decode()
    destination.refresh_from_db()
    first = destination.confirmed_at
    assert client.post(link).status_code == 200
    destination.refresh_from_db()
    assert destination.confirmed_at == first
    entry = AuditEntry.objects.get(action="notifications.confirm")
    assert (entry.member, entry.subject) == (None, OPS)


def test_a_link_is_for_one_address_and_one_purpose(shop: Acme, asking: Settings, client: Client) -> None:
    one, other = add(shop), add(shop, "else@partner.example")
    first, second = (link_in(mail) for mail in mails())
    assert client.post(first.replace(one.public_id, other.public_id)).status_code == 404
    assert client.post(f"/u/{one.public_id}/{shop.job.pk}/{first.rsplit('/', 1)[1]}").status_code == 404
    assert client.post(f"{second[:-1]}é").status_code == 404
    assert not Destination.objects.exclude(confirmed_at=None).exists()
    Destination.objects.filter(pk=one.pk).update(state=2)
    assert client.post(first).status_code == 404


def test_another_address_is_asked_anew_and_the_old_link_is_void(shop: Acme, asking: Settings, client: Client) -> None:
    destination = add(shop)
    client.post(link_in(mails()[0]))
    change = Change(external_email="new@partner.example")
    save_setting(destination.pk, change, actor=Actor(shop.admin), now=NOW)
    destination.refresh_from_db()
    assert destination.confirmed_at is None
    assert [mail["To"] for mail in mails()] == [OPS, "new@partner.example"]
    assert client.post(link_in(mails()[0])).status_code == 404
    assert client.post(link_in(mails()[1])).status_code == 200
    save_setting(destination.pk, Change(external_email="NEW@partner.example"), actor=Actor(shop.admin), now=NOW)
    destination.refresh_from_db()
    assert destination.confirmed_at is not None


@pytest.mark.parametrize(
    ("address", "is_fine"),
    [
        ("0f3e2b1a.acme.onmicrosoft.com@emea.teams.ms", True),
        ("data-oncall@acme.pagerduty.com", True),
        ("data-oncall+shop@acme.eu.pagerduty.com", True),
        (f"{LONG_LOCAL_PART}@AMER.Teams.MS", True),
        ("x@pagerduty.com", True),
        ("x@notpagerduty.com", False),
        ("x@pagerduty.com.evil.example", False),
        ("pagerduty.com@evil.example", False),
    ],
)
def test_machines_of_trusted_domains_are_not_asked(shop: Acme, asking: Settings, address: str, is_fine: bool) -> None:
    destination = add(shop, address)
    assert is_trusted(destination.address_key) is is_fine
    assert awaits_confirmation(destination) is not is_fine
    assert Destination.objects.filter(unconfirmed()).exists() is not is_fine
    assert len(mails()) == (0 if is_fine else 1)
    assert destination.address == address


def test_a_local_part_may_have_64_characters_and_no_more(shop: Acme) -> None:
    add(shop, f"{LONG_LOCAL_PART}@emea.teams.ms")
    with pytest.raises(BadField):
        add(shop, f"{LONG_LOCAL_PART}a@emea.teams.ms")


def test_asking_again_is_for_those_who_set_for_others_and_not_too_often(shop: Acme, asking: Settings) -> None:
    destination, actor = add(shop), Actor(shop.members[Role.NOTIFICATION_MANAGER])
    asked = confirmations.open_question(destination)
    assert asked is not None
    assert (asked.id, asked.address, asked.at) == (destination.pk, OPS, NOW)
    for _ in range(confirmations.ASKS_AN_HOUR):
        assert confirmations.ask_again(actor, destination.pk, now=NOW) == OPS
    with pytest.raises(TooMany):
        confirmations.ask_again(actor, destination.pk, now=NOW)
    assert len(mails()) == 1 + confirmations.ASKS_AN_HOUR
    assert len({mail["Message-ID"] for mail in mails()}) == len(mails())
    with pytest.raises(NotAllowed):
        confirmations.ask_again(Actor(shop.members[Role.DEVELOPER]), destination.pk, now=NOW)
    with pytest.raises(NotThere):
        confirmations.ask_again(Actor(acme("Other", "other.test").admin), destination.pk, now=NOW)
    with pytest.raises(NotThere):
        confirmations.ask_again(actor, shop.destination().pk, now=NOW)


def test_the_button_that_asks_again_says_what_it_did(shop: Acme, asking: Settings) -> None:
    destination, client = add(shop), sign_in(shop)
    path = f"/a/{shop.account.pk}/settings/notifications/confirmation"
    home = f"/a/{shop.account.pk}/"
    assert client.post(path, {"destination": destination.pk, "back": home})["Location"] == home
    assert f"The question goes to {OPS} once more." in client.get(home).content.decode()
    Destination.objects.update(confirmed_at=NOW)
    destination.refresh_from_db()
    client.post(path, {"destination": destination.pk})
    assert len(mails()) == 2
    assert confirmations.open_question(destination) is None


def test_a_question_that_got_lost_says_why(shop: Acme, asking: Settings) -> None:
    destination = add(shop)
    because = {"code": "no_mail_relay", "params": {}}
    Delivery.objects.filter(purpose="account").update(state="dead", last_because=because)
    page = sign_in(shop).get(f"/a/{shop.account.pk}/settings/notifications/email", {"to": destination.pk}).content.decode()
    assert "is not confirmed yet" in page
    assert "was not delivered: No mail server is set" in " ".join(page.split())


def test_no_admin_can_read_the_link(shop: Acme, asking: Settings) -> None:
    add(shop)
    page = sign_in(shop).get(f"/a/{shop.account.pk}/deliveries").content.decode()
    assert "PLEASE CONFIRM" not in page
    assert "Nothing here" in page
    assert not MailboxItem.objects.exists()


def test_a_members_address_is_never_asked(shop: Acme, asking: Settings) -> None:
    shop.rule(shop.destination(Role.VIEWER))
    make_run(shop)
    assert Delivery.objects.filter(purpose="run").count() == 1
    assert Job.objects.count() == 1


@pytest.mark.parametrize(("value", "is_on"), [("on", True), ("OFF", False), ("", None), ("yes", None)])
def test_the_switch_takes_two_words(monkeypatch: pytest.MonkeyPatch, value: str, is_on: bool | None) -> None:
    monkeypatch.setenv("RUNBELL_CONFIRM_EXTERNAL", value)
    if is_on is None:
        with pytest.raises(Exception, match="neither on nor off"):
            switch("RUNBELL_CONFIRM_EXTERNAL")
    else:
        assert switch("RUNBELL_CONFIRM_EXTERNAL") is is_on
