"""Sentences in one language: the catalogue, plural forms, and templates whose gaps take pieces.

English is the source, Russian a catalogue beside this file. tools/catalogues.py extracts what `say`, `count`, `line` and `lines`
are called with, so their first arguments are always literals.
"""

import gettext
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from string import Formatter

from babel import Locale
from babel.lists import format_list
from babel.numbers import format_decimal

from runbell.messages.message import Line, Piece

SOURCE = "en"
LANGUAGES = (SOURCE, "ru")
LOCALE_DIR = Path(__file__).parent / "locale"


class Words:
    """Says things in `language`. Values are never read as templates, so a name with braces in it stays itself."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.locale = Locale.parse(language)
        self._catalogue = (
            gettext.NullTranslations() if language == SOURCE else gettext.translation("messages", LOCALE_DIR, languages=[language])
        )

    def say(self, template: str, **values: str) -> str:
        said = self._catalogue.gettext(template)
        return said.format_map(values) if values else said

    def say_of(self, context: str, text: str) -> str:
        """The same English words may need others elsewhere; `context` tells them apart."""
        return self._catalogue.pgettext(context, text)

    def count(self, one: str, many: str, n: int, **values: str) -> str:
        """The plural form for `n`; the gap `{n}` takes the number as this language writes it."""
        return self._catalogue.ngettext(one, many, n).format_map({"n": self.number(n), **values})

    def count_of(self, context: str, one: str, many: str, n: int) -> str:
        return self._catalogue.npgettext(context, one, many, n).format_map({"n": self.number(n)})

    def line(self, template: str, **pieces: Piece | Line) -> Line:
        return tuple(_fill(self._catalogue.gettext(template), pieces))

    def number(self, n: float) -> str:
        return _number(n, self.locale)

    def listed(self, parts: Sequence[str]) -> str:
        """“a, b and c”."""
        return str(format_list(parts, style="standard", locale=self.locale))


@lru_cache(maxsize=4096)
def _number(n: float, locale: Locale) -> str:
    return str(format_decimal(n, locale=locale))


def _fill(template: str, pieces: dict[str, Piece | Line]) -> Iterator[Piece]:
    for text, name, _, _ in Formatter().parse(template):
        if text:
            yield text
        if name:
            piece = pieces[name]
            yield from piece if isinstance(piece, tuple) else (piece,)


@lru_cache(maxsize=len(LANGUAGES))
def _load(language: str) -> Words:
    return Words(language)


def words_in(language: str) -> Words:
    """The words of a language; English for one that has no catalogue."""
    return _load(language if language in LANGUAGES else SOURCE)
