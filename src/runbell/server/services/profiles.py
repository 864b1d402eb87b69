"""What a person says of themselves: name, language, zone, theme."""

import unicodedata
import zoneinfo
from functools import lru_cache

from runbell.server.db.models import User

REGIONS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@lru_cache(maxsize=1)
def known_zones() -> frozenset[str]:
    """Every zone that can be told the time in, old spellings too: browsers still say Asia/Calcutta."""
    return frozenset(zoneinfo.available_timezones() - {"localtime", "posixrules", "Factory"} | {"UTC"})


@lru_cache(maxsize=1)
def offered_zones() -> tuple[str, ...]:
    """The zones of places, as people look for them."""
    return ("UTC", *sorted(zone for zone in known_zones() if zone.partition("/")[0] in REGIONS))


def save_profile(user: User, *, name: str, language: str, zone: str, theme: str) -> None:
    """Takes values that the form has checked; of two saves at once the later one stands."""
    user.name, user.language, user.zone, user.theme = unicodedata.normalize("NFC", name), language, zone, theme
    user.save(update_fields=["name", "language", "zone", "theme"])


def set_theme(user: User, theme: str) -> None:
    user.theme = theme
    user.save(update_fields=["theme"])
