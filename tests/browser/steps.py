"""The steps of the seed's list, by the names it gives the controls. Each works with script and without."""

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from runbell.core.runs import Outcome
from tests.browser.words import Say

LABELS = {
    Outcome.SUCCEEDED: "Succeeds",
    Outcome.WARNED: "Warns",
    Outcome.FAILED: "Fails",
    Outcome.CANCELLED: "Is canceled",
}


@dataclass
class Steps:
    page: Page
    say: Say
    has_script: bool = True

    def open(self, home: str) -> None:
        """Select your profile icon, then Notification settings; Email notifications is the page it opens."""
        self.page.goto(home)
        self.page.locator(".top-end details.menu summary").click()
        self.page.locator(".menu-pop").get_by_role("link", name=self.say("Notification settings")).click()
        expect(self.page.get_by_role("heading", name=self.say("Email notifications"), level=1)).to_be_visible()

    @property
    def addresses(self) -> Locator:
        """The drop-down “Notification email”: with script a button that opens a list, which hides the plain one once it is there."""
        name = self.say("Notification email")
        return self.page.get_by_role("button", name=name) if self.has_script else self.page.get_by_role("combobox", name=name, exact=True)

    def pick_address(self, address: str) -> None:
        if self.has_script:
            self.addresses.click()
            self.page.get_by_role("option", name=address).click()
        else:
            self._select(self.addresses, address)

    def pick_environment(self, name: str) -> None:
        self._select(self.page.get_by_role("combobox", name=self.say("Environment"), exact=True), name)

    def _select(self, drop_down: Locator, name: str) -> None:
        drop_down.select_option(value=drop_down.locator("option").filter(has_text=name).get_attribute("value"))
        if not self.has_script:
            self.page.get_by_role("button", name=self.say("Show"), exact=True).click()

    def edit(self) -> None:
        self.page.get_by_role("link", name=self.say("Edit"), exact=True).click()

    def box(self, job: str, outcome: Outcome) -> Locator:
        """Its name goes on with “all jobs” or “changed”."""
        return self.page.get_by_role("checkbox", name=re.compile(f"^{re.escape(job)}: {self.say(LABELS[outcome])}(,|$)"))

    def tick(self, job: str, *outcomes: Outcome) -> None:
        for outcome in outcomes:
            self.box(job, outcome).check()

    def save(self) -> None:
        self.page.get_by_role("button", name=self.say("Save"), exact=True).click()
        expect(self.page.locator("[data-toast]")).to_be_visible()

    def choose(self, job: str, *outcomes: Outcome) -> None:
        self.edit()
        self.tick(job, *outcomes)
        self.save()

    def listed(self) -> str:
        """What the drop-down of addresses says, from top to bottom."""
        self.addresses.click()
        said = self.page.locator(".popover").inner_text()
        self.page.keyboard.press("Escape")
        return said

    def add_external(self, address: str) -> None:
        """Select the drop-down, then Add external email."""
        name = self.say("Add external email")
        if self.has_script:
            self.addresses.click()
            self.page.get_by_role("link", name=name).click()
        else:
            self._select(self.addresses, name)
        self.page.get_by_role("textbox", name=self.say("Email address")).fill(address)
        self.page.get_by_role("button", name=self.say("Add"), exact=True).click()
        expect(self.page.locator("[data-toast]")).to_be_visible()

    def unsubscribe(self) -> None:
        """On the page Email notifications, Unsubscribe from all email notifications."""
        self.page.get_by_role("link", name=self.say("Unsubscribe from all email notifications")).click()
        self.page.get_by_role("button", name=self.say("Unsubscribe"), exact=True).click()
        expect(self.page.locator("[data-toast]")).to_be_visible()
