"""The reference names every command, option, setting and recognised system."""

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import pytest

from runbell.cli import check, flush, init, report, run
from runbell.cli.config import variable
from runbell.cli.main import HELP, HERE, ON_SERVER
from runbell.cli.settings import KEYS

REFERENCE = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text()
PARSERS: dict[str, Callable[[], ArgumentParser]] = {
    "run": run.parser,
    "report": report.parser,
    "flush": flush.parser,
    "check": check.parser,
    "init": init.parser,
}


def test_every_command() -> None:
    assert set(PARSERS) == set(HERE)
    for name in HERE:  # those of the server: tests/unit/test_docs.py
        assert f"\n## runbell {name}\n" in REFERENCE
    for name in HERE + ON_SERVER:
        assert f"  {name} " in HELP


@pytest.mark.parametrize("name", HERE)
def test_every_option(name: str) -> None:
    options = {text for action in PARSERS[name]()._actions for text in action.option_strings} - {"-h", "--help"}
    for text in options:
        assert f"`{text}" in REFERENCE, text


def test_every_setting() -> None:
    for key in KEYS:
        assert f"`{key}`" in REFERENCE
        assert f"`{variable(key)}`" in REFERENCE


def test_help_fits_any_terminal() -> None:
    """Plain ASCII, so that no locale can spoil it."""
    assert HELP.isascii()
    for parser in PARSERS.values():
        assert parser().format_help().isascii()
