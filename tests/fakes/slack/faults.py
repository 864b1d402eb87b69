"""What goes wrong on purpose, by method, channel, workspace and order."""

from dataclasses import dataclass, field
from typing import Any, Literal

HTML = "<!DOCTYPE html><html><head><title>Slack: error</title></head><body><h1>Something went wrong on our end.</h1></body></html>"


@dataclass(eq=False)
class Fault:
    """Holds for `times` calls that match (None: until lifted), after the first `skip` of them.

    kinds: refuse (an error word), busy (429), broken (a status and a page), lose (done, and the connection cut), cut (not done, and
    cut), slow (waits, then answers as ever).
    """

    kind: Literal["refuse", "busy", "broken", "lose", "cut", "slow"]
    word: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    status: int = 503
    page: str = HTML
    seconds: float = 0  # to wait, or of Retry-After
    method: str = "chat.postMessage"  # or "" for each; "webhook"
    channel: str = ""
    team: str = ""
    times: int | None = 1
    skip: int = 0

    def lift(self) -> None:
        self.times = 0

    def _is_about(self, method: str, channel: str, team: str) -> bool:
        return self.method in ("", method) and self.channel in ("", channel) and self.team in ("", team)

    def takes(self, method: str, channel: str, team: str) -> bool:
        """Whether it holds for this call; counts it."""
        if self.times == 0 or not self._is_about(method, channel, team):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True
