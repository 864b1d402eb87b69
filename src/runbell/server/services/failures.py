"""How often an address may guess: wrong tokens, links that we did not make. Only what is wrong counts and only what is wrong is refused:
one guesser behind a shared address keeps nobody there from what is right.

Counted in the memory of this process, since a flood of guesses must not become a flood of writes, and for so many addresses alone.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock

from runbell.server.services.limits import TooMany

WINDOW = 60  # seconds
MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Count:
    window: int
    failures: int = 0


class Failures:
    """What went wrong within a minute, address by address."""

    def __init__(self, limit: int, most_addresses: int = MOST_ADDRESSES) -> None:
        self._limit, self._most = limit, most_addresses
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, address: str, *, now: datetime) -> None:
        """One more. Raises `TooMany` when that is over the limit."""
        second = int(now.timestamp())
        window, key = second // WINDOW, _network(address)
        with self._lock:
            found = self._counts.pop(key, None)
            if found is None or found.window != window:
                found = _Count(window)
            found.failures += 1
            self._counts[key] = found  # the last one is the youngest
            while len(self._counts) > self._most:
                self._counts.popitem(last=False)
        if found.failures > self._limit:
            raise TooMany("failures", WINDOW - second % WINDOW)

    def forget(self) -> None:
        with self._lock:
            self._counts.clear()


def _network(address: str) -> str:
    """One customer has a whole /64 of IPv6."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else address


BAD_TOKENS = Failures(60)
BAD_LINKS = Failures(60)
