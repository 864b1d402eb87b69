"""Account settings › Integrations › dbt platform: connected, checked, mended and removed, before a fake that keeps the documented rules."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from runbell.core.permissions import Role
from runbell.server.db.models import DbtPlatform, Job
from tests.browser.conftest import PageAs
from tests.browser.people import People
from tests.browser.watch import Watch
from tests.browser.words import Say, words
from tests.e2e.processes import wait_until
from tests.fakes.dbt_platform import FakeDbt


@pytest.fixture(scope="module")
def dbt() -> Iterator[FakeDbt]:
    with FakeDbt() as fake:
        yield fake


@pytest.fixture
def page(page_as: PageAs, language: str) -> Page:
    return page_as(Role.ACCOUNT_ADMIN, language=language)


def fill(page: Page, say: Say, **fields: str) -> None:
    for label, text in fields.items():
        page.get_by_label(say({"host": "Host", "account": "Account ID", "token": "Service token", "secret": "Webhook secret"}[label])).fill(
            text
        )


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def in_error(page: Page, label: str) -> None:
    """The field says that it is wrong, and with which words."""
    field = page.get_by_label(label)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator(f"#{field.get_attribute('aria-describedby')}")).to_be_visible()


def test_an_account_from_the_first_token_to_its_removal(page: Page, people: People, dbt: FakeDbt, language: str) -> None:
    say = words(language)
    page.goto(people.path("settings/integrations"))
    page.get_by_role("listitem").filter(has_text=say("dbt platform")).get_by_role("link", name=say("Connect"), exact=True).click()
    fill(page, say, host=dbt.url, account="7", token=dbt.token, secret=dbt.secret)
    press(page, say("Connect"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("7")
    press(page, say("Check"))
    expect(page.get_by_text(say("Works"), exact=True)).to_have_count(6)
    expect(page.get_by_text(say("Never seen"), exact=True)).to_be_visible()
    for label in ("Service token", "Webhook secret"):
        expect(page.get_by_label(say(label))).to_have_value("")
    assert dbt.token not in page.content()
    assert dbt.secret not in page.content()
    wait_until(lambda: people.desk.do(lambda: Job.objects.filter(account=people.account, external_id="101").exists()), "jobs from dbt")
    page.get_by_role("link", name=say("Remove this account")).click()
    expect(page.get_by_role("dialog")).to_contain_text("1")
    press(page, say("Remove"))
    expect(page.get_by_role("listitem").filter(has_text=say("dbt platform"))).to_be_visible()
    assert people.desk.do(lambda: set(DbtPlatform.objects.filter(account=people.account).values_list("token", "webhook_secret"))) == {
        ("", "")
    }


def test_what_is_wrong_is_said_at_its_field(page: Page, people: People, dbt: FakeDbt, watch_422: None, language: str) -> None:
    say = words(language)
    page.goto(people.path("settings/integrations/dbt"))
    for wrong, label in (
        ({"host": "no host", "account": "7", "token": "t"}, "Host"),
        ({"host": dbt.url, "account": "seven", "token": "t"}, "Account ID"),
        ({"account": "7", "token": "two words"}, "Service token"),
        ({"token": "t", "secret": "two words"}, "Webhook secret"),
    ):
        fill(page, say, **wrong)
        press(page, say("Connect"))
        in_error(page, say(label))
        expect(page.get_by_label(say("Service token"))).to_have_value("")
    fill(page, say, token="dbtc_wrong", secret="")
    press(page, say("Connect"))
    press(page, say("Check"))
    expect(page.get_by_text(say("Does not work"), exact=True)).to_have_count(1)
    fill(page, say, token=dbt.token)
    press(page, say("Save"))
    press(page, say("Check"))
    expect(page.get_by_text(say("Works"), exact=True)).to_have_count(6)


@pytest.fixture
def watch_422(watch: Watch) -> None:
    watch.expect(422)
