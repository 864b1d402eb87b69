"""Everything is a plain form first: the original's list without script; and, for a short test run, once in Russian."""

from playwright.sync_api import expect

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from tests.browser.conftest import PageAs
from tests.browser.people import People
from tests.browser.steps import Steps
from tests.browser.test_sign_in import sign_in
from tests.browser.words import words


def whole_list(steps: Steps, people: People) -> None:
    """Own address, a colleague's, one from outside, two environments, and unsubscribing."""
    people.job("pull requests", "Staging")
    steps.open(people.path())
    steps.pick_environment("Production")
    steps.choose("nightly", Outcome.FAILED)
    steps.pick_address(people.address("dana"))
    steps.choose("nightly", Outcome.FAILED, Outcome.SUCCEEDED)
    steps.add_external("pager@partner.example")
    steps.pick_environment("Staging")
    steps.choose("pull requests", Outcome.CANCELLED)
    people.report(Outcome.FAILED)
    people.report(Outcome.CANCELLED, job="pull requests", environment="Staging")
    assert people.mails("ada") == ["nightly failed"]
    assert people.mails("dana") == ["nightly failed"]
    assert people.mails("pager@partner.example") == ["pull requests cancelled"]
    steps.open(people.path())
    steps.unsubscribe()
    assert people.rules(Role.ACCOUNT_ADMIN) == 0
    steps.page.locator("[data-toast]").get_by_role("button", name=steps.say("Undo")).click()
    expect(steps.page.get_by_role("link", name=steps.say("Unsubscribe from all email notifications"))).to_be_visible()
    assert people.rules(Role.ACCOUNT_ADMIN) == 1


def test_the_whole_list_without_script(page_as: PageAs, people: People, language: str) -> None:
    whole_list(Steps(page_as(Role.ACCOUNT_ADMIN, language=language, script=False), words(language), has_script=False), people)


def test_a_session_that_ends_in_the_middle_of_an_edit_loses_no_work(page_as: PageAs, people: People, language: str) -> None:
    steps = Steps(page_as(Role.DEVELOPER, language=language, script=False), words(language), has_script=False)
    people.change(Role.DEVELOPER, language=language)
    steps.open(people.path())
    steps.edit()
    steps.tick("nightly", Outcome.FAILED, Outcome.WARNED)
    steps.page.context.clear_cookies(name="runbell_session")
    steps.page.get_by_role("button", name=steps.say("Save"), exact=True).click()
    sign_in(steps.page, people.address("dana"), language=language)
    expect(steps.page.get_by_role("heading", name=steps.say("Your session had ended"))).to_be_visible()
    expect(steps.box("nightly", Outcome.FAILED)).to_be_checked()
    assert people.rules(Role.DEVELOPER) == 0
    steps.save()
    assert people.rules(Role.DEVELOPER) == 2


def test_one_path_in_russian(page_as: PageAs, people: People) -> None:
    whole_list(Steps(page_as(Role.ACCOUNT_ADMIN, language="ru"), words("ru")), people)
