"""Takes the pictures of the README and of docs/howto/slack.md from the demo: four real dbt jobs, with a month of history before them.

.venv/bin/python -m tools.screenshots [--browser /usr/bin/chromium] [--out docs/images] [--all DIRECTORY]

`--all` takes every page too, in light and dark, at 1280 and 360.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, Page, sync_playwright

from tools.history import at_the_latest, reports
from tools.png import shrink
from tools.slack_pictures import JOB, slack_pictures

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))

from demo import ADA, Shop, demo  # noqa: E402
from demo_checks import api  # noqa: E402
from demo_jobs import JOBS  # noqa: E402


def play(shop: Shop) -> None:
    """The demo's story, in an account that has been in use for a while."""
    tell(shop, list(reports(at_the_latest())))
    for job in JOBS:
        shop.run(job, ("dbt seed",), (0,))
    shop.set_rules(JOBS)
    for job in JOBS:
        if wrong := shop.play(job):
            raise SystemExit(f"{job.name}: {wrong}")


def tell(shop: Shop, told: list[dict[str, object]]) -> None:
    headers = {"Authorization": f"Token {shop.token}", "Content-Type": "application/json"}
    with urlopen(Request(f"{shop.url}/api/runbell/v1/runs:batch", json.dumps({"reports": told}).encode(), headers)) as answer:
        bad = [result for result in json.load(answer)["results"] if result["status"] != 201]
    if bad:
        raise SystemExit(f"not taken: {bad[:3]}")


def people(shop: Shop) -> None:
    """Colleagues and outside addresses, so that the pages have somebody to show."""
    from runbell.core.permissions import Role

    for who, role in (("bob", Role.NOTIFICATION_MANAGER), ("cleo", Role.DEVELOPER), ("dan", Role.VIEWER)):
        shop.admin("member", "add", f"{who}@acme.test", "--account", str(shop.account), "--role", role, "--password-file", "-")
    account = f"{shop.url}/api/v2/accounts/{shop.account}"
    jobs = [job["id"] for job in api("GET", f"{account}/jobs/?limit=100", shop.token)]
    lists = {"on_failure": jobs, "on_warning": jobs[:3], "on_success": [], "on_cancel": []}
    body = {"account_id": shop.account, "type": 4, "state": 1, "external_email": "data-oncall@acme.pagerduty.example", **lists}
    api("POST", f"{account}/notifications/", shop.token, body)


def pictures(page: Page, shop: Shop) -> Iterator[tuple[str, bytes]]:
    """The README's four."""
    account = f"{shop.url}/a/{shop.account}"
    page.goto(f"{account}/")
    yield "home", page.screenshot()
    page.goto(f"{account}/settings/notifications/email?edit=1")
    environment = page.get_by_label("Environment", exact=True)
    page.goto(
        f"{account}/settings/notifications/email?edit=1&env={environment.locator('option', has_text='Production').get_attribute('value')}"
    )
    for box in ("nightly: Succeeds", "hourly payments: Is canceled", "customer 360: Warns"):
        page.get_by_role("checkbox", name=box).check()
    yield "choose", page.screenshot()
    page.goto(f"{account}/")
    page.locator("#failing ~ *, section").get_by_role("link", name="weekly revenue").first.click()
    yield "run", page.screenshot()
    page.goto(f"{account}/mailbox")
    page.get_by_role("link", name="weekly revenue").click()
    page.frame_locator("iframe").get_by_text("weekly revenue").first.wait_for()
    yield "mailbox", page.screenshot()


def in_slack(page: Page, shop: Shop) -> Iterator[tuple[str, bytes]]:
    job = next(job for job in JOBS if job.name == JOB)
    assert shop.slack
    yield from slack_pictures(page, f"{shop.url}/a/{shop.account}", shop.slack.url, lambda: shop.run(job, job.steps, job.exit_codes))


PLACES = (
    *("", "jobs/1", "runs/1", "deliveries", "mailbox", "mailbox/empty"),
    *(f"settings/notifications/{name}" for name in ("email", "email?edit=1", "slack", "mine", "copy", "preview")),
    *(
        f"settings/{name}"
        for name in ("profile", "sign-in", "members", "integrations", "integrations/dbt", "jobs", "tokens", "audit", "mail")
    ),
)


def everything(page: Page, shop: Shop) -> Iterator[tuple[str, bytes]]:
    """Every page that needs nothing but to be opened."""
    for place in PLACES:
        page.goto(f"{shop.url}/a/{shop.account}/{place}")
        name = re.sub(r"\W+", "-", place) or "home"
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
            for width in (1280, 360):
                page.set_viewport_size({"width": width, "height": 860})
                yield f"{name}-{width}-{theme}", page.screenshot(full_page=True)


def signed_in(browser: Browser, shop: Shop) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light", reduced_motion="reduce")
    page.goto(f"{shop.url}/account/login/")
    page.get_by_label("E-mail").fill(ADA)
    page.get_by_label("Password").fill(shop.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{shop.url}/a/{shop.account}/")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--all", type=Path, metavar="DIRECTORY")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with demo(is_once=True, has_slack=True) as shop:
        play(shop)
        people(shop)
        with sync_playwright() as playwright:  # not before: it leaves an event loop in which Django refuses its database
            browser = playwright.chromium.launch(executable_path=options.browser, args=["--no-sandbox"])
            page = signed_in(browser, shop)
            for name, png in (*pictures(page, shop), *in_slack(page, shop)):
                (options.out / f"{name}.png").write_bytes(shrink(png))
            if options.all:
                options.all.mkdir(parents=True, exist_ok=True)
                for name, png in everything(page, shop):
                    (options.all / f"{name}.png").write_bytes(png)
            browser.close()


if __name__ == "__main__":
    main()
