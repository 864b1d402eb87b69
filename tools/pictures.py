"""Takes the pictures of the messages in docs/images, from the same examples as the golden files.

.venv/bin/python -m tools.pictures [--browser /usr/bin/chromium] [--out docs/images] [NAME…]
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from tests.fakes.slack.drawing import message
from tests.fakes.slack.look import STYLE
from tests.fakes.slack.state import Post
from tests.fakes.slack.world import App, Installation, Workspace
from tests.golden.test_email import mail
from tests.golden.test_slack import post
from tests.mails import body

from tools.png import shrink

OUTCOMES = ("failed", "warned", "succeeded", "canceled")
WIDTHS = {"mail": (600, 320), "slack": (640, 360)}
THEMES = ("light", "dark")
POSTED_AT = "1795482732.000100"
ROOT = Path(__file__).resolve().parent.parent


def pages(name: str) -> dict[str, str]:
    return {"mail": body(mail(name, "en"), "html"), "slack": in_slack(json.loads(post(name, "en")))}


def in_slack(said: dict[str, object]) -> str:
    """As the Slack to test against draws it, without the rest of its page."""
    team = Workspace("Acme HQ", "acme")
    posted = Post(0, team, team.add_channel("data-alerts"), POSTED_AT, said, Installation(App(), team))
    frame = "body { min-height: 0; padding: 8px 0; background: var(--bg) }"
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{STYLE}{frame}</style><body>{message(posted)}</body></html>'


def shots(names: list[str]) -> Iterator[tuple[str, str, int, str]]:
    for name in names:
        for kind, html in pages(name).items():
            for width in WIDTHS[kind]:
                for theme in THEMES:
                    yield f"{kind}-{name}-{width}-{theme}", html, width, theme


def take(browser: Browser, out: Path, name: str, html: str, width: int, theme: str) -> None:
    page = browser.new_page(
        viewport={"width": width, "height": 80}, color_scheme="dark" if theme == "dark" else "light", java_script_enabled=False
    )
    page.set_content(html)
    (out / f"{name}.png").write_bytes(shrink(page.screenshot(full_page=True)))
    page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=OUTCOMES)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.browser, args=["--no-sandbox"])
        for shot in shots(list(options.names)):
            take(browser, options.out, *shot)
        browser.close()


if __name__ == "__main__":
    main()
