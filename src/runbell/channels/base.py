"""What every channel is. Adding one: its file, one line in registry.py, golden files, a how-to page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from runbell.core.because import Because
from runbell.core.deliveries import Verdict
from runbell.messages.message import Message, Reader


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of a destination; builds the form and the API."""

    name: str
    label: str
    help: str = ""
    is_secret: bool = False
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Transport:
    """How this server sends: the mail relay's address (with its secret), who it sends as, where its pages are, where Slack's API is."""

    url: str = field(repr=False)
    sender: str
    public_url: str
    timeout: float = 30.0
    slack_api_url: str = "https://slack.com/api/"


@dataclass(frozen=True, slots=True)
class Recipient:
    """The lines of a message that are one recipient's own; spliced into the shared rendering.

    An empty URL leaves its line out. `thread` names what belongs together for this recipient, one per job: letters, digits, dots
    and dashes. `is_late`: more than 15 minutes after the run ended. `is_outside`: no member of the account, often a machine.
    """

    address: str
    because: Because
    why_url: str
    settings_url: str
    unsubscribe_url: str
    thread: str
    sent_at: datetime
    is_test: bool = False
    is_late: bool = False
    is_outside: bool = False


class Connection(Protocol):
    """An open way out, used by one lane at a time."""

    def send(self, settings: Mapping[str, Any], payload: bytes, key: str) -> Verdict:
        """One try. Expected trouble is a verdict; an exception is a bug. The same `key` means the same message.

        `payload` is what `Channel.address` made; for e-mail a whole message with CRLF line ends.
        """

    def close(self) -> None: ...


Rendering = Any
"""The shared part of a message: a channel's own, which only its `address` reads."""


class Channel(Protocol):
    kind: str
    label: str
    fields: tuple[Field, ...]
    pace: timedelta  # between two messages to one destination
    is_room: bool  # read by people of the account together, who have our pages; else a member's own, or somebody's outside

    def clean(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a destination from what a person typed. Raises `BadField` naming the field."""

    def describe(self, settings: Mapping[str, Any]) -> str:
        """A name people recognise, without secrets."""

    def page(self, destination_id: int, address_key: str) -> str:
        """Where its boxes are set: path and query below the account's."""

    def render(self, message: Message, reader: Reader, transport: Transport) -> Rendering:
        """The shared part of a message, encoded. Pure; worth caching by (message, language, zone)."""

    def address(self, rendered: Rendering, recipient: Recipient, key: str) -> bytes:
        """The rendering with one recipient's own lines. Pure and cheap."""

    def connect(self, transport: Transport) -> Connection:
        """A connection that is opened at the first send and kept."""
