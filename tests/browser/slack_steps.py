"""The steps of the seed's list about Slack, by the names it gives the controls, and those of Slack's own pages, which are in English."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from playwright.sync_api import Locator, Page, expect

from runbell.core.permissions import Role
from runbell.server.db.models import SlackChannel, SlackLink
from tests.browser.people import NAMES, People
from tests.browser.steps import Steps
from tests.browser.words import Say
from tests.e2e.processes import wait_until
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.server import furnish
from tests.fakes.slack.world import Workspace

_numbers = count(1)
Begin = Callable[..., "SlackSteps"]


def new_team(slack: FakeSlack, name: str = "Acme HQ") -> Workspace:
    """A workspace of the test's own; the people of ours who may own it are there by their names."""
    number = next(_numbers)
    team = furnish(slack.add_workspace(f"{name} {number}", f"{name.lower().replace(' ', '-')}-{number}"))
    team.add_person("dana", "owner")
    return team


@dataclass
class SlackSteps:
    """Somebody with a browser in which they are signed in to Runbell."""

    steps: Steps
    people: People
    slack: FakeSlack
    team: Workspace
    role: Role

    @property
    def page(self) -> Page:
        return self.steps.page

    @property
    def say(self) -> Say:
        return self.steps.say

    # Account settings › Integrations.

    def open_integrations(self) -> None:
        """Select Account settings, then Integrations in the left sidebar."""
        self.page.goto(self.people.path())
        self.page.get_by_role("navigation", name=self.say("Main")).get_by_role("link", name=self.say("Account settings")).click()
        self.page.locator("nav.side").get_by_role("link", name=self.say("Integrations")).click()
        expect(self.page.get_by_role("heading", name=self.say("Integrations"), level=1)).to_be_visible()

    def press_link(self) -> None:
        """Find the section OAuth with the Slack app and select Link."""
        section = self.page.get_by_role("region", name="OAuth")
        expect(section.get_by_role("heading", name="Slack", exact=True)).to_be_visible()
        section.get_by_role("button", name=self.say("Link"), exact=True).click()

    def sign_in_beforehand(self, team: Workspace | None = None) -> None:
        """To Slack, in this browser, so that it asks for permissions alone."""
        team = team or self.team
        known = next((cookie for cookie in self.page.context.cookies() if cookie["name"] == "fake_slack"), None)
        cookie = self.slack.sign_in(team.person(NAMES[self.role]), team, {"value": known["value"]} if known else None)
        self.page.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": cookie["url"]}])

    def link(self) -> None:
        """The whole way, signed in to Slack."""
        self.sign_in_beforehand()
        self.open_integrations()
        self.press_link()
        self.allow()

    def allow(self) -> None:
        self.page.get_by_role("button", name="Allow").click()
        expect(self.page.locator("[data-toast]")).to_contain_text(self.team.name)
        self.wait_for_channels()

    def wait_for_channels(self) -> None:
        names = SlackChannel.objects.filter(workspace__team_id=self.team.id, name="shop-ops")
        wait_until(lambda: self.people.desk.do(names.exists), "the list of Slack channels")

    def wait_for_the_end(self) -> None:
        """Of this person's link: what Slack tells is looked into by the worker."""
        links = SlackLink.objects.filter(
            workspace__team_id=self.team.id, member=self.people.acme.members[self.role], ended_at__isnull=False
        )
        wait_until(lambda: self.people.desk.do(links.exists), "the end of a link")

    @property
    def unlink_icon(self) -> Locator:
        name = self.say("Unlink your link to %(workspace)s").replace("%(workspace)s", self.team.name)
        return self.page.get_by_role("link", name=name)

    def unlink(self) -> None:
        """Select the bin icon to the right of the Slack integration, then Unlink."""
        self.unlink_icon.click()
        self.page.get_by_role("button", name=self.say("Unlink"), exact=True).click()
        expect(self.page.locator("[data-toast]")).to_be_visible()

    # Slack's pages.

    def sign_in_to_slack(self) -> None:
        """Name the workspace, then e-mail and password."""
        person = self.team.person(NAMES[self.role])
        self.page.get_by_role("textbox", name="Workspace URL").fill(self.team.domain)
        self.page.get_by_role("button", name="Continue").click()
        self.page.get_by_role("textbox", name="Email address").fill(person.email)
        self.page.get_by_label("Password").fill(person.password)
        self.page.get_by_role("button", name="Sign In").click()

    # Notification settings › Slack notifications.

    def open(self) -> None:
        """Select your profile icon, then Notification settings, then Slack notifications in the left sidebar."""
        self.page.goto(self.people.path())
        self.page.locator(".top-end details.menu summary").click()
        self.page.locator(".menu-pop").get_by_role("link", name=self.say("Notification settings")).click()
        self.page.locator("nav.side").get_by_role("link", name=self.say("Slack notifications")).click()
        expect(self.page.get_by_role("heading", name=self.say("Slack notifications"), level=1)).to_be_visible()

    @property
    def channels(self) -> Locator:
        return self.page.get_by_role("button", name=self.say("Notification channel"))

    def find_channel(self, name: str) -> Locator:
        """The entry of the drop-down “Notification channel”, once one has typed its name. Without script, a link of what was found."""
        box = self.say("Find a Slack channel")
        if self.steps.has_script:
            self.channels.click()
            self.page.get_by_role("combobox", name=box).fill(name)
            return self.page.get_by_role("option", name=name)
        self.page.get_by_role("searchbox", name=box).fill(name)
        self.page.get_by_role("button", name=self.say("Find"), exact=True).click()
        return self.page.get_by_role("link", name=name, exact=True)

    def pick_channel(self, name: str) -> None:
        self.find_channel(name).click()
        expect(self.page.locator(".strip").filter(visible=True).first).to_be_visible()

    def add_webhook(self, name: str, url: str) -> None:
        """Where nothing is linked yet the page offers it instead of the drop-down."""
        self.page.get_by_role("link", name=self.say("Add an incoming webhook URL")).click()
        self.page.get_by_role("textbox", name=self.say("Name"), exact=True).fill(name)
        self.page.get_by_label(self.say("Webhook URL"), exact=True).fill(url)
        self.page.get_by_role("button", name=self.say("Add"), exact=True).click()
        expect(self.page.locator("[data-toast]")).to_contain_text(name)

    def open_webhook(self) -> Locator:
        """The page of the one that is picked; its box for another URL."""
        self.page.get_by_role("link", name=self.say("Name, URL, language, time zone, removal")).click()
        return self.page.get_by_label(self.say("Replace the URL"), exact=True)


def told(steps: SlackSteps, channel: str) -> list[list[int]]:
    """The runs of each message in a Slack channel, once nothing is on its way."""
    steps.people.wait_for_mail()
    return [post.runs for post in steps.slack.posts_in(steps.team.channel(channel))]
