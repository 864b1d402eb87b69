"""Keeps the message catalogues current: `extract` (what the sources say now), `update` (extract, merge), `compile` (.po to .mo).

Babel's Python interface, because a bare machine has no gettext. The template is not kept: it is the sources.
"""

import re
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS
from babel.messages.extract import extract as extract_strings
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "runbell"


Keywords = dict[str, Any]  # as Babel reads them
NOTES = ["For translators:"]


@dataclass(frozen=True, slots=True)
class Domain:
    """One catalogue per language: where its words are said, and by which functions (`c` marks a context)."""

    name: str
    locale: Path
    folders: tuple[Path, ...]
    keywords: Keywords

    @property
    def files(self) -> list[Path]:
        return sorted(self.locale.glob(f"*/LC_MESSAGES/{self.name}.po"))


DOMAINS = (
    Domain(
        "messages",
        SOURCE / "messages" / "locale",
        (SOURCE / "messages", SOURCE / "channels"),
        {"say": None, "say_of": ((1, "c"), 2), "count": (1, 2), "count_of": ((1, "c"), 2, 3), "line": None},
    ),
    Domain(
        "django",
        SOURCE / "server" / "locale",
        (SOURCE / "server",),
        {**DEFAULT_KEYWORDS, "gettext_lazy": None, "ngettext_lazy": (1, 2), "pgettext_lazy": ((1, "c"), 2)},
    ),
)


def extract(domain: Domain) -> Catalog:
    """What the sources say now, without a translation."""
    template = Catalog(domain=domain.name, fuzzy=False)
    for path in sorted(path for folder in domain.folders for path in folder.rglob("*") if path.suffix in (".py", ".html")):
        source = path.read_text()
        if path.suffix == ".html":
            # What a template says, as Python; templatize keeps its indentation, which Python would refuse.
            source = "\n".join(line.strip() for line in templatize(source).splitlines()) + "\n"
        for _, text, comments, context in extract_strings("python", BytesIO(source.encode()), domain.keywords, NOTES):
            template.add(text, auto_comments=comments, context=context, flags=_flags(text))
    return template


def _flags(text: str | tuple[str, ...]) -> tuple[str, ...]:
    said = text if isinstance(text, str) else text[0]
    return ("python-format",) if re.search(r"%\(\w+\)[sd]", said) else ()


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.parent.parent.name, domain=path.stem)


def update(domain: Domain) -> None:
    template = extract(domain)
    for path in domain.files:
        catalog = read(path)
        template.creation_date = catalog.creation_date
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        with path.open("wb") as file:
            write_po(file, catalog, width=120, no_location=True, sort_output=True)


def compile_all(domain: Domain) -> None:
    for path in domain.files:
        with path.with_suffix(".mo").open("wb") as file:
            write_mo(file, read(path))


def lacking(catalog: Catalog, template: Catalog) -> list[str]:
    """The messages that have no translation, or a doubtful one."""
    return [str(message.id) for message in template if message.id and not _is_done(catalog.get(message.id, message.context))]


def _is_done(message: Message | None) -> bool:
    if message is None or message.fuzzy:
        return False
    forms = message.string if isinstance(message.string, tuple | list) else [message.string]
    return bool(forms) and all(forms)


def main(command: str = "") -> int:
    commands = {
        "extract": lambda domain: write_po(sys.stdout.buffer, extract(domain), no_location=True, width=120),
        "update": update,
        "compile": compile_all,
    }
    if command not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    for domain in DOMAINS:
        commands[command](domain)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
