"""From the mail: it is read in the mailbox, says why it came, and its link stops more of its kind, with undo."""

import re

from playwright.sync_api import Page, expect

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from tests.browser.conftest import PageAs
from tests.browser.people import People
from tests.browser.words import Say, words

LINK = re.compile(r"https?://\S+/u/\S+")


def unsubscribe_link(page: Page, say: Say, people: People) -> str:
    """As the footer of the newest mail has it."""
    page.goto(people.path("mailbox"))
    page.get_by_role("link", name=say("Text"), exact=True).click()
    found = LINK.search(page.locator("pre.code").inner_text())
    assert found
    return found[0]


def test_a_mail_is_read_in_the_mailbox(page_as: PageAs, people: People, language: str) -> None:
    say = words(language)
    people.change(Role.ACCOUNT_ADMIN, language=language)
    people.choose(Role.ACCOUNT_ADMIN, Outcome.FAILED)
    people.report(Outcome.FAILED)
    people.wait_for_mail()
    page = page_as(Role.ACCOUNT_ADMIN, language=language)
    page.goto(people.path())
    page.get_by_role("link", name=say("Mailbox"), exact=True).click()
    expect(page.get_by_role("link", name="nightly")).to_have_count(1)
    expect(page.frame_locator("iframe").get_by_text('Referenced column "amount" not found', exact=True)).to_be_visible()
    page.get_by_role("link", name=say("Headers")).click()
    expect(page.locator("pre.code")).to_contain_text("List-Unsubscribe-Post: List-Unsubscribe=One-Click")


def test_the_link_in_a_mail_stops_its_kind_and_can_be_undone(page_as: PageAs, people: People, language: str) -> None:
    """Whoever holds the mail needs no sign-in, and script neither."""
    say = words(language)
    people.change(Role.ACCOUNT_ADMIN, language=language)
    people.choose(Role.ACCOUNT_ADMIN, Outcome.FAILED)
    people.report(Outcome.FAILED)
    people.wait_for_mail()
    link = unsubscribe_link(page_as(Role.ACCOUNT_ADMIN, language=language), say, people)
    page = page_as(None, language=language, script=False)
    page.goto(link)
    page.get_by_role("radio", name=say("Everything")).check()
    page.get_by_role("button", name=say("Stop these e-mails")).click()
    expect(page.get_by_role("heading", name=say("Stopped"))).to_be_visible()
    assert people.rules(Role.ACCOUNT_ADMIN) == 0
    page.get_by_role("button", name=say("Undo")).click()
    expect(page.get_by_role("heading", name=say("Stop these e-mails?"))).to_be_visible()
    assert people.rules(Role.ACCOUNT_ADMIN) == 1
