"""Each room has its card, and the cards say what the contracts say."""

import configparser
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "runbell"
ROOMS = ["core", "messages", "channels", "cli", "server"] + [
    f"server/{room}" for room in ("db", "services", "worker", "web", "api", "sources")
]
LINES = ("Lives here:", "May import:", "May touch:", "Never:", "Ask for:", "Example file:")


def card(room: str) -> str:
    return importlib.import_module("runbell." + room.replace("/", ".")).__doc__ or ""


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_a_card_of_six_lines(room: str) -> None:
    assert card(room).startswith(f"Room: {room}.\n")
    assert re.findall(r"^[A-Z][a-z ]+:", card(room), re.MULTILINE)[1:] == list(LINES)


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "server/sources"])
def test_the_example_file_is_there(room: str) -> None:
    example = re.search(r"^Example file: (\S+)$", card(room), re.MULTILINE)
    assert example
    assert (SOURCE / room / example[1]).exists()


def test_the_contracts_name_every_room() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = contracts["importlinter:contract:rooms"]["layers"] + contracts["importlinter:contract:server-rooms"]["layers"]
    named = set(re.findall(r"\w+", layers))
    assert {room.split("/")[-1] for room in ROOMS} <= named
    assert contracts["importlinter:contract:rooms"]["exhaustive"] == contracts["importlinter:contract:server-rooms"]["exhaustive"] == "true"


def test_the_migrations_stand_in_one_row() -> None:
    """Two that were made side by side would stop `runbell migrate`; here it takes no database to see it."""
    files = {path.stem: path.read_text(encoding="utf-8") for path in (SOURCE / "server/db/migrations").glob("0*.py")}
    before = {name: set(re.findall(r"\(['\"]runbell['\"], ['\"](\w+)['\"]\)", text)) for name, text in files.items()}
    named = set().union(*before.values())
    assert named <= set(files)
    assert len(set(files) - named) == 1, "nothing comes after these"
