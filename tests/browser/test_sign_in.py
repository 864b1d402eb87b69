"""Signing in and out, and a lost password."""

import re

from playwright.sync_api import expect

from runbell.core.permissions import Role
from tests.browser.conftest import PageAs
from tests.browser.people import PASSWORD, People
from tests.browser.words import words


def test_signing_in_opens_home_and_signing_out_closes_it(page_as: PageAs, people: People, language: str) -> None:
    say = words(language)
    people.change(Role.DEVELOPER, language=language)
    people.report()
    page = page_as(None, language=language)
    page.goto(people.path())
    expect(page).to_have_url(re.compile("/account/login/"))
    page.get_by_label(say("E-mail")).fill(people.address("dana"))
    page.get_by_label(say("Password")).fill(PASSWORD)
    page.get_by_role("button", name=say("Sign in")).click()
    expect(page.get_by_role("link", name="nightly").first).to_be_visible()
    expect(page).to_have_url(re.compile(f"/a/{people.account}/$"))
    page.locator("details.menu summary").click()
    page.get_by_role("button", name=say("Sign out")).click()
    page.goto(people.path())
    expect(page.get_by_role("heading", name=say("Sign in"))).to_be_visible()
