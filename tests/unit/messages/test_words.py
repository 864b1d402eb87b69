"""Everything said in English is said in every other language too, with its plural forms."""

import ast
from collections.abc import Iterator

import pytest
from babel.messages.catalog import Catalog
from tools.catalogues import DOMAINS, Domain, extract, lacking, read

from runbell.messages.message import Span
from runbell.messages.words import LANGUAGES, words_in

CATALOGUES = [(domain, path) for domain in DOMAINS for path in domain.files]


def _said(domain: Domain) -> Iterator[str]:
    """Every literal that the sources say, by a way of finding it that babel's extraction does not share."""
    for folder in domain.folders:
        for path in folder.rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and _name(call.func) in domain.keywords:
                    yield from (arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""


def _known(template: Catalog) -> set[str]:
    """Texts, plural forms and contexts: what may stand as a literal in a call."""
    texts: set[str] = set()
    for message in template:
        texts.update([message.id] if isinstance(message.id, str) else message.id)
        texts.update(filter(None, [message.context]))
    return texts


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_the_extraction_finds_everything_that_is_said(domain: Domain) -> None:
    assert set(_said(domain)) <= _known(extract(domain))


@pytest.mark.parametrize(("domain", "path"), CATALOGUES, ids=lambda value: getattr(value, "stem", None))
def test_a_catalogue_lacks_nothing_and_has_nothing_stale(domain: Domain, path: object) -> None:
    template, catalog = extract(domain), read(path)  # type: ignore[arg-type]
    assert lacking(catalog, template) == []
    assert {(m.id, m.context) for m in catalog if m.id} == {(m.id, m.context) for m in template if m.id}
    assert [error for _, errors in catalog.check() for error in errors] == []


def test_every_language_but_english_has_a_catalogue() -> None:
    assert {path.parent.parent.name for _, path in CATALOGUES} == set(LANGUAGES) - {"en"}


@pytest.mark.parametrize(
    ("n", "english", "russian"),
    [
        (1, "1 model", "1 модель"),
        (2, "2 models", "2 модели"),
        (5, "5 models", "5 моделей"),
        (11, "11 models", "11 моделей"),
        (21, "21 models", "21 модель"),
        (1234, "1,234 models", "1\u00a0234 модели"),
    ],
)
def test_plural_forms(n: int, english: str, russian: str) -> None:
    assert words_in("en").count("{n} model", "{n} models", n) == english
    assert words_in("ru").count("{n} model", "{n} models", n) == russian


@pytest.mark.parametrize(
    ("n", "russian"),
    [
        (1, "За 1 последний запуск: x."),
        (2, "За 2 последних запуска: x."),
        (5, "За 5 последних запусков: x."),
        (21, "За 21 последний запуск: x."),
    ],
)
def test_plural_forms_of_a_sentence(n: int, russian: str) -> None:
    assert words_in("ru").count("Last {n} run: {counts}.", "Last {n} runs: {counts}.", n, counts="x") == russian


def test_a_value_is_never_read_as_a_template() -> None:
    evil = "{n} {secret} {0.__class__} %s"
    assert words_in("en").say("{who}!", who=evil) == f"{evil}!"
    assert words_in("en").line("It took {span}, {x}.", span=Span(1), x=evil) == ("It took ", Span(1), ", ", evil, ".")


def test_a_language_without_a_catalogue_is_english() -> None:
    assert words_in("tlh") is words_in("en")


def test_lists() -> None:
    assert words_in("en").listed(["a", "b"]) == "a and b"
    assert words_in("ru").listed(["a", "b", "c"]) == "a, b и c"
