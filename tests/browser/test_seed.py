"""The e-mail part of the original page, step by step, as the people it speaks to. coverage.md says which line is tested where."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from tests.browser.conftest import PageAs
from tests.browser.people import People
from tests.browser.steps import LABELS, Steps
from tests.browser.words import words

Begin = Callable[..., Steps]


@pytest.fixture
def begin(page_as: PageAs, people: People) -> Begin:
    """A member who has gone the way to Notification settings, in an account with jobs in two environments."""

    def begin(role: Role, language: str = "en") -> Steps:
        people.job("nightly", "Production")
        people.job("hourly", "Production")
        people.job("pull requests", "Staging")
        steps = Steps(page_as(role, language=language), words(language))
        steps.open(people.path())
        return steps

    return begin


def test_a_developer_chooses_for_themselves(begin: Begin, people: People, language: str) -> None:
    steps = begin(Role.DEVELOPER, language)
    expect(steps.page.locator("main")).to_contain_text(people.address("dana"))
    expect(steps.addresses).to_have_count(0)
    steps.pick_environment("Production")
    steps.choose("nightly", Outcome.WARNED, Outcome.FAILED)
    for outcome in Outcome:
        people.report(outcome, job="nightly")
        people.report(outcome, job="hourly")
    assert people.mails("dana") == ["nightly failed", "nightly warned"]


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_is_chosen_alone(begin: Begin, people: People, outcome: Outcome) -> None:
    steps = begin(Role.DEVELOPER)
    steps.choose("nightly", outcome)
    for each in Outcome:
        people.report(each, job="nightly")
    assert people.mails("dana") == [f"nightly {outcome.value}"]


def test_a_viewer_sees_and_cannot_set(begin: Begin, people: People, language: str) -> None:
    people.choose(Role.VIEWER, Outcome.FAILED)
    steps = begin(Role.VIEWER, language)
    expect(steps.page.locator("main")).to_contain_text(people.address("vera"))
    expect(steps.page.get_by_role("table").get_by_text(steps.say(LABELS[Outcome.FAILED]))).to_be_visible()
    for name in ("Edit", "Save"):
        expect(steps.page.get_by_role("link", name=steps.say(name), exact=True)).to_have_count(0)
        expect(steps.page.get_by_role("button", name=steps.say(name), exact=True)).to_have_count(0)
    expect(steps.page.get_by_role("checkbox")).to_have_count(0)


def test_an_admin_begins_with_the_own_address(begin: Begin, people: People, language: str) -> None:
    steps = begin(Role.ACCOUNT_ADMIN, language)
    steps.choose("nightly", Outcome.FAILED)
    people.report(Outcome.FAILED)
    assert people.mails("ada") == ["nightly failed"]


def test_an_admin_chooses_for_a_colleague(begin: Begin, people: People, language: str) -> None:
    steps = begin(Role.ACCOUNT_ADMIN, language)
    steps.pick_address(people.address("vera"))
    steps.choose("nightly", Outcome.FAILED)
    people.report(Outcome.FAILED)
    assert (people.mails("vera"), people.mails("ada")) == (["nightly failed"], [])


def test_the_list_has_members_and_external_addresses(begin: Begin, people: People, language: str) -> None:
    people.external("pager@partner.example")
    steps = begin(Role.ACCOUNT_ADMIN, language)
    said = steps.listed()
    inside, outside = said.index(steps.say("Internal users")), said.index(steps.say("External emails"))
    assert all(inside < said.index(people.address(who)) < outside for who in ("ada", "nina", "dana", "vera"))
    assert outside < said.index("pager@partner.example") < said.index(steps.say("Add external email"))


@pytest.mark.parametrize("address", ["b1f2e3d4.acme.example@emea.teams.ms", "dbt-alerts@acme.x.pagerduty.com"])
def test_an_external_address_is_added_and_can_be_chosen(begin: Begin, people: People, language: str, address: str) -> None:
    steps = begin(Role.ACCOUNT_ADMIN, language)
    steps.add_external(address)
    expect(steps.page.locator("main")).to_contain_text(address)
    steps.open(people.path())
    steps.pick_address(address)
    steps.choose("nightly", Outcome.FAILED)
    people.report(Outcome.FAILED)
    assert people.mails(address) == ["nightly failed"]


def test_more_recipients_and_another_environment(begin: Begin, people: People, language: str) -> None:
    steps = begin(Role.ACCOUNT_ADMIN, language)
    steps.choose("nightly", Outcome.FAILED)
    steps.pick_address(people.address("dana"))
    steps.choose("nightly", Outcome.FAILED)
    steps.pick_environment("Staging")
    steps.choose("pull requests", Outcome.CANCELLED)
    people.report(Outcome.FAILED, job="nightly")
    people.report(Outcome.CANCELLED, job="pull requests", environment="Staging")
    assert people.mails("ada") == ["nightly failed"]
    assert people.mails("dana") == ["nightly failed", "pull requests cancelled"]


@pytest.mark.parametrize("role", [Role.ACCOUNT_ADMIN, Role.DEVELOPER, Role.VIEWER])
def test_unsubscribing_from_everything(begin: Begin, people: People, language: str, role: Role) -> None:
    people.choose(role, Outcome.FAILED)
    people.choose(role, Outcome.CANCELLED, environment="Staging", job="pull requests", every=True)
    steps = begin(role, language)
    steps.unsubscribe()
    assert people.rules(role) == 0
    people.report(Outcome.FAILED)
    assert people.mails(role) == []
    steps.page.locator("[data-toast]").get_by_role("button", name=steps.say("Undo")).click()
    expect(steps.page.get_by_role("link", name=steps.say("Unsubscribe from all email notifications"))).to_be_visible()
    assert people.rules(role) == 2
