"""The pictures of docs/howto/slack.md, from linking to a message, in the demo beside its fake Slack. screenshots.py takes them."""

import re
from collections.abc import Callable, Iterator

from playwright.sync_api import Page

CHANNEL, JOB = "data-alerts", "weekly revenue"


def slack_pictures(page: Page, account: str, slack: str, fail: Callable[[], None]) -> Iterator[tuple[str, bytes]]:
    """`account` and `slack`: their addresses. `fail` lets the job fail that the Slack channel is to hear of."""
    page.set_viewport_size({"width": 900, "height": 720})
    yield from _linking(page, f"{account}/settings/integrations")
    yield from _choosing(page, f"{account}/settings/notifications/slack")
    fail()
    page.goto(slack)
    page.get_by_role("link", name="Open Acme HQ").click()
    page.get_by_role("link", name=f"# {CHANNEL}").click()
    told = page.locator(".s-message")
    told.wait_for()  # the page looks for news by itself
    yield "slack-message", told.screenshot()


def _linking(page: Page, url: str) -> Iterator[tuple[str, bytes]]:
    page.goto(url)
    section = page.get_by_role("region", name="OAuth", exact=True)
    yield "slack-link", section.locator(".rows > li").first.screenshot()
    section.get_by_role("button", name="Link", exact=True).click()
    page.get_by_role("textbox", name="Workspace URL").fill("acme")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("textbox", name="Email address").fill("ada@acme.example")
    page.get_by_label("Password").fill("ada-password")
    page.get_by_role("button", name="Sign In").click()
    page.get_by_role("button", name="Allow").wait_for()
    yield "slack-allow", page.locator("main").screenshot()
    page.get_by_role("button", name="Allow").click()
    page.get_by_role("link", name="Unlink your link to Acme HQ").wait_for()
    yield "slack-linked", section.locator(".rows > li").first.screenshot()


def _choosing(page: Page, url: str) -> Iterator[tuple[str, bytes]]:
    page.goto(url)
    page.get_by_role("button", name="Notification channel").click()
    page.get_by_role("combobox", name="Find a Slack channel").fill("data")
    page.get_by_text(re.compile("^2 of ")).wait_for()
    yield "slack-channel", page.screenshot()
    page.get_by_role("option", name=CHANNEL).click()
    page.get_by_text("Nobody has configured this Slack channel").wait_for()
    page.get_by_label("Environment", exact=True).select_option(label="Production\N{NO-BREAK SPACE}· shop")
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_role("searchbox", name="Find a job in this table").fill("revenue")
    for outcome in ("Fails", "Warns"):
        page.get_by_role("checkbox", name=re.compile(f"^{JOB}: {outcome}")).check()
    page.evaluate("scrollTo(0, 0)")
    yield "slack-choose", page.screenshot()
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("[data-toast]").wait_for()
