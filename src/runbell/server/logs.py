"""Logs: one line per event on stderr, every value masked; tracebacks never print local variables, which hold mails."""

import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from runbell.core.redact import HIDDEN, redact

# Paths of ours whose end lets somebody in, or acts for an address; Django logs the path of every request that it refuses.
_LINK = re.compile(r"(/(?:u/[^/\s]+/\d+|join/\d+|confirm/[^/\s]+|account/email|account/password/reset/key)/)[^/\s]+")


def set_up(level: str) -> None:
    """Once per process, before the first line."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,  # the standard library's form: no locals
            mask,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_masked_record)
    silence()


class _Stderr:
    """A log on a full disk stops nobody. The standard library's handlers are as forgiving."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def silence() -> None:
    """At debug level Django's templates tell of each name that is not there, with the request and all its parameters."""
    logging.getLogger("django.template").setLevel(logging.INFO)


def mask(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: no secret that we can recognise reaches a line."""
    return {name: _masked(value) if isinstance(value, str) else value for name, value in event.items()}


def _masked_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = _masked(record.getMessage()), None
    return True


def _masked(text: str) -> str:
    return _LINK.sub(rf"\1{HIDDEN}", redact(text))
