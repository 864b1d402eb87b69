"""Takes the pictures of the mails in docs/images, from the same examples as the golden files.

.venv/bin/python -m tools.pictures [--browser /usr/bin/chromium] [--out docs/images] [NAME…]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from tests.golden.test_email import mail
from tests.mails import body

from tools.png import shrink

OUTCOMES = ("failed", "warned", "succeeded", "canceled")
WIDTHS = (600, 320)
THEMES = ("light", "dark")
ROOT = Path(__file__).resolve().parent.parent


def shots(names: list[str]) -> Iterator[tuple[str, str, int, str]]:
    for name in names:
        for width in WIDTHS:
            for theme in THEMES:
                yield name, body(mail(name, "en"), "html"), width, theme


def take(browser: Browser, out: Path, name: str, html: str, width: int, theme: str) -> None:
    page = browser.new_page(
        viewport={"width": width, "height": 200}, color_scheme="dark" if theme == "dark" else "light", java_script_enabled=False
    )
    page.set_content(html)
    (out / f"mail-{name}-{width}-{theme}.png").write_bytes(shrink(page.screenshot(full_page=True)))
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
