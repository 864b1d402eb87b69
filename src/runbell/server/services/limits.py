"""How often something may be done: counted for all processes together, in the cache, whose table is in the database."""

from datetime import datetime

from django.core.cache import cache


class TooMany(RuntimeError):
    """More than this within the time is refused, and nothing was done. `retry_after` in seconds."""

    def __init__(self, name: str, retry_after: int) -> None:
        super().__init__(name)
        self.retry_after = retry_after


def take(name: str, limit: int, *, now: datetime, seconds: int = 60) -> None:
    """Counts one more in the present window. Raises `TooMany`. Two at the same instant may count as one: a limit, not a ledger."""
    key = f"runbell.limit:{name}:{int(now.timestamp()) // seconds}"
    count = cache.get(key, 0) + 1
    if count > limit:
        raise TooMany(name, seconds - int(now.timestamp()) % seconds)
    cache.set(key, count, seconds)
