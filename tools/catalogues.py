"""Keeps the message catalogues current: `extract` (what the sources say now), `update` (extract, merge), `compile` (.po to .mo).

pybabel's Python interface, because a bare machine has no gettext. The template is not kept: it is the sources.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "runbell"


@dataclass(frozen=True, slots=True)
class Domain:
    """One catalogue per language: where its words are said, and by which functions (`c` marks a context)."""

    name: str
    locale: Path
    folders: tuple[Path, ...]
    keywords: dict[str, tuple[int | tuple[int, str], ...] | None]

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
)


def extract(domain: Domain) -> Catalog:
    """What the sources say now, without a translation."""
    template = Catalog(domain=domain.name, fuzzy=False)
    for folder in domain.folders:
        for _, _, text, comments, context in extract_from_dir(
            folder, [("**.py", "python")], keywords=domain.keywords, comment_tags=["For translators:"]
        ):
            template.add(text, auto_comments=comments, context=context)
    return template


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
