"""A button that copies says so for a while, and is itself again afterwards, however often it is pressed."""

from playwright.sync_api import expect

from runbell.core.permissions import Role
from tests.browser.conftest import PageAs
from tests.browser.people import People


def test_copying_says_so_and_keeps_its_icon(page_as: PageAs, people: People) -> None:
    page = page_as(Role.ACCOUNT_ADMIN)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(people.path("settings/mail"))
    button = page.locator("button[data-copy='#mail-settings']")
    for _ in range(2):
        button.click()
        expect(button).to_have_text("Copied")
    expect(button.locator("svg")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#mail-settings").inner_text()
    expect(button).to_have_text("Copy")
