"""Addresses of machines, in the shapes they have: a Teams channel's and PagerDuty's, from the form's service to the wire."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from runbell.core.runs import Outcome
from runbell.server.services.access import Actor
from runbell.server.services.destinations import add_external_email
from runbell.server.services.setting_changes import Change
from tests.fakes.smtp_server import SmtpServer
from tests.mails import body
from tests.server.people import NOW, Acme, acme
from tests.server.test_bounces import work
from tests.server.test_pages import make_run

MACHINES = (
    "0f3e2b1a.acme.onmicrosoft.com@emea.teams.ms",
    "Data-Oncall@acme.pagerduty.com",
    "data-oncall+shop@acme.eu.pagerduty.com",
    "a1b2c3d4" * 8 + "@amer.teams.ms",
    "o'hara/nightly=prod@partner.example",
)


@pytest.fixture
def shop(transactional_db: None) -> Acme:
    return acme()


@pytest.fixture
def relay(settings: Settings) -> Iterator[SmtpServer]:
    settings.RUNBELL_TIME_SCALE = 0.001
    with SmtpServer() as server:
        settings.RUNBELL_SMTP_URL = server.url
        yield server


@pytest.mark.parametrize("address", MACHINES)
def test_a_machine_gets_its_mail_as_typed_and_its_link_works(shop: Acme, relay: SmtpServer, address: str) -> None:
    added = add_external_email(Change(jobs={Outcome.FAILED: [shop.job.pk]}, external_email=address), actor=Actor(shop.admin), now=NOW)
    make_run(shop)
    work()
    (mail,) = relay.mails
    assert mail.recipients == (address,)
    assert f"TO:<{address}>" in " ".join(relay.commands)
    assert address in body(mail.content, "plain").replace("\n", " ")
    link = urlsplit(mail.headers["List-Unsubscribe"].strip("<>")).path
    assert Client().post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert not added.destination.rules.exists()


def test_two_failures_of_a_job_have_subjects_that_tell_their_runs_apart(shop: Acme, relay: SmtpServer) -> None:
    change = Change(jobs={Outcome.FAILED: [shop.job.pk]}, external_email=MACHINES[1])
    add_external_email(change, actor=Actor(shop.admin), now=NOW)
    shop.rule(shop.destination())
    runs = [make_run(shop, ago=ago) for ago in (2, 1)]
    work()
    subjects = {
        to: sorted(mail.headers["Subject"] for mail in relay.mails if mail.recipients == (to,)) for to in (MACHINES[1], "ada@acme.test")
    }
    assert subjects[MACHINES[1]] == sorted(f"FAILED · nightly · Production · #{run.pk}" for run in runs)
    assert subjects["ada@acme.test"] == ["FAILED · nightly · Production"] * 2
