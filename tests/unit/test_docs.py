"""No link of the documentation leads nowhere, its index names every page, and its reference every command of the server."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbell.server.commands import parser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = {(DOCS / link).resolve() for link in LINK.findall((DOCS / "README.md").read_text())}
    pages = {page for page in DOCS.rglob("*.md") if page.parent.name != "decisions"} - {DOCS / "README.md"}
    assert {str(page.relative_to(DOCS)) for page in pages if page not in index} == set()


def test_every_command_of_the_server_is_named() -> None:
    told = (DOCS / "reference" / "cli.md").read_text()
    assert [words for words in commands(parser()) if f"runbell {words}" not in told] == []


def commands(parser: argparse.ArgumentParser, before: str = "") -> Iterator[str]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield before.strip()
    for group in groups:
        for name, below in group.choices.items():
            yield from commands(below, f"{before} {name}")


def test_the_tests_that_hold_the_guarantees_exist() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (DOCS / "explain" / "guarantees.md").read_text())
    missing = [(file, name) for file, name in named if not any(f"def {name}(" in path.read_text() for path in ROOT.glob(f"tests/*/{file}"))]
    assert named
    assert missing == []
