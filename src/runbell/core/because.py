"""The reason for a decision, as a code with parameters; `messages.reasons` holds the sentence for each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Because:
    """Why something was decided. `params` hold JSON values only: a Because is stored and worded later, in the reader's language."""

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "params": dict(self.params)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Because":
        return cls(stored["code"], stored.get("params") or {})
