"""Pages that follow what happens: without a reload, and without taking away what the reader holds."""

from playwright.sync_api import expect

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Job
from tests.browser.conftest import PageAs
from tests.browser.people import People
from tests.browser.words import words


def test_home_follows_and_keeps_focus_and_open_menus(page_as: PageAs, people: People, language: str) -> None:
    say = words(language)
    people.change(Role.ACCOUNT_ADMIN, language=language)
    people.report(Outcome.SUCCEEDED)
    people.report(None, job="backfill")
    page = page_as(Role.ACCOUNT_ADMIN, language=language)
    page.goto(people.path())
    page.locator("details.menu summary").last.click()
    row = page.get_by_role("table").get_by_role("link", name="nightly", exact=True)
    row.focus()
    row.evaluate("link => { window.held = link }")
    people.report(Outcome.FAILED)
    expect(page.get_by_role("heading", name=say("Failing now"))).to_be_visible()
    expect(row).to_be_focused()
    assert row.evaluate("link => window.held === link")  # the very same, not another in its place
    assert page.locator("details.menu[open]").count() == 1
    said = page.locator("[data-live-said]")
    expect(said).to_have_text(page.get_by_role("heading", level=1).inner_text())


def test_nothing_is_asked_while_the_tab_is_hidden(page_as: PageAs, people: People) -> None:
    people.report(None)
    page = page_as(Role.ACCOUNT_ADMIN)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "hx-request" in request.headers else None)
    page.goto(people.path())
    hide = "value => { Object.defineProperty(document, 'hidden', { value, configurable: true }); document.dispatchEvent(new Event('visibilitychange')) }"
    page.evaluate(hide, True)
    before = len(asked)
    page.wait_for_timeout(7_000)  # longer than a look would be away
    assert len(asked) == before
    with page.expect_request(lambda request: "hx-request" in request.headers):
        page.evaluate(hide, False)


def test_search_by_the_slash_key_and_by_what_is_typed(page_as: PageAs, people: People, language: str) -> None:
    say = words(language)
    people.change(Role.ACCOUNT_ADMIN, language=language)
    for name in ("nightly", "hourly"):
        people.report(Outcome.SUCCEEDED, job=name)
    page = page_as(Role.ACCOUNT_ADMIN, language=language)
    page.goto(people.path())
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name=say("Find a job"))).to_be_focused()
    page.keyboard.type("HOUR")
    expect(page.get_by_role("link", name="nightly", exact=True)).to_have_count(0)
    expect(page.get_by_role("link", name="hourly", exact=True)).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_have_value("HOUR")
    assert page.url.endswith("?q=HOUR")


def test_the_job_page_follows_until_the_run_ends(page_as: PageAs, people: People) -> None:
    people.report(None, key="one")
    page = page_as(Role.VIEWER)
    page.goto(people.path(f"jobs/{people.job()}"))
    expect(page.get_by_role("heading", name="Running now")).to_be_visible()
    people.report(Outcome.FAILED, key="one")
    expect(page.get_by_role("heading", name="Running now")).to_be_hidden()
    expect(page.get_by_role("heading", level=1).get_by_label("Failed")).to_be_visible()
    assert page.locator("[data-every]").count() == 0


def test_the_first_run_page_becomes_the_home_page(page_as: PageAs, people: People, language: str) -> None:
    say = words(language)
    people.change(Role.ACCOUNT_ADMIN, language=language)
    people.desk.do(lambda: Job.objects.filter(account=people.account).delete())
    page = page_as(Role.ACCOUNT_ADMIN, language=language)
    page.goto(people.path())
    page.get_by_role("button", name=say("Make another token")).click()
    token = page.locator("#token").inner_text()
    assert f"RUNBELL_TOKEN={token}" in page.locator("#command").inner_text()
    people.report(Outcome.SUCCEEDED)
    expect(page.get_by_role("link", name="nightly", exact=True)).to_have_count(1)


def test_an_environment_is_paused_and_resumed_from_the_home_page(page_as: PageAs, people: People, language: str) -> None:
    say = words(language)
    people.change(Role.NOTIFICATION_MANAGER, language=language)
    people.report(Outcome.SUCCEEDED)
    page = page_as(Role.NOTIFICATION_MANAGER, language=language)
    page.goto(people.path())
    page.get_by_role("link", name=say("Pause")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_role("radio", name=say("For 4 hours")).check()
    dialog.get_by_role("button", name=say("Pause")).click()
    expect(page.get_by_role("button", name=say("Resume"))).to_be_visible()
    page.get_by_role("button", name=say("Resume")).click()
    expect(page.get_by_role("link", name=say("Pause"))).to_be_visible()
