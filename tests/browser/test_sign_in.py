"""Signing in and out, a lost password, and what a stranger may try at the door."""

import re

import pytest
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from playwright.sync_api import Page, expect

from runbell.core.permissions import Role
from runbell.server.db.models import User
from tests.browser.conftest import PageAs
from tests.browser.people import PASSWORD, People
from tests.browser.words import words


def sign_in(page: Page, address: str, password: str = PASSWORD, language: str = "en") -> None:
    say = words(language)
    page.get_by_label(say("E-mail")).fill(address)
    page.get_by_label(say("Password")).fill(password)
    page.get_by_role("button", name=say("Sign in")).click()


def test_signing_in_opens_the_page_asked_for_and_signing_out_closes_it(page_as: PageAs, people: People, language: str) -> None:
    say = words(language)
    people.change(Role.DEVELOPER, language=language)
    people.report()
    page = page_as(None, language=language)
    page.goto(people.path())
    expect(page).to_have_url(re.compile("/account/login/"))
    sign_in(page, people.address("dana"), language=language)
    expect(page.get_by_role("link", name="nightly").first).to_be_visible()
    expect(page).to_have_url(re.compile(f"/a/{people.account}/$"))
    page.locator("details.menu summary").click()
    page.get_by_role("button", name=say("Sign out")).click()
    page.goto(people.path())
    expect(page.get_by_role("heading", name=say("Sign in"))).to_be_visible()


def test_a_wrong_password_and_an_unknown_address_are_told_apart_by_nobody(page_as: PageAs, people: People) -> None:
    said = []
    for address in (people.address("dana"), people.address("nobody")):
        page = page_as(None)
        page.goto("/account/login/")
        sign_in(page, address, "not the password")
        said.append(page.get_by_role("alert").inner_text())
    assert said[0] == said[1] != ""


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "https:evil.example", "/\\evil.example"])
def test_signing_in_never_leads_elsewhere(page_as: PageAs, people: People, elsewhere: str) -> None:
    people.report()
    page = page_as(None)
    page.goto(f"/account/login/?next={elsewhere}")
    sign_in(page, people.address("dana"))
    expect(page.locator("header.top")).to_be_visible()
    assert page.url.startswith(people.server.url)


def test_a_lost_password_is_set_anew(page_as: PageAs, people: People, language: str) -> None:
    say = words(language)
    people.change(Role.DEVELOPER, language=language)
    page = page_as(None, language=language)
    page.goto("/account/login/")
    page.get_by_role("link", name=say("Forgot the password?")).click()
    page.get_by_label(say("E-mail")).fill(people.address("dana"))
    page.get_by_role("button", name=say("Send the link")).click()
    expect(page).to_have_url(re.compile("/account/password/reset/done/"))
    page.goto(reset_link(people))
    for field in page.locator("input[type=password]").all():
        field.fill("a rather different one")
    page.locator("main button[type=submit]").click()
    page.goto("/account/login/")
    sign_in(page, people.address("dana"), "a rather different one", language)
    expect(page.locator("header.top")).to_be_visible()


def reset_link(people: People) -> str:
    """What the mail says; such mails never show in the mailbox."""

    def make() -> str:
        user = User.objects.get(pk=people.members[Role.DEVELOPER])
        return f"/account/password/reset/key/{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}/"

    return people.desk.do(make)
