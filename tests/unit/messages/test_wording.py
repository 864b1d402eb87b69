"""Times as the reader reads them."""

from datetime import UTC, datetime, timedelta

import pytest

from runbell.messages.message import Line, Moment, Reader, Since, Span, Strong
from runbell.messages.wording import plain

NIGHT = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
STOCKHOLM = Reader("en", "Europe/Stockholm")
MOSCOW = Reader("ru", "Europe/Moscow")
NEW_YORK = Reader("en", "America/New_York")


def said(line: Line, reader: Reader = STOCKHOLM) -> str:
    return plain(line, reader).replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("seconds", "english", "russian"),
    [
        (0, "0.1 s", "0,1 с"),
        (-3, "0.1 s", "0,1 с"),
        (0.44, "0.4 s", "0,4 с"),
        (0.96, "1 s", "1 с"),
        (21, "21 s", "21 с"),
        (59.6, "1 min", "1 мин"),
        (724, "12 min 4 s", "12 мин 4 с"),
        (3599.7, "1 h", "1 ч"),
        (6900, "1 h 55 min", "1 ч 55 мин"),
        (93_600, "26 h", "26 ч"),
        (172_800, "48 h", "48 ч"),
        (3 * 86_400, "3 d", "3 дн"),
        (400_000, "4 d 15 h", "4 дн 15 ч"),
    ],
)
def test_spans(seconds: float, english: str, russian: str) -> None:
    assert said((Span(seconds),)) == english
    assert said((Span(seconds),), MOSCOW) == russian


@pytest.mark.parametrize(
    ("seconds", "rough"),
    [
        (8, "8 s"),
        (59, "59 s"),
        (59.7, "1 min"),
        (180, "3 min"),
        (215, "4 min"),
        (4_000, "67 min"),
        (5_400, "2 h"),
        (93_500, "26 h"),
        (500_000, "6 d"),
    ],
)
def test_rough_spans_have_one_unit(seconds: float, rough: str) -> None:
    assert said((Span(seconds, is_rough=True),)) == rough


def test_a_number_and_its_unit_hold_together() -> None:
    assert plain((Span(724),), STOCKHOLM) == "12\u00a0min\u00a04\u00a0s"


def test_moments_are_the_readers() -> None:
    assert said((Moment(NIGHT),)) == "Tue 24 Nov, 02:00:00"
    assert said((Moment(NIGHT),), NEW_YORK) == "Mon 23 Nov, 20:00:00"
    assert said((Moment(NIGHT),), MOSCOW) == "вт, 24 нояб., 04:00:00"
    assert said((Moment(NIGHT, is_short=True),)) == "24 Nov 02:00"
    assert said((Moment(NIGHT, is_short=True),), MOSCOW) == "24 нояб., 04:00"


def test_a_day_just_said_is_left_out() -> None:
    later = NIGHT + timedelta(hours=3, minutes=30)
    assert said((Moment(later, near=NIGHT),)) == "05:30:00"
    assert said((Moment(later, near=NIGHT),), NEW_YORK) == "23:30:00"
    next_day = NIGHT + timedelta(hours=4, minutes=30)
    assert said((Moment(next_day, near=NIGHT),)) == "06:30:00"
    assert said((Moment(next_day, near=NIGHT),), NEW_YORK) == "Tue 24 Nov, 00:30:00"


def test_winter_time() -> None:
    assert said((Moment(datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),)) == "Sun 25 Oct, 02:30:00"
    assert said((Moment(datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),)) == "Sun 25 Oct, 02:30:00"
    assert said((Moment(datetime(2026, 7, 1, 0, 0, tzinfo=UTC)),)) == "Wed 1 Jul, 02:00:00"


@pytest.mark.parametrize(
    ("days", "english", "russian"),
    [
        (1, "since Monday", "с понедельника"),
        (2, "since Sunday", "с воскресенья"),
        (5, "since Thursday", "с четверга"),
        (6, "since Wednesday", "со среды"),
        (7, "since 17 November", "с 17 ноября"),
        (22, "since 2 November", "со 2 ноября"),
    ],
)
def test_since(days: int, english: str, russian: str) -> None:
    piece = Since(NIGHT - timedelta(days=days), NIGHT)
    assert said((piece,)) == english
    assert said((piece,), MOSCOW) == russian


def test_strong_words_are_words() -> None:
    assert said(("It took ", Strong((Span(60), " longer")), ".")) == "It took 1 min longer."
