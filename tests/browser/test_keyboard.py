"""The whole list by keyboard alone: no click, no focus set by the test."""

from playwright.sync_api import Locator, Page, expect

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from tests.browser.conftest import PageAs
from tests.browser.people import People
from tests.browser.steps import Steps
from tests.browser.words import words

FAR = 80  # stops of Tab until something counts as out of reach


def tab_to(page: Page, target: Locator) -> None:
    for _ in range(FAR):
        page.keyboard.press("Tab")
        if target.count() and target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not reach {target}")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_choosing_and_saving_by_keyboard(page_as: PageAs, people: People) -> None:
    page = page_as(Role.ACCOUNT_ADMIN)
    steps = Steps(page, words("en"))
    page.goto(people.path())
    tab_to(page, page.locator(".top-end details.menu summary"))
    press(page, "Enter")
    tab_to(page, page.locator(".menu-pop").get_by_role("link", name="Notification settings"))
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Email notifications", level=1)).to_be_visible()
    tab_to(page, steps.addresses)
    press(page, "Enter")
    page.keyboard.type("dana")
    press(page, "Enter")
    expect(page.locator("main")).to_contain_text(f"{people.address('dana')} hears about no job")
    tab_to(page, page.get_by_role("link", name="Edit", exact=True))
    press(page, "Enter")
    expect(steps.box("All jobs, also new ones", Outcome.SUCCEEDED)).to_be_focused()
    press(page, "ArrowDown", "End", "ArrowLeft")
    expect(steps.box("nightly", Outcome.FAILED)).to_be_focused()
    press(page, "Space")
    tab_to(page, page.get_by_role("button", name="Save", exact=True))
    press(page, "Enter")
    expect(page.locator("[data-toast]")).to_be_visible()
    assert people.rules(Role.DEVELOPER) == 1


def test_unsubscribing_by_keyboard(page_as: PageAs, people: People) -> None:
    people.choose(Role.VIEWER, Outcome.FAILED)
    page = page_as(Role.VIEWER)
    page.goto(people.path("settings/notifications/email"))
    tab_to(page, page.get_by_role("link", name="Unsubscribe from all email notifications"))
    press(page, "Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    tab_to(page, page.get_by_role("button", name="Unsubscribe", exact=True))
    press(page, "Enter")
    undo = page.locator("[data-toast]").get_by_role("button", name="Undo")
    expect(undo).to_be_visible()
    assert people.rules(Role.VIEWER) == 0
    tab_to(page, undo)
    press(page, "Enter")
    expect(page.locator("[data-toast]")).to_be_visible()
    expect(page.get_by_role("link", name="Unsubscribe from all email notifications")).to_be_visible()
    assert people.rules(Role.VIEWER) == 1
