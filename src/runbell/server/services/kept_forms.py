"""A form that was sent after its session had ended, kept until the same member has signed in again.

    page with a form: `pledge` ──▶ session ends ──▶ form is sent: `keep` ──▶ sign-in ──▶ page: `take`

The form carries whose it is, signed, so that nobody else who signs in on that browser gets it, nor the same person in another account.
It waits in the session of the browser that sent it, encrypted, since anybody may read the database's backups; never for longer than a day.
"""

from collections.abc import MutableMapping
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import InvalidToken
from django.core import signing
from django.http import QueryDict

from runbell.server.db.fields import decrypt, encrypt
from runbell.server.services.access import Actor

FIELD = "keep"
FOR = timedelta(days=1)
LARGEST = 200_000  # characters; a plain form has 1,000 fields at most
_KEY, _SALT = "kept_form", "runbell.kept_form"
Session = MutableMapping[str, Any]


def pledge(actor: Actor) -> str:
    """For the form's own hidden field."""
    return signing.dumps(actor.member.pk, salt=_SALT)


def keep(session: Session, place: str, form: QueryDict, *, now: datetime) -> bool:
    """Whether it is kept: only what a page of ours gave out for this, and only the last one. `place`: path and query of the page."""
    text, member = form.urlencode(), _member(form.get(FIELD, ""))
    is_kept = member is not None and len(text) <= LARGEST
    if is_kept:
        session[_KEY] = {"member": member, "place": place, "at": now.timestamp(), "form": encrypt(text.encode()).decode()}
    return is_kept


def take(session: Session, place: str, actor: Actor, *, now: datetime) -> QueryDict | None:
    """Once. Another page of the member leaves it where it is; another member has it thrown away."""
    kept = session.get(_KEY)
    if kept is None or (kept["member"] == actor.member.pk and kept["place"] != place):
        return None
    del session[_KEY]
    if kept["member"] != actor.member.pk or now.timestamp() - kept["at"] > FOR.total_seconds():
        return None
    try:
        return QueryDict(decrypt(kept["form"].encode()))
    except InvalidToken:  # the key it was kept with is no longer used
        return None


def _member(pledged: str) -> int | None:
    try:
        return int(signing.loads(pledged, salt=_SALT))
    except signing.BadSignature:
        return None
