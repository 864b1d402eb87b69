"""Artifacts that are kept with a run: which, and made fit to be stored and shown."""

import json
import re

from runbell.core.because import Because
from runbell.core.redact import HIDDEN, redact, without_colours

LOG = "dbt.log"
KEPT = ("manifest.json", "run_results.json", "sources.json", "catalog.json", LOG)
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_VALUE = re.compile(rf"(?:({_STRING})(\s*+:\s*+))?({_STRING})")
"""A string, with its name in front where it has one. In whole JSON a quote begins nothing but a string, so none is met half way."""
_SHORT = 200  # characters; shorter strings come again and again, and are masked once


def cleaned(name: str, data: bytes) -> bytes | Because:
    """The file as it may be stored: every secret we can recognise is masked, all else as it was. Else why not, a code of core.artifacts."""
    if name == LOG:
        return redact(without_colours(data.decode("utf-8", "replace"))).encode()
    try:
        text = data.decode("utf-8-sig")
        json.loads(
            text, object_pairs_hook=lambda pairs: None
        )  # forgets what it has read, or a large manifest would take ten times its size
    except UnicodeDecodeError:
        return Because("artifact_not_text")
    except (ValueError, RecursionError):
        return Because("artifact_not_json")
    return _Mask().json(text).encode("utf-8", "replace")


class _Mask:
    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._names: dict[str, bool] = {}

    def json(self, text: str) -> str:
        """String by string: a mask over the whole text could run across the end of one."""
        return _VALUE.sub(self._value, text)

    def _value(self, match: re.Match[str]) -> str:
        name, between, value = match.groups()
        if name is None:
            return self._masked(value)
        if name not in self._names:
            self._names[name] = _is_secret(name)
        return f"{self._masked(name)}{between}{json.dumps(HIDDEN) if self._names[name] else self._masked(value)}"

    def _masked(self, literal: str) -> str:
        known = self._known.get(literal)
        if known is None:
            known = _masked(literal)
            if len(literal) < _SHORT:
                self._known[literal] = known
        return known


def _masked(literal: str) -> str:
    text = _read(literal)
    safe = redact(without_colours(text))
    return literal if safe == text else json.dumps(safe, ensure_ascii=False)


def _is_secret(name: str) -> bool:
    said = f'{_read(name)}="x"'
    return redact(said) != said


def _read(literal: str) -> str:
    return str(json.loads(literal, strict=False)) if "\\" in literal else literal[1:-1]
