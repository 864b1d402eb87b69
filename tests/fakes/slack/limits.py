"""How often Slack lets one call: https://docs.slack.dev/apis/web-api/rate-limits. Times are divided by `scale`; Retry-After is not."""

from collections import defaultdict, deque
from math import ceil

PER_MINUTE = {
    "conversations.list": 20,
    "conversations.info": 50,
    "users.info": 100,
    "team.info": 50,
    "chat.update": 50,
    "auth.revoke": 50,
    "oauth.v2.access": 100,
}
GAP = 1.0  # seconds between two posts in one channel
GRACE = 0.9  # of the gap: a network is not a clock


class Limits:
    def __init__(self, scale: float) -> None:
        self.scale = scale
        self._posted: dict[str, float] = {}
        self._called: dict[tuple[str, str], deque[float]] = defaultdict(deque)

    def post(self, channel: str, now: float) -> int:
        """0 when one may post here now, else Retry-After."""
        since = (now - self._posted.get(channel, float("-inf"))) * self.scale
        if since < GAP * GRACE:
            return ceil(GAP - since)
        self._posted[channel] = now
        return 0

    def call(self, method: str, team: str, now: float) -> int:
        """0 when this method may be called for this workspace now, else Retry-After."""
        if method not in PER_MINUTE:
            return 0
        called = self._called[method, team]
        while called and (now - called[0]) * self.scale >= 60:
            called.popleft()
        if len(called) >= PER_MINUTE[method]:
            return ceil(60 - (now - called[0]) * self.scale)
        called.append(now)
        return 0
