"""A person's day with real jobs: chosen in the browser, run in a terminal, read in the mailbox."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from tests.browser.conftest import PageAs
from tests.browser.jobs import Jobs
from tests.browser.people import People
from tests.browser.steps import Steps
from tests.browser.test_sign_in import sign_in
from tests.browser.words import words


@pytest.fixture
def jobs(tmp_path: Path, people: People) -> Jobs:
    return Jobs(tmp_path, people)


def test_from_signing_in_to_undoing(page_as: PageAs, people: People, jobs: Jobs) -> None:
    """No dead end, and no page without a next step: from here on everything is a click."""
    assert jobs.run("nightly", "Production", "success") == 0
    assert jobs.run("pull requests", "Staging", "run_only") == 0
    page = page_as(None)
    page.goto("/")
    sign_in(page, people.address("ada"))
    expect(page.get_by_role("link", name="pull requests").first).to_be_visible()

    steps = Steps(page, words("en"))
    steps.open(people.path())
    steps.pick_environment("Production")
    steps.choose("nightly", Outcome.FAILED)
    steps.pick_environment("Staging")
    steps.choose("pull requests", Outcome.FAILED, Outcome.CANCELLED)
    steps.add_external("pager@partner.example")
    steps.pick_environment("Production")
    steps.choose("nightly", Outcome.FAILED)

    assert jobs.run("nightly", "Production", "model_error_skipped") == 1
    assert (people.mails("ada"), people.mails("pager@partner.example")) == (["nightly failed"], ["nightly failed"])

    page.get_by_role("link", name="Mailbox", exact=True).click()
    page.locator(".mails").get_by_role("link", name=people.address("ada")).click()
    expect(page.frame_locator("iframe").get_by_role("heading", name="nightly")).to_be_visible()
    page.get_by_role("link", name="in the text").click()
    letter = page.url
    page.get_by_role("link", name="#why").click()
    told = page.get_by_role("region", name="2 were told")
    expect(told).to_contain_text(f"Fails is set for this job, by {people.address('ada')}")

    page.goto(letter)
    page.get_by_role("link", name="/u/").click()
    expect(page.get_by_text("Sent because Fails was set for this job.")).to_be_visible()
    page.get_by_role("link", name="Why did I get it?").click()
    expect(page.get_by_role("heading", name="Who hears about this job")).to_be_visible()
    page.go_back()
    page.get_by_role("radio", name="Everything").check()
    page.get_by_role("button", name="Stop these e-mails").click()
    expect(page.get_by_role("heading", name="Stopped")).to_be_visible()
    assert people.rules(Role.ACCOUNT_ADMIN) == 0
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone: the rules are back.")).to_be_visible()
    assert people.rules(Role.ACCOUNT_ADMIN) == 3


def test_stale_sources_are_warned_of(page_as: PageAs, people: People, jobs: Jobs) -> None:
    assert jobs.run("freshness", "Production", "freshness_pass") == 0
    steps = Steps(page_as(Role.DEVELOPER), words("en"))
    steps.open(people.path())
    steps.choose("freshness", Outcome.WARNED)
    assert jobs.run("freshness", "Production", "freshness_warn") == 0
    assert people.mails("dana") == ["freshness warned"]


def test_from_an_invitation_to_the_first_choice(page_as: PageAs, people: People) -> None:
    """Ada invites by mail; Grace opens the link, sets a password and chooses what she wants to hear about."""
    grace = people.address("grace")
    people.job("nightly")
    ada = page_as(Role.ACCOUNT_ADMIN)
    ada.goto(people.path("settings/members"))
    ada.get_by_label("Invite by e-mail").fill(grace)
    ada.get_by_role("button", name="Send invitation").click()
    expect(ada.get_by_role("table", name="Members")).to_contain_text(grace)
    people.wait_for_mail()
    ada.get_by_role("link", name="Mailbox", exact=True).click()
    ada.locator(".mails").get_by_role("link", name=grace).click()
    ada.get_by_role("link", name="Text", exact=True).click()
    link = ada.get_by_role("link", name="/join/").get_attribute("href")

    page = page_as(None)
    page.goto(link or "")
    page.get_by_label("Your name").fill("Grace Hopper")
    page.get_by_label("Choose a password").fill("nine lives and a moth")
    page.get_by_role("button", name="Join").click()
    expect(page.locator("header.top")).to_be_visible()
    steps = Steps(page, words("en"))
    steps.open(people.path())
    steps.choose("nightly", Outcome.FAILED)
    people.report(Outcome.FAILED)
    assert people.mails("grace") == ["nightly failed"]
    assert people.mails("ada") == []
