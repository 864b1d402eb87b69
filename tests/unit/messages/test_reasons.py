"""No reason reaches a person as a code."""

import re
from pathlib import Path

import pytest

import runbell
from runbell.channels import dbt_api, slack_errors, smtp_verdicts
from runbell.core import artifacts, outcomes
from runbell.core.because import Because
from runbell.core.rules import Scope
from runbell.messages.reasons import CODES, footer, rang, reason
from runbell.messages.words import LANGUAGES, words_in

SOURCE = Path(runbell.__file__).parent
LITERAL = re.compile(r'(?:Because|because)\(\s*"([a-z_]+)"')
PREFIXES = {"chose_": [f"chose_{scope}" for scope in Scope]}  # core.rules builds these two

PARAMS = {
    "outcome": "failed",
    "outcomes": ["warned", "failed"],
    "set_by": "Ada Lindqvist",
    "by": "Ada Lindqvist",
    "address": "bob@acme.example",
    "environment": "Production",
    "signal": 15,
    "exit_code": 2,
    "step": 1,
    "code": 550,
    "enhanced": "5.1.1",
    "text": "no such user",
    "what": "jobs",
    "account": "12345",
    "event": "job.run.paused",
    "who": "Ada Lindqvist",
    "at": "2026-11-23T18:04:00+00:00",
    "workspace": "Acme HQ",
    "last": {"code": "smtp_later", "params": {"code": 451, "text": "greylisted"}},
}


def codes_in_sources() -> set[str]:
    found = {code for path in SOURCE.rglob("*.py") for code in LITERAL.findall(path.read_text())}
    return {code for literal in found for code in PREFIXES.get(literal, [literal])}


KNOWN = (
    codes_in_sources()
    | set(outcomes.CODES)
    | set(artifacts.CODES)
    | set(smtp_verdicts.CODES)
    | set(slack_errors.CODES)
    | set(dbt_api.CODES)
)


def test_every_code_has_its_sentence() -> None:
    assert len(KNOWN) > 30
    assert KNOWN - set(CODES) == set()


def test_no_sentence_is_left_over() -> None:
    told_by_services = {"test_asked"}  # a purpose of delivery that the settings page sets
    assert set(CODES) - KNOWN <= told_by_services


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", CODES)
def test_every_sentence_is_one(code: str, language: str) -> None:
    for params in (PARAMS, {}) if code.startswith(("smtp_", "slack_")) else (PARAMS,):
        sentence = reason(Because(code, params), language)
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert not re.search(r"[{}_]|\bNone\b|  | \.", sentence)
        assert language == "en" or re.search("[а-яё]", sentence)


@pytest.mark.parametrize("code", CODES)
def test_a_sentence_comes_even_without_its_parameters(code: str) -> None:
    assert reason(Because(code), "en").endswith(".")


@pytest.mark.parametrize(
    ("because", "english", "russian"),
    [
        (
            Because("chose_environment", {"outcome": "failed", "set_by": "Ada", "environment": "Production"}),
            "Fails is set for all jobs of Production, by Ada.",
            "Для всех заданий среды Production выбрано «Сбой». Кто выбрал: Ada.",
        ),
        (Because("chose_job", {"outcome": "warned"}), "Warns is set for this job.", "Для этого задания выбрано «Предупреждения»."),
        (
            Because("chose_others", {"outcomes": ["succeeded", "warned"]}),
            "Chose only Succeeds and Warns for this job.",
            "Для этого задания выбрано только: Успешно и Предупреждения.",
        ),
        (
            Because("smtp_address_unknown", {"code": 550, "enhanced": "5.1.1", "text": "no such user"}),
            "There is no such address: 550 5.1.1 “no such user”.",
            "Такого адреса нет: 550 5.1.1 «no such user».",
        ),
        (
            Because("tries_used_up", {"last": {"code": "smtp_no_answer"}}),
            "Given up after the last try. The mail server did not answer in time.",
            "Попытки исчерпаны. Почтовый сервер не ответил вовремя.",
        ),
        (
            Because("killed", {"signal": 9}),
            "Killed by signal 9, possibly out of memory.",
            "Процесс завершён сигналом 9, возможно, из-за нехватки памяти.",
        ),
        (Because("killed", {"signal": 11}), "Killed by SIGSEGV.", "Процесс завершён сигналом SIGSEGV."),
        (Because("killed", {"signal": 63}), "Killed by 63.", "Процесс завершён сигналом 63."),
    ],
)
def test_wordings(because: Because, english: str, russian: str) -> None:
    assert reason(because, "en") == english
    assert reason(because, "ru") == russian


def test_a_code_of_an_older_version_is_shown_as_it_is() -> None:
    assert reason(Because("moved_to_mars"), "ru") == "moved to mars"


def test_what_comes_from_outside_cannot_break_a_line() -> None:
    evil = Because("smtp_later", {"text": "a\r\nBcc: eve@evil.test\x00{n}" + "x" * 500})
    sentence = reason(evil, "en")
    assert "\n" not in sentence
    assert len(sentence) < 300
    assert "{n}" in sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_footers_name_the_address(language: str) -> None:
    for code in ("chose_job", "chose_environment", "test_asked", "is_admin", "no_trouble"):
        assert "ada@acme.test" in footer(Because(code, PARAMS), "ada@acme.test", language)


def test_the_footer_says_which_rule() -> None:
    because = Because("chose_environment", {"outcome": "failed", "environment": "Production"})
    assert footer(because, "ada@acme.test", "en") == "You get this because Fails is set for all jobs of Production for ada@acme.test."
    assert words_in("ru").say("this job") in footer(Because("chose_job", {"outcome": "failed"}), "ada@acme.test", "ru")


def test_why_a_mail_was_sent_is_told_without_who_set_it() -> None:
    params = {"outcome": "failed", "environment": "Production", "set_by": "Ada"}
    assert rang(Because("chose_environment", params), "en") == "Sent because Fails was set for all jobs of Production."
    assert rang(Because("chose_job", params), "ru") == "Отправлено, потому что для этого задания было выбрано «Сбой»."
