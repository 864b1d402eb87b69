"""What saving boxes needs of whom they are for: each kind of destination answers for itself who may save and what is held meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from runbell.core.because import Because
from runbell.server.db.models import Destination
from runbell.server.services.access import Actor


@dataclass(frozen=True, slots=True)
class Held:
    """The destination, held until the transaction ends. `before` and `after`: what the save changes of it beside boxes, for the audit log."""

    destination: Destination
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


class Target(Protocol):
    """`destination` is None as long as nothing was saved: the first save makes it."""

    @property
    def destination(self) -> Destination | None: ...

    @property
    def key(self) -> str:
        """As in the query string of a page."""

    @property
    def address(self) -> str:
        """As people know it."""

    @property
    def subject(self) -> str:
        """As the audit log names it: the same for ever, and for no other one in the account."""

    @property
    def revision(self) -> int: ...

    @property
    def silent(self) -> Because | None:
        """Why nothing goes there now, though rules may say so."""

    def stored(self, actor: Actor) -> Destination | None:
        """The destination as it is now."""

    def require_save(self, actor: Actor) -> None:
        """Raises `NotAllowed`, or why this actor cannot save now."""

    def hold(self, *, actor: Actor, now: datetime) -> Held:
        """Call it in a transaction. Raises `NotThere` for one removed meanwhile."""
