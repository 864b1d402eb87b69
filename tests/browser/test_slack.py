"""The Slack part of the original page, step by step, before a Slack that runs here. coverage.md says which line is tested where."""

from typing import cast

import pytest
from playwright.sync_api import expect

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from tests.browser.axe import violations
from tests.browser.conftest import PageAs
from tests.browser.people import People
from tests.browser.slack_steps import Begin, SlackSteps, new_team, told
from tests.browser.steps import Steps
from tests.browser.watch import Watch
from tests.browser.words import words
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.world import Workspace

WAY_OUT = {"en": "Another admin can take over by saving", "ru": "Другой администратор может принять этот канал Slack, сохранив"}


@pytest.fixture
def team(slack: FakeSlack) -> Workspace:
    return new_team(slack)


@pytest.fixture
def begin(page_as: PageAs, people: People, slack: FakeSlack, team: Workspace) -> Begin:
    """A member with a browser, in an account with jobs in two environments."""

    def begin(role: Role = Role.ACCOUNT_ADMIN, language: str = "en", *, script: bool = True) -> SlackSteps:
        people.job("nightly", "Production")
        people.job("hourly", "Production")
        people.job("pull requests", "Staging")
        steps = Steps(page_as(role, language=language, script=script), words(language), has_script=script)
        return SlackSteps(steps, people, slack, team, role)

    return begin


# Configure the Slack integration.


def test_linking_when_signed_in_to_slack(begin: Begin, language: str) -> None:
    ada = begin(language=language)
    ada.sign_in_beforehand()
    ada.open_integrations()
    ada.press_link()
    expect(ada.page.get_by_role("heading", level=1)).to_contain_text(f"permission to access the {ada.team.name} Slack workspace")
    ada.allow()
    expect(ada.page.get_by_role("heading", name=ada.say("Integrations"), level=1)).to_be_visible()
    expect(ada.unlink_icon).to_be_visible()


def test_linking_one_of_several_workspaces(begin: Begin, slack: FakeSlack, language: str) -> None:
    ada, other = begin(language=language), new_team(slack, "Beta Labs")
    ada.sign_in_beforehand(other)
    ada.sign_in_beforehand()
    ada.open_integrations()
    ada.press_link()
    expect(ada.page.get_by_role("heading", level=1)).to_contain_text(other.name)
    drop_down = ada.page.get_by_role("combobox", name="Workspace")
    box, width = drop_down.bounding_box(), cast(dict[str, int], ada.page.viewport_size)["width"]
    assert box
    assert box["x"] > width / 2, "not at the right"
    drop_down.select_option(ada.team.name)
    expect(ada.page.get_by_role("heading", level=1)).to_contain_text(ada.team.name)
    ada.allow()


def test_linking_when_signed_out_of_slack(begin: Begin, language: str) -> None:
    ada = begin(language=language)
    ada.open_integrations()
    ada.press_link()
    ada.sign_in_to_slack()
    expect(ada.page.get_by_role("heading", level=1)).to_contain_text(ada.team.name)
    ada.slack.forward(minutes=9)
    ada.allow()
    ada.slack.forward(minutes=-9)  # what it signs for others must not be of another time


def test_a_no_in_slack_links_nothing(begin: Begin, language: str) -> None:
    ada = begin(language=language)
    ada.sign_in_beforehand()
    ada.open_integrations()
    ada.press_link()
    ada.page.get_by_role("button", name="Cancel").click()
    expect(ada.page.get_by_role("alert")).to_contain_text(ada.say("Slack was not linked"))
    assert ada.team.installations == {}


def test_who_does_not_own_the_workspace_links_nothing(begin: Begin, language: str) -> None:
    ada = begin(language=language)
    ada.team.person("ada").rank = "member"
    ada.sign_in_beforehand()
    ada.open_integrations()
    ada.press_link()
    ada.page.get_by_role("button", name="Allow").click()
    expect(ada.page.get_by_role("alert")).to_contain_text(ada.say("Slack was not linked"))
    expect(ada.page.get_by_role("alert")).to_contain_text(ada.team.name)
    assert ada.team.installations == {}, "the token was not given back"


@pytest.mark.parametrize("role", [Role.NOTIFICATION_MANAGER, Role.DEVELOPER, Role.VIEWER])
def test_only_account_admins_link(begin: Begin, watch: Watch, role: Role, language: str) -> None:
    watch.expect(403)
    member = begin(role, language)
    member.open()
    expect(member.page.locator("nav.side").get_by_role("link", name=member.say("Integrations"))).to_have_count(0)
    expect(member.page.get_by_role("link", name=member.say("Link"), exact=True)).to_have_count(0)
    answer = member.page.goto(member.people.path("settings/integrations"))
    assert answer
    assert answer.status == 403


# Configure Slack notifications.


def test_choosing_and_hearing(begin: Begin, people: People, language: str) -> None:
    ada = begin(language=language)
    ada.link()
    ada.open()
    ada.pick_channel("data-alerts")
    ada.steps.pick_environment("Production")
    ada.steps.choose("nightly", Outcome.WARNED, Outcome.FAILED)
    runs = {outcome: people.report(outcome, job="nightly") for outcome in Outcome}
    people.report(Outcome.FAILED, job="hourly")
    assert sorted(told(ada, "data-alerts")) == sorted([[runs[Outcome.WARNED]], [runs[Outcome.FAILED]]])
    posts = ada.slack.posts_in(ada.team.channel("data-alerts"))
    assert all("nightly" in post.text and "Production" in post.text for post in posts)


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_is_chosen_alone(begin: Begin, people: People, outcome: Outcome, language: str) -> None:
    ada = begin(language=language)
    ada.link()
    ada.open()
    ada.pick_channel("data-alerts")
    ada.steps.pick_environment("Production")
    ada.steps.choose("nightly", outcome)
    runs = {each: people.report(each, job="nightly") for each in Outcome}
    assert told(ada, "data-alerts") == [[runs[outcome]]]


def test_another_channel_and_another_environment(begin: Begin, people: People, language: str) -> None:
    ada = begin(language=language)
    ada.link()
    ada.open()
    ada.pick_channel("data-alerts")
    ada.steps.pick_environment("Production")
    ada.steps.choose("nightly", Outcome.FAILED)
    ada.pick_channel("shop-ops")
    ada.steps.choose("hourly", Outcome.FAILED)
    ada.steps.pick_environment("Staging")
    ada.steps.choose("pull requests", Outcome.CANCELLED)
    nightly, hourly = (people.report(Outcome.FAILED, job=job) for job in ("nightly", "hourly"))
    pull = people.report(Outcome.CANCELLED, job="pull requests", environment="Staging")
    assert told(ada, "data-alerts") == [[nightly]]
    assert sorted(told(ada, "shop-ops")) == sorted([[hourly], [pull]])


def test_settings_are_copied_to_another_channel(begin: Begin, people: People, language: str) -> None:
    ada = begin(language=language)
    ada.link()
    ada.open()
    ada.steps.pick_environment("Production")
    for channel, outcome in (("data-alerts", Outcome.FAILED), ("shop-ops", Outcome.WARNED)):
        ada.pick_channel(channel)
        ada.steps.choose("nightly", outcome)
    ada.page.goto(people.path("settings/notifications/copy?what=slack"))
    ada.page.get_by_role("checkbox", name="#shop-ops").check()
    ada.page.get_by_role("button", name=ada.say("Preview")).click()
    preview = ada.page.get_by_role("region").filter(has=ada.page.locator("#preview-head"))
    expect(preview).to_contain_text("#shop-ops")
    assert violations(ada.page) == []
    preview.get_by_role("button").click()
    expect(ada.page.locator("[data-toast]")).to_be_visible()
    failed = people.report(Outcome.FAILED, job="nightly")
    assert told(ada, "data-alerts") == told(ada, "shop-ops") == [[failed]]


def test_only_public_channels_can_be_chosen(begin: Begin, language: str) -> None:
    ada = begin(language=language)
    ada.link()
    ada.open()
    expect(ada.find_channel("data-platform")).to_be_visible()
    ada.page.keyboard.press("Escape")
    expect(ada.find_channel("data-secret")).to_have_count(0)
    expect(ada.page.get_by_text(ada.say("No Slack channel has this in its name"))).to_be_visible()


def test_the_whole_way_without_script(begin: Begin, people: People, language: str) -> None:
    ada = begin(language=language, script=False)
    ada.open_integrations()
    ada.press_link()
    ada.sign_in_to_slack()
    ada.allow()
    ada.open()
    ada.pick_channel("data-alerts")
    ada.steps.pick_environment("Production")
    ada.steps.choose("nightly", Outcome.FAILED)
    run = people.report(Outcome.FAILED, job="nightly")
    assert told(ada, "data-alerts") == [[run]]
    ada.open_integrations()
    ada.unlink()
    people.report(Outcome.FAILED, job="nightly")
    assert told(ada, "data-alerts") == [[run]]


# Unlink, take over, lose rights.


@pytest.fixture
def two_admins(begin: Begin, people: People, language: str) -> tuple[SlackSteps, SlackSteps]:
    """Both have linked the workspace; Ada configured #data-alerts, Dana #shop-ops."""
    people.promote(Role.DEVELOPER)
    ada, dana = begin(Role.ACCOUNT_ADMIN, language), begin(Role.DEVELOPER, language)
    for admin, channel in ((ada, "data-alerts"), (dana, "shop-ops")):
        if admin is ada:
            admin.link()
        else:
            admin.sign_in_beforehand()
            admin.page.goto(people.path("settings/integrations/slack/link"))
            admin.allow()
        admin.open()
        admin.pick_channel(channel)
        admin.steps.pick_environment("Production")
        admin.steps.choose("nightly", Outcome.FAILED)
    return ada, dana


def test_unlinking_stops_ones_own_channels_alone(two_admins: tuple[SlackSteps, SlackSteps], people: People) -> None:
    ada, dana = two_admins
    ada.open_integrations()
    ada.unlink_icon.click()
    question = ada.page.get_by_role("dialog")
    expect(question).to_contain_text("data-alerts")
    expect(question).to_contain_text(ada.say("This ends your link only. It is not an account-wide act."))
    question.get_by_role("button", name=ada.say("Unlink"), exact=True).click()
    expect(ada.page.locator("[data-toast]")).to_be_visible()
    run = people.report(Outcome.FAILED)
    assert (told(ada, "data-alerts"), told(dana, "shop-ops")) == ([], [[run]])


def test_another_admin_takes_a_channel_over(two_admins: tuple[SlackSteps, SlackSteps], people: People) -> None:
    ada, dana = two_admins
    ada.open_integrations()
    ada.unlink()
    dana.open()
    dana.pick_channel("data-alerts")
    dana.steps.edit()
    dana.steps.tick("nightly", Outcome.SUCCEEDED)
    dana.page.get_by_role("button", name=dana.say("Save and take over"), exact=True).click()
    expect(dana.page.locator("[data-toast]")).to_be_visible()
    failed, succeeded = people.report(Outcome.FAILED), people.report(Outcome.SUCCEEDED)
    assert sorted(told(dana, "data-alerts")) == sorted([[failed], [succeeded]])


def test_who_loses_their_rights_in_slack_is_told_the_way_out(
    two_admins: tuple[SlackSteps, SlackSteps], people: People, language: str
) -> None:
    ada, dana = two_admins
    ada.slack.demote(ada.team.person("ada"))
    ada.wait_for_the_end()
    ada.open()
    ada.pick_channel("data-alerts")
    alert = ada.page.get_by_role("alert")
    # Not from the catalogue: of an address the same English is another Russian.
    expect(alert).to_contain_text({"en": "Nothing is sent to #data-alerts", "ru": "В #data-alerts ничего не отправляется"}[language])
    expect(alert).to_contain_text(WAY_OUT[language])
    run = people.report(Outcome.FAILED)
    assert (told(ada, "data-alerts"), told(dana, "shop-ops")) == ([], [[run]])
    dana.open()
    dana.pick_channel("data-alerts")
    dana.page.get_by_role("button", name=dana.say("Take over with my link")).click()
    expect(dana.page.locator("[data-toast]")).to_be_visible()
    run = people.report(Outcome.FAILED)
    assert told(dana, "data-alerts") == [[run]]


def test_a_server_that_does_not_reach_slack_says_what_to_change(begin: Begin, language: str) -> None:
    ada = begin(language=language)
    ada.open_integrations()
    expect(ada.page.locator("main")).to_contain_text("HTTPS_PROXY")
    fault = ada.slack.cut(method="", times=None)
    try:
        ada.page.get_by_role("button", name=ada.say("Check"), exact=True).first.click()
        expect(ada.page.get_by_role("alert")).to_contain_text(ada.say("This server does not reach Slack"))
    finally:
        fault.lift()
    ada.page.get_by_role("button", name=ada.say("Check"), exact=True).first.click()
    expect(ada.page.get_by_role("alert")).to_have_count(0)
