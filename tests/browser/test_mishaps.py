"""What happens at the desk: two tabs, two clicks, a session that ends in the middle of an edit."""

from playwright.sync_api import Page, expect

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from tests.browser.conftest import PageAs
from tests.browser.people import People
from tests.browser.steps import Steps
from tests.browser.test_sign_in import sign_in
from tests.browser.watch import Watch
from tests.browser.words import words


def editing(page: Page, people: People) -> Steps:
    steps = Steps(page, words("en"))
    steps.open(people.path())
    steps.edit()
    return steps


def test_two_tabs_that_change_different_boxes_both_save(page_as: PageAs, people: People) -> None:
    first = page_as(Role.DEVELOPER)
    one, other = editing(first, people), editing(first.context.new_page(), people)
    one.tick("nightly", Outcome.FAILED)
    one.save()
    other.tick("nightly", Outcome.WARNED)
    other.save()
    assert people.rules(Role.DEVELOPER) == 2


def test_two_people_who_differ_are_shown_both_versions(page_as: PageAs, people: People, watch: Watch) -> None:
    """Dana makes it all jobs while Ada ticks one of them; nothing of Ada's is saved before she has chosen."""
    watch.expect(409)
    dana, ada = editing(page_as(Role.DEVELOPER), people), Steps(page_as(Role.ACCOUNT_ADMIN), words("en"))
    ada.open(people.path())
    ada.pick_address(people.address("dana"))
    ada.edit()
    ada.tick("nightly", Outcome.FAILED, Outcome.WARNED)
    dana.tick("All jobs, also new ones", Outcome.FAILED)
    dana.save()
    ada.page.get_by_role("button", name="Save", exact=True).click()
    alert = ada.page.get_by_role("alert")
    expect(alert).to_contain_text(f"{people.address('dana')} saved these settings")
    assert people.rules(Role.DEVELOPER) == 1
    alert.get_by_role("radio").first.check()
    ada.page.get_by_role("button", name="Save merged").click()
    expect(ada.page.locator("[data-toast]")).to_be_visible()
    assert people.rules(Role.DEVELOPER) == 2


def test_two_clicks_save_once(page_as: PageAs, people: People) -> None:
    steps = editing(page_as(Role.DEVELOPER), people)
    steps.tick("nightly", Outcome.FAILED)
    steps.page.get_by_role("button", name="Save", exact=True).dblclick()
    expect(steps.page.locator("[data-toast]")).to_be_visible()
    assert people.rules(Role.DEVELOPER) == 1


def test_a_session_that_ends_in_the_middle_of_an_edit_loses_no_work(page_as: PageAs, people: People) -> None:
    steps = editing(page_as(Role.DEVELOPER), people)
    steps.tick("nightly", Outcome.FAILED)
    steps.page.context.clear_cookies(name="runbell_session")
    steps.page.get_by_role("button", name="Save", exact=True).click()
    sign_in(steps.page, people.address("dana"))
    steps.page.get_by_role("button", name="Bring them back").click()
    expect(steps.box("nightly", Outcome.FAILED)).to_be_checked()
    steps.save()
    assert people.rules(Role.DEVELOPER) == 1
