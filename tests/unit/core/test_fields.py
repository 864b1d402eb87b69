"""Untrusted JSON, field by field: every complaint names the field."""

import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbell.core.fields import MAX_INTEGER, BadField, Fields, storable, trim_name

TWO = datetime(2026, 11, 24, 2, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def complaint(reader: str, value: object, **limits: Any) -> str:
    """What is said about this value in the field `a[3].x`."""
    with pytest.raises(BadField) as caught:
        getattr(Fields({"x": value}, "a[3]"), reader)("x", **limits)
    assert caught.value.field == "a[3].x"
    assert str(caught.value) == f"a[3].x: {caught.value.message}"
    return caught.value.message


@pytest.mark.parametrize(
    ("value", "path", "field"), [([], "", "body"), (None, "", "body"), ("{}", "job", "job"), (7, "steps[0]", "steps[0]")]
)
def test_only_objects_have_fields(value: object, path: str, field: str) -> None:
    with pytest.raises(BadField, match="must be a JSON object") as caught:
        Fields(value, path)
    assert caught.value.field == field


def test_null_is_absent() -> None:
    fields = Fields({"x": None})
    assert not fields.has("x")
    assert fields.text("x", limit=5) == ""
    assert (fields.integer("x", low=0), fields.seconds("x"), fields.moment("x"), fields.word("x", Colour)) == (None, None, None, None)
    assert fields.nested("x").value == {}
    assert fields.items("x", lambda raw, _: raw, limit=1) == ()
    with pytest.raises(BadField, match="x: is required"):
        fields.name("x", limit=5)


def test_text_is_cut_and_storable() -> None:
    assert Fields({"x": "abc\x00def\ud800"}).text("x", limit=5) == "abc\ufffdd"
    assert complaint("text", 5, limit=5) == "must be text"


@pytest.mark.parametrize(
    ("value", "name"),
    [("  nightly\t", "nightly"), ("re\u0301sume\u0301", "résumé"), ("🦆 ночь", "🦆 ночь"), ("<b>!channel</b>", "<b>!channel</b>")],
)
def test_names_are_stripped_and_composed(value: str, name: str) -> None:
    assert Fields({"x": value}).name("x", limit=20) == name


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, "must be text"),
        (["a"], "must be text"),
        ("", "must not be empty"),
        (" \n ", "must not be empty"),
        ("a" * 21, "must have at most 20 characters, has 21"),
        ("a\nb", "must not contain line breaks or control characters"),
        ("a\x85b", "must not contain line breaks or control characters"),
        ("a\u2028b", "must not contain line breaks or control characters"),
        ("a\ud83d", "must not contain line breaks or control characters"),
    ],
)
def test_bad_names(value: object, message: str) -> None:
    assert complaint("name", value, limit=20) == message


def test_whole_numbers() -> None:
    assert Fields({"x": 0}).integer("x", low=0) == 0
    assert Fields({"x": MAX_INTEGER}).integer("x", low=0) == MAX_INTEGER
    no_numbers: tuple[object, ...] = (True, 1.0, "1", [], 1.5)
    for value in no_numbers:
        assert complaint("integer", value, low=0) == "must be a whole number"
    for number in (0, 11, 10**400):
        assert complaint("integer", number, low=1, high=10) == "must be between 1 and 10"


def test_seconds() -> None:
    assert Fields({"x": 3}).seconds("x") == 3.0
    assert Fields({"x": 0.25}).seconds("x") == 0.25
    wrong: tuple[object, ...] = (True, "3", -0.1, math.nan, math.inf, 10**400, {})
    for value in wrong:
        assert complaint("seconds", value) == "must be a number of seconds, 0 or more"


@pytest.mark.parametrize("value", ["2026-11-24T02:00:00Z", "2026-11-24T05:00:00+03:00", "2026-11-24 02:00:00.000000000Z"])
def test_moments_are_utc(value: str) -> None:
    moment = Fields({"x": value}).moment("x")
    assert moment == TWO
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1_790_000_000, "must be text like 2026-11-24T02:00:00Z"),
        ("yesterday", "must be a time like 2026-11-24T02:00:00Z"),
        ("", "must be a time like 2026-11-24T02:00:00Z"),
        ("2026-02-30T00:00:00Z", "must be a time like 2026-11-24T02:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "must be a time like 2026-11-24T02:00:00Z"),
        ("9999-12-31T23:59:59-14:00", "must be a time like 2026-11-24T02:00:00Z"),
        ("2026-11-24T02:00:00", "must carry a zone, like 2026-11-24T02:00:00Z"),
        ("2026-11-24", "must carry a zone, like 2026-11-24T02:00:00Z"),
    ],
)
def test_bad_moments(value: object, message: str) -> None:
    assert complaint("moment", value) == message


def test_words() -> None:
    assert Fields({"x": "red"}).word("x", Colour) is Colour.RED
    wrong: tuple[object, ...] = ("Red", "", 7, ["red"], {}, True)
    for value in wrong:
        assert complaint("word", value, words=Colour) == "must be one of red, blue"


def test_nested_and_items_lead_on() -> None:
    assert Fields({"a": {"b": 1}}).nested("a").at("b") == "a.b"
    assert Fields({"a": [7, 8]}).items("a", lambda raw, path: (raw, path), limit=2) == ((7, "a[0]"), (8, "a[1]"))
    no_lists: tuple[object, ...] = ("ab", {}, 7)
    for value in no_lists:
        assert complaint("items", value, read=lambda raw, _: raw, limit=9) == "must be a list"
    assert complaint("items", [1, 2], read=lambda raw, _: raw, limit=1) == "must have at most 1 entries, has 2"


@given(st.text(max_size=60), st.integers(1, 40))
def test_a_trimmed_name_is_taken(value: str, limit: int) -> None:
    name = trim_name(value, limit)
    assert trim_name(name, limit) == name
    if name:
        assert Fields({"x": name}).name("x", limit=limit) == name


def test_what_trimming_does() -> None:
    assert trim_name("  nightly\n build\x00 " + "x" * 9, 15) == "nightly build\ufffd"
    assert trim_name(" \n\t", 9) == ""
    assert storable("a\x00\udfff\nb") == "a\ufffd\ufffd\nb"
