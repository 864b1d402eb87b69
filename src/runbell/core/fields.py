"""Reads untrusted JSON field by field; every complaint names the field it is about."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

Word = TypeVar("Word", bound=StrEnum)
Item = TypeVar("Item")

MAX_INTEGER = 2**53 - 1  # what every JSON reader keeps exact
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL takes neither NUL nor lone surrogates


class BadField(ValueError):
    """A value that cannot be taken. `field` is the path a caller knows, like `steps[0].exit_code`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class Fields:
    """One JSON object and the path that leads to it. Unknown keys are ignored, so older servers take newer reports."""

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, Mapping):
            raise BadField(path or "body", "must be a JSON object")
        self.value: Mapping[str, Any] = value
        self.path = path

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        return self.value.get(name) is not None

    def required(self, name: str) -> Any:
        if not self.has(name):
            raise BadField(self.at(name), "is required")
        return self.value[name]

    def text(self, name: str, *, limit: int) -> str:
        """Free text, cut at `limit` characters; empty when absent."""
        if not self.has(name):
            return ""
        value = self.value[name]
        if not isinstance(value, str):
            raise BadField(self.at(name), "must be text")
        return storable(value)[:limit]

    def name(self, name: str, *, limit: int) -> str:
        """A name: required, NFC, stripped, on one line, never cut."""
        value = self.required(name)
        if not isinstance(value, str):
            raise BadField(self.at(name), "must be text")
        value = unicodedata.normalize("NFC", value).strip()
        if not value:
            raise BadField(self.at(name), "must not be empty")
        if len(value) > limit:
            raise BadField(self.at(name), f"must have at most {limit} characters, has {len(value)}")
        if CONTROL.search(value) or UNSTORABLE.search(value):
            raise BadField(self.at(name), "must not contain line breaks or control characters")
        return value

    def integer(self, name: str, *, low: int, high: int = MAX_INTEGER) -> int | None:
        if not self.has(name):
            return None
        value = self.value[name]
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadField(self.at(name), "must be a whole number")
        if not low <= value <= high:
            raise BadField(self.at(name), f"must be between {low} and {high}")
        return value

    def flag(self, name: str) -> bool | None:
        if not self.has(name):
            return None
        value = self.value[name]
        if not isinstance(value, bool):
            raise BadField(self.at(name), "must be true or false")
        return value

    def seconds(self, name: str) -> float | None:
        """A length of time, whole or broken; NaN and infinities are refused by the range."""
        if not self.has(name):
            return None
        value = self.value[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_INTEGER:
            raise BadField(self.at(name), "must be a number of seconds, 0 or more")
        return float(value)

    def moment(self, name: str) -> datetime | None:
        """An RFC 3339 time with a zone, as UTC."""
        if not self.has(name):
            return None
        value = self.value[name]
        if not isinstance(value, str):
            raise BadField(self.at(name), "must be text like 2026-11-24T02:00:00Z")
        try:
            moment = datetime.fromisoformat(value)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment
        except (ValueError, OverflowError):
            raise BadField(self.at(name), "must be a time like 2026-11-24T02:00:00Z") from None
        if moment.tzinfo is None:
            raise BadField(self.at(name), "must carry a zone, like 2026-11-24T02:00:00Z")
        return moment

    def word(self, name: str, words: type[Word]) -> Word | None:
        if not self.has(name):
            return None
        try:
            return words(self.value[name])
        except ValueError:
            raise BadField(self.at(name), "must be one of " + ", ".join(words)) from None

    def nested(self, name: str) -> "Fields":
        """An object; an absent one reads as empty."""
        return Fields(self.value[name] if self.has(name) else {}, self.at(name))

    def items(self, name: str, read: Callable[[object, str], Item], *, limit: int) -> tuple[Item, ...]:
        if not self.has(name):
            return ()
        value = self.value[name]
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise BadField(self.at(name), "must be a list")
        if len(value) > limit:
            raise BadField(self.at(name), f"must have at most {limit} entries, has {len(value)}")
        return tuple(read(item, f"{self.at(name)}[{i}]") for i, item in enumerate(value))


def storable(text: str) -> str:
    """The same text without the characters that no database column takes."""
    return text if text.isascii() and "\0" not in text else UNSTORABLE.sub("\ufffd", text)


def trim_name(value: str, limit: int) -> str:
    """A name that `Fields.name` takes, made from any text: what the command line does instead of refusing."""
    value = CONTROL.sub(" ", unicodedata.normalize("NFC", storable(value)))
    return " ".join(value.split())[:limit].strip()
