"""Every page: accessible in light and dark, nothing in the console, and no scrolling sideways on a telephone."""

import pytest
from playwright.sync_api import Page, expect

from runbell.core.permissions import Role
from tests.browser.axe import violations
from tests.browser.conftest import PageAs
from tests.browser.pages import PAGES, reader
from tests.browser.people import People
from tests.browser.watch import Watch
from tests.server.walk import Row, Stage

CUT_HEADS = """[...document.querySelectorAll("thead th, thead th > *")]
  .filter((head) => head.scrollWidth > head.clientWidth && !head.matches(".hush, :has(.hush)")).map((head) => head.textContent.trim())"""


def test_the_table_has_every_page() -> None:
    """It is made of the URLs' own table, which tests/server/test_walk.py holds to the URLs."""
    assert len(PAGES) > 20


@pytest.mark.parametrize("row", PAGES, ids=lambda row: row.route)
def test_page(row: Row, language: str, page_as: PageAs, furnished: People, stage: Stage) -> None:
    page = page_as(reader(row), language=language, of=furnished)
    page.goto(row.url(furnished.desk.do(lambda: stage.values(row.route))))
    look(page)


@pytest.mark.parametrize("role", [Role.VIEWER, None])
def test_pages_of_refusal(role: Role | None, page_as: PageAs, furnished: People, stage: Stage, watch: Watch) -> None:
    watch.expect(403, 404)
    page = page_as(role, of=furnished)
    page.goto("/a/999999999/" if role else "/u/none/1/none")
    look(page)
    if role:
        page.goto(furnished.path("mailbox"))
        look(page)


def look(page: Page) -> None:
    """Light and dark at full width, then narrow. Beside the navigation, each has a step that leads on."""
    expect(page.locator("h1")).to_have_count(1)
    expect(page.locator("main").locator("a:visible, button:visible").first).to_be_visible()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        assert not (found := violations(page)), f"{theme}:\n" + "\n".join(found)
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, sticking_out(page, width)
        assert page.evaluate(CUT_HEADS) == [], f"column heads are cut at {width}"
    assert not (found := violations(page)), "narrow:\n" + "\n".join(found)


def sticking_out(page: Page, width: int) -> str:
    """What is too wide, for the message."""
    is_out = f"element => element.getBoundingClientRect().right > {width + 0.5}"
    found = page.evaluate(f"[...document.querySelectorAll('body *')].filter({is_out}).map(element => element.outerHTML.slice(0, 120))")
    return f"at {width}:\n" + "\n".join(found[:12])
