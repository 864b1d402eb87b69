"""What a person says of themselves: name, language, zone, theme."""

import unicodedata
import zoneinfo
from datetime import datetime
from functools import lru_cache

from django.db import transaction

from runbell.server.db.models import User
from runbell.server.services.sign_ins import record_for_person

REGIONS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@lru_cache(maxsize=1)
def known_zones() -> frozenset[str]:
    """Every zone that can be told the time in, old spellings too: browsers still say Asia/Calcutta."""
    return frozenset(zoneinfo.available_timezones() - {"localtime", "posixrules", "Factory"} | {"UTC"})


@lru_cache(maxsize=1)
def offered_zones() -> tuple[str, ...]:
    """The zones of places, as people look for them."""
    return ("UTC", *sorted(zone for zone in known_zones() if zone.partition("/")[0] in REGIONS))


@transaction.atomic
def save_profile(user: User, *, name: str, language: str, zone: str, theme: str, now: datetime) -> None:
    """Takes values that the form has checked; of two saves at once the later one stands. The theme is nobody else's business."""
    before = _told(user)
    user.name, user.language, user.zone, user.theme = unicodedata.normalize("NFC", name), language, zone, theme
    user.save(update_fields=["name", "language", "zone", "theme"])
    if changed := {field for field, value in _told(user).items() if value != before[field]}:
        was, now_is = ({field: told[field] for field in changed} for told in (before, _told(user)))
        record_for_person(user, "member.profile", now=now, before=was, after=now_is)


def _told(user: User) -> dict[str, str]:
    return {"name": user.name, "language": user.language, "zone": user.zone}


def set_theme(user: User, theme: str) -> None:
    user.theme = theme
    user.save(update_fields=["theme"])
