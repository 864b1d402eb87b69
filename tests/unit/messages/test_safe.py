"""Whatever comes from outside fits its place."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbell.messages.safe import isolated, many_lines, one_line
from tests.hostile import HOSTILE


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_one_line_is_one_line(text: str) -> None:
    line = one_line(text, 200)
    assert len(line) <= 200
    assert line == line.strip()
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in line)
    line.encode()


@given(st.text(), st.integers(1, 50))
def test_never_longer_than_its_place(text: str, limit: int) -> None:
    assert len(one_line(text, limit)) <= limit
    assert len(many_lines(text, limit)) <= limit
    assert "\x00" not in one_line(text, limit) + many_lines(text, limit)


def test_a_cut_is_seen() -> None:
    assert one_line("abcdef", 4) == "abc…"
    assert one_line("ab  cdef", 4) == "ab…"
    assert many_lines("abc\ndef", 5) == "abc…"


def test_lines_and_their_indents_stay() -> None:
    assert many_lines("\n\na\r\n  b\r\tc\n", 100) == "a\n  b\n    c"


def test_only_what_reads_from_right_to_left_is_isolated() -> None:
    assert isolated("nightly build · é") == "nightly build · é"
    assert isolated("שלום") == "\u2068שלום\u2069"
    assert isolated("مرحبا 1") == "\u2068مرحبا 1\u2069"


def test_nothing_reorders_what_follows() -> None:
    assert one_line("\u202egnp.exe\u202c \u2066a\u2069") == "gnp.exe a"
