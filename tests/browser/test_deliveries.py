"""The delivery log as a reader uses it: from a job to its messages, narrower until nothing is left, wider again, and away with them."""

from pathlib import Path

from playwright.sync_api import expect

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from tests.browser.conftest import PageAs
from tests.browser.people import People
from tests.browser.test_pages import look


def test_from_a_job_to_its_messages_and_into_a_file(page_as: PageAs, people: People, tmp_path: Path) -> None:
    people.choose(Role.ACCOUNT_ADMIN, Outcome.FAILED, Outcome.WARNED)
    people.choose(Role.DEVELOPER, Outcome.FAILED, job="hourly", environment="Staging")
    for outcome, job, environment in ((Outcome.FAILED, "nightly", "Production"), (Outcome.FAILED, "hourly", "Staging")):
        people.report(outcome, job=job, environment=environment)
    people.wait_for_mail()
    page = page_as(Role.VIEWER)
    page.goto(people.path())
    page.get_by_role("link", name="nightly").last.click()
    page.get_by_role("link", name="Messages about this job").click()
    lines = page.get_by_role("table", name="Deliveries").locator("tbody tr")
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text(people.address("ada"))
    page.get_by_role("link", name="About all jobs").click()
    expect(lines).to_have_count(2)

    page.get_by_role("searchbox").fill("DANA@")
    page.get_by_label("Environment").select_option(label="Staging · shop")
    page.get_by_role("button", name="Show").click()
    expect(lines).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    download.value.save_as(tmp_path / "log.csv")
    assert [line.split(",")[6] for line in (tmp_path / "log.csv").read_text().splitlines()] == ["job", "hourly"]
    page.get_by_role("link", name="Show the tries").click()
    expect(page.get_by_text("Put into the outbox")).to_be_visible()
    look(page)

    page.get_by_label("Outcome").select_option("Warns")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No message fits all of these.")).to_be_visible()
    look(page)
    page.locator(".wider").get_by_role("link", name="Warns").click()
    expect(lines).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_have_value("DANA@")
