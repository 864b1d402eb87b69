"""The profile page in a browser: the switch of the search's key, and the theme of the menu above an open page."""

from playwright.sync_api import expect

from runbell.core.permissions import Role
from tests.browser.conftest import PageAs
from tests.browser.people import People
from tests.browser.words import words

KEYS = "The key / goes to the search"


def test_the_key_of_the_search_can_be_switched_off_and_on(page_as: PageAs, people: People) -> None:
    """https://www.w3.org/TR/WCAG22/#character-key-shortcuts"""
    page = page_as(Role.DEVELOPER)
    people.job("nightly")
    for is_on in (True, False, True):
        page.goto(people.path("settings/profile"))
        page.get_by_role("checkbox", name=KEYS).set_checked(is_on)
        page.reload()
        expect(page.get_by_role("checkbox", name=KEYS)).to_be_checked(checked=is_on)
        page.goto(people.path())
        search = page.get_by_role("searchbox")
        expect(search).to_be_visible()
        page.keyboard.press("/")
        if is_on:
            expect(search).to_be_focused()
            expect(search).to_have_value("")
        else:
            expect(search).not_to_be_focused()
        expect(page.locator("kbd", has_text="/")).to_be_visible(visible=is_on)


def test_the_theme_of_the_menu_moves_the_field_of_an_open_profile(page_as: PageAs, people: People, language: str) -> None:
    """Nothing half edited is lost, and Save afterwards does not put the old theme back."""
    say = words(language)
    people.change(Role.DEVELOPER, language=language)
    page = page_as(Role.DEVELOPER, language=language)
    page.goto(people.path("settings/profile"))
    field = page.get_by_role("main").get_by_label(say("Theme"))
    expect(field).to_have_value("system")
    page.locator("#name").fill("Dana Half Edited")
    page.locator(".top-end details.menu summary").click()
    page.locator("button[name=theme][value=dark]").click()  # its name has a context in the catalogue
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(field).to_have_value("dark")
    expect(page.locator("#name")).to_have_value("Dana Half Edited")
    page.get_by_role("main").get_by_role("button", name=say("Save"), exact=True).click()
    expect(page.locator("[data-toast]")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(field).to_have_value("dark")
