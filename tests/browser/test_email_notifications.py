"""Email notifications in a browser: the seed's steps, the keyboard, no script, a stale form, a session that ends."""

import re

import pytest
from playwright.sync_api import Dialog, Locator, Page, expect

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import Rule
from tests.browser.axe import violations
from tests.browser.conftest import PageAs
from tests.browser.people import PASSWORD, People
from tests.browser.watch import Watch
from tests.browser.words import words

EMAIL = "settings/notifications/email"
JOBS = ("customer 360", "hourly", "nightly", "source freshness")


def prepare(people: People, *names: str) -> None:
    for name in names or JOBS:
        people.report(Outcome.SUCCEEDED, name)


def box(page: Page, job: str, outcome: str = "Fails") -> Locator:
    return page.get_by_role("checkbox", name=re.compile(rf"^{re.escape(job)}: {outcome}(,|$)"))


def rules(people: People) -> list[tuple[str, str]]:
    """Job and outcome of every rule, by name; all jobs are ``*``."""
    rows = people.desk.do(lambda: list(Rule.objects.filter(destination__account=people.account).values_list("job__name", "outcome")))
    return sorted((job or "*", outcome) for job, outcome in rows)


def start(page: Page, people: People, query: str = "") -> None:
    page.goto(people.path(EMAIL + query))


def test_the_steps_of_the_seed(page_as: PageAs, people: People, language: str) -> None:
    """Profile menu, Notification settings, another address, an environment, Edit, boxes, Save; then unsubscribe and undo."""
    say = words(language)
    prepare(people)
    people.report(Outcome.FAILED, "loader", "Staging")
    page = page_as(Role.ACCOUNT_ADMIN, language=language)
    page.goto(people.path())
    page.locator("details.menu summary").click()
    page.get_by_role("link", name=say("Notification settings")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(say("Email notifications"))
    page.get_by_role("button", name=say("Notification email")).click()
    expect(page.get_by_role("group", name=say("Internal users"))).to_contain_text(people.address("dana"))
    page.get_by_role("option", name=people.address("dana")).click()
    page.get_by_label(say("Environment")).select_option(label="Staging\N{NO-BREAK SPACE}· shop")
    page.get_by_role("link", name=say("Edit"), exact=True).click()
    box(page, "loader", say("Fails")).check()
    box(page, "loader", say("Is canceled")).check()
    page.get_by_role("button", name=say("Save"), exact=True).click()
    expect(page.locator(".toast")).to_be_visible()
    expect(page.locator(".lead")).to_contain_text(people.address("dana"))
    assert rules(people) == [("loader", "cancelled"), ("loader", "failed")]

    own = page_as(Role.DEVELOPER, language=language)
    own.goto(people.path(EMAIL))
    own.get_by_role("link", name=say("Unsubscribe from all email notifications")).click()
    own.get_by_role("dialog").get_by_role("button", name=say("Unsubscribe"), exact=True).click()
    expect(own.locator(".toast")).to_be_visible()
    assert rules(people) == []
    own.locator(".toast").get_by_role("button", name=say("Undo")).click()
    expect(own.get_by_role("link", name=say("Unsubscribe from all email notifications"))).to_be_visible()
    assert len(rules(people)) == 2


def test_an_external_address_is_added_used_and_removed(page_as: PageAs, people: People, watch: Watch, language: str) -> None:
    say = words(language)
    watch.expect(400)
    prepare(people)
    page = page_as(Role.NOTIFICATION_MANAGER, language=language)
    start(page, people)
    page.get_by_role("button", name=say("Notification email")).click()
    page.get_by_role("link", name=say("Add external email")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name=say("Email address")).fill(people.address("dana"))
    dialog.get_by_role("button", name=say("Add"), exact=True).click()
    expect(page.locator(".error")).to_contain_text(people.address("dana"))
    page.get_by_role("textbox", name=say("Email address")).fill("9f2c41.data+team@emea.teams.ms")
    page.get_by_role("button", name=say("Add"), exact=True).click()
    expect(page.locator(".lead")).to_contain_text("9f2c41.data+team@emea.teams.ms")
    page.get_by_role("link", name=say("Edit"), exact=True).click()
    box(page, say("All jobs, also new ones"), say("Fails")).check()
    page.get_by_role("button", name=say("Save"), exact=True).click()
    expect(page.locator(".toast")).to_be_visible()
    assert rules(people) == [("*", "failed")]
    page.get_by_role("link", name=say("Language, time zone, removal")).click()
    page.get_by_role("link", name=say("Remove this address")).click()
    page.get_by_role("button", name=say("Remove"), exact=True).click()
    expect(page.locator(".toast")).to_be_visible()
    assert rules(people) == []


def test_heads_act_on_the_shown_lines_and_the_bar_counts(page_as: PageAs, people: People) -> None:
    prepare(people)
    page = page_as(Role.DEVELOPER)
    start(page, people, "?edit=1")
    bar = page.get_by_role("group", name="Unsaved changes")
    expect(bar).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("ly")
    expect(page.get_by_role("status").first).to_contain_text("2 of 4 jobs are shown. Column heads act on these 2 only.")
    page.get_by_role("checkbox", name="Fails: all shown jobs").check()
    expect(bar).to_contain_text("2 changes in 2 lines")
    page.get_by_role("link", name="Show all").click()
    expect(box(page, "customer 360")).not_to_be_checked()
    assert page.get_by_role("checkbox", name="Fails: all shown jobs").evaluate("box => box.indeterminate")
    page.get_by_role("button", name="Review").click()
    expect(page.get_by_role("row", name="nightly")).to_be_visible()
    expect(page.get_by_role("row", name="customer 360")).to_be_hidden()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("Saved: 2 boxes")
    assert rules(people) == [("hourly", "failed"), ("nightly", "failed")]


def test_all_jobs_lock_the_lines_and_clearing_asks(page_as: PageAs, people: People) -> None:
    prepare(people)
    people.choose(Role.DEVELOPER, Outcome.FAILED, every=True)
    page = page_as(Role.DEVELOPER)
    start(page, people, "?edit=1")
    expect(box(page, "nightly")).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_role("row", name="nightly")).to_contain_text("all jobs")
    box(page, "nightly").click(force=True)
    expect(box(page, "nightly")).to_be_checked()
    box(page, "All jobs, also new ones").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(box(page, "All jobs, also new ones")).to_be_checked()
    box(page, "All jobs, also new ones").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep the boxes of the 4 jobs there are now").click()
    box(page, "hourly").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".toast")).to_be_visible()
    assert rules(people) == [(name, "failed") for name in JOBS if name != "hourly"]


def test_the_keyboard_alone(page_as: PageAs, people: People) -> None:
    prepare(people)
    page = page_as(Role.DEVELOPER)
    start(page, people)
    page.get_by_role("link", name="Edit", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**edit=1*")
    expect(box(page, "All jobs, also new ones", "Succeeds")).to_be_focused()
    for key, name in (
        ("ArrowDown", "customer 360: Succeeds"),
        ("End", "customer 360: Is canceled"),
        ("Control+End", "source freshness: Is canceled"),
        ("ArrowDown", "source freshness: Is canceled"),
        ("ArrowLeft", "source freshness: Fails"),
        ("PageUp", "Fails: all shown jobs"),
        ("PageDown", "source freshness: Fails"),
    ):
        page.keyboard.press(key)
        expect(page.get_by_role("checkbox", name=name)).to_be_focused()
    page.keyboard.press("Home")
    expect(page.get_by_role("link", name="source freshness")).to_be_focused()
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("checkbox", name="Succeeds: all shown jobs")).to_be_focused()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown", " "):
        page.keyboard.press(key)
    expect(page.get_by_role("group", name="Unsaved changes")).to_contain_text("4 changes in 2 lines")
    page.keyboard.press("ArrowUp")
    page.keyboard.press(" ")
    expect(box(page, "customer 360")).not_to_be_checked()
    assert page.locator("table [tabindex='0']").count() == 1
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_be_visible()
    assert rules(people) == [("customer 360", "warned"), ("hourly", "failed"), ("hourly", "warned")]


def test_without_script_it_is_a_form(page_as: PageAs, people: People, language: str) -> None:
    say = words(language)
    prepare(people)
    page = page_as(Role.ACCOUNT_ADMIN, language=language, script=False)
    start(page, people)
    page.get_by_label(say("Notification email")).select_option(label=people.address("vera"))
    page.get_by_role("button", name=say("Show"), exact=True).click()
    expect(page.locator(".lead")).to_contain_text(people.address("vera"))
    page.get_by_role("link", name=say("Edit"), exact=True).click()
    box(page, "nightly", say("Fails")).check()
    box(page, say("All jobs, also new ones"), say("Warns")).check()
    page.get_by_role("button", name=say("Save"), exact=True).click()
    expect(page.locator(".toast")).to_be_visible()
    assert rules(people) == [("*", "warned"), ("nightly", "failed")]
    page.get_by_role("link", name=say("Edit"), exact=True).click()
    box(page, say("All jobs, also new ones"), say("Warns")).uncheck()
    page.get_by_role("button", name=say("Save"), exact=True).click()
    page.get_by_label(say("Clear them")).check()
    page.get_by_role("button", name=say("Save"), exact=True).click()
    expect(page.locator(".toast")).to_be_visible()
    assert rules(people) == [("nightly", "failed")]
    page.get_by_role("searchbox").fill("hour")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_role("row", name="nightly")).to_have_count(0)


def test_a_stale_form_shows_both_versions_and_asks(page_as: PageAs, people: People, watch: Watch) -> None:
    watch.expect(409)
    prepare(people)
    mine, theirs = page_as(Role.DEVELOPER), page_as(Role.ACCOUNT_ADMIN)
    start(mine, people, "?edit=1")
    box(mine, "nightly").check()
    box(mine, "hourly").check()
    box(mine, "hourly", "Warns").check()
    start(theirs, people)
    theirs.get_by_role("button", name="Notification email").click()
    theirs.get_by_role("combobox", name="Find an address").fill("dana")
    theirs.keyboard.press("Enter")
    theirs.get_by_role("link", name="Edit", exact=True).click()
    box(theirs, "All jobs, also new ones").check()
    theirs.get_by_role("button", name="Save", exact=True).click()
    expect(theirs.locator(".toast")).to_be_visible()
    mine.get_by_role("button", name="Save", exact=True).click()
    expect(mine.get_by_role("alert")).to_contain_text("Nothing is saved yet and nothing is lost. 2 boxes differ")
    assert rules(people) == [("*", "failed")]
    mine.get_by_role("row", name="nightly, Fails").get_by_role("radio").nth(1).check()
    mine.get_by_role("button", name="Save merged").click()
    expect(mine.locator(".toast")).to_be_visible()
    assert rules(people) == [("*", "failed"), ("hourly", "warned"), ("nightly", "failed")]


def test_leaving_with_unsaved_changes_asks(page_as: PageAs, people: People) -> None:
    prepare(people)
    page, asked = page_as(Role.DEVELOPER), list[str]()

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    start(page, people, "?edit=1")
    box(page, "nightly").check()
    page.get_by_role("link", name="What I get").click()
    expect(box(page, "nightly")).to_be_checked()
    assert asked == ["beforeunload"]
    page.get_by_role("link", name="Discard").click()
    expect(page.get_by_role("link", name="Edit", exact=True)).to_be_visible()
    assert (asked, rules(people)) == (["beforeunload"], [])


def test_a_session_that_ends_in_the_middle_loses_nothing(page_as: PageAs, people: People) -> None:
    prepare(people)
    page = page_as(Role.DEVELOPER)
    start(page, people, "?edit=1")
    box(page, "nightly").check()
    box(page, "hourly", "Warns").check()
    page.context.clear_cookies(name="runbell_session")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("E-mail").fill(people.address("dana"))
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="2 changes of yours were not saved.")).to_be_visible()
    assert rules(people) == []
    page.get_by_role("button", name="Bring them back").click()
    expect(box(page, "nightly")).to_be_checked()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".toast")).to_be_visible()
    assert rules(people) == [("hourly", "warned"), ("nightly", "failed")]
    expect(page.get_by_role("heading", name="changes of yours were not saved")).to_be_hidden()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_state_is_accessible_and_fits(page_as: PageAs, people: People, watch: Watch, width: int, theme: str) -> None:
    watch.expect(400, 409)
    prepare(people)
    people.choose(Role.ACCOUNT_ADMIN, Outcome.FAILED, every=True)
    page = page_as(Role.ACCOUNT_ADMIN, language="ru", theme=theme, width=width)
    say = words("ru")

    def look() -> None:
        assert not (found := violations(page)), "\n".join(found)
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    start(page, people)
    page.get_by_role("button", name=say("Notification email")).click()
    look()
    page.get_by_role("link", name=say("Add external email")).click()
    page.get_by_role("textbox", name=say("Email address")).fill("nobody")
    page.get_by_role("button", name=say("Add"), exact=True).click()
    expect(page.locator(".error")).to_be_visible()
    look()
    start(page, people, "?edit=1")
    box(page, "nightly", say("Warns")).check()
    page.get_by_role("searchbox").fill("n")
    look()
    box(page, say("All jobs, also new ones"), say("Fails")).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    look()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("4")).click()
    people.desk.do(lambda: Rule.objects.filter(environment__isnull=False).update(outcome="warned"))
    page.get_by_role("button", name=say("Save"), exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    look()
