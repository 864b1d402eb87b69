"""axe-core in the page: https://github.com/dequelabs/axe-core."""

from functools import cache
from importlib.resources import files
from typing import Any

from playwright.sync_api import Page

RUN = "() => axe.run(document, {resultTypes: ['violations'], iframes: false})"


@cache
def _source() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text()


def violations(page: Page) -> list[str]:
    """What is wrong, each with where and why. The debugger puts axe into the page, past its content security policy."""
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(_source())
    found = page.evaluate(RUN)["violations"]
    return [f"{rule['id']}: {_said(node)}" for rule in found for node in rule["nodes"]]


def _said(node: dict[str, Any]) -> str:
    return f"{node['target']} {node['html'][:200]}\n    {node['failureSummary']}"
