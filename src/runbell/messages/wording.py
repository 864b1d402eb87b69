"""Times and lengths of time as the reader reads them: language, zone and order of words come from here."""

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel.dates import format_date

from runbell.messages.message import Line, Moment, Piece, Reader, Since, Span, Strong
from runbell.messages.words import Words, words_in

NBSP = "\u00a0"
MINUTE, HOUR, DAY = 60, 3_600, 86_400
_CLOCK = re.compile("HH:mm(:ss)?")
HOURS_UP_TO = 3 * DAY  # “26 h” is how people say the age of data; “5 d” is how they say more


def plain(line: Line, reader: Reader) -> str:
    """A line as text. Numbers and their units hold together by no-break spaces."""
    return "".join(piece_text(piece, reader) for piece in line)


def piece_text(piece: Piece, reader: Reader) -> str:
    match piece:
        case str():
            return piece
        case Span():
            return span(piece, words_in(reader.language))
        case Moment():
            return moment(piece, reader)
        case Since():
            return since(piece, reader)
        case Strong():
            return plain(piece.line, reader)


def span(length: Span, words: Words) -> str:
    """“12 min 4 s”: two units at most, one when rough, and a tenth of a second only where there is nothing more."""
    seconds = max(length.seconds, 0.0)
    if seconds < 0.95:
        return _unit(1, max(round(seconds, 1), 0.1), words)
    units = _rough(seconds) if length.is_rough else _exact(seconds)
    return NBSP.join(_unit(size, n, words) for size, n in units if n or len(units) == 1)


def _exact(seconds: float) -> list[tuple[int, int]]:
    whole = round(seconds)
    if whole < MINUTE:
        return [(1, whole)]
    if whole < HOUR:
        return [(MINUTE, whole // MINUTE), (1, whole % MINUTE)]
    minutes = round(whole / MINUTE)
    if whole < HOURS_UP_TO:
        return [(HOUR, minutes // 60), (MINUTE, minutes % 60)]
    hours = round(whole / HOUR)
    return [(DAY, hours // 24), (HOUR, hours % 24)]


def _rough(seconds: float) -> list[tuple[int, int]]:
    for size, up_to in ((1, MINUTE), (MINUTE, 1.5 * HOUR), (HOUR, HOURS_UP_TO)):
        if round(seconds / size) * size < up_to:
            return [(size, round(seconds / size))]
    return [(DAY, round(seconds / DAY))]


@lru_cache(maxsize=1024)
def _unit(size: int, n: float, words: Words) -> str:
    number = words.number(n)
    match size:
        case 1:
            said = words.say("{n} s", n=number)
        case 60:
            said = words.say("{n} min", n=number)
        case 3_600:
            said = words.say("{n} h", n=number)
        case _:
            said = words.say("{n} d", n=number)
    return said.replace(" ", NBSP)


def moment(point: Moment, reader: Reader) -> str:
    words = words_in(reader.language)
    here = local(point.at, reader)
    if point.near and local(point.near, reader).date() == here.date():
        return _format(here, words.say("HH:mm:ss"), words)
    return _format(here, words.say("d MMM HH:mm") if point.is_short else words.say("EEE d MMM, HH:mm:ss"), words)


def since(point: Since, reader: Reader) -> str:
    """The weekday alone is clear for six days back; before that it takes a date."""
    words = words_in(reader.language)
    here, now = local(point.at, reader), local(point.until, reader)
    if now.date() - here.date() < timedelta(days=7):
        return words.say(_SINCE[here.weekday()])
    day = _format(here, words.say("d MMMM"), words)
    if here.day == 2:  # Russian says “со второго”
        return words.say_of("the second of a month", "since {day}").format(day=day)
    return words.say("since {day}", day=day)


def say(text: str) -> str:
    """Marks words for the catalogue that are looked up later."""
    return text


_SINCE = (
    say("since Monday"),
    say("since Tuesday"),
    say("since Wednesday"),
    say("since Thursday"),
    say("since Friday"),
    say("since Saturday"),
    say("since Sunday"),
)


def local(at: datetime, reader: Reader) -> datetime:
    return at.astimezone(_zone(reader.zone))


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _format(at: datetime, pattern: str, words: Words) -> str:
    """Babel takes its time, so a day is worded once; the hour reads the same in every language."""
    said, iso = _day(at.date(), pattern, words), at.isoformat()
    return said.replace("HH:mm:ss", iso[11:19]).replace("HH:mm", iso[11:16])


@lru_cache(maxsize=256)
def _day(day: date, pattern: str, words: Words) -> str:
    """A pattern with all in words but the clock. (A babel.Locale as a key would be hashed anew each time.)"""
    return str(format_date(day, _CLOCK.sub(r"'\g<0>'", pattern), words.locale))
