"""A person's address changes when a link that was mailed to the new one is confirmed by the same person, signed in.

Nothing is stored meanwhile: the link carries, signed, who asked, both addresses and a trace of the password, so that it is void after
24 hours, after the change itself, and after a new password.
"""

from datetime import datetime

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.crypto import salted_hmac

from runbell.server.db.models import Member, User
from runbell.server.services import account_letters
from runbell.server.services.access import Actor
from runbell.server.services.account_mail import queue
from runbell.server.services.joining import adopt_external
from runbell.server.services.sign_ins import record_for_person

SALT = "runbell.email-change"
VALID = 24 * 3600


class Void(ValueError):
    """The link is too old, was used, or is not this person's."""


def ask(user: User, email: str, *, account_id: int, now: datetime) -> None:
    """Mails the link to the new address, and word of it to the old one.

    When the new address is somebody's here, that person is told instead: whoever asks cannot tell the difference.
    """
    email = email.lower()
    other = User.objects.filter(email=email).exclude(pk=user.pk).first()
    url = settings.RUNBELL_PUBLIC_URL + reverse("confirm_email", args=[_token(user, email)])
    name = "email.taken" if other else "email.confirm"
    letters = [
        account_letters.compose(name, other or user, to=email, now=now, url=url, new=email),
        account_letters.compose("email.asked", user, to=user.email, now=now, new=email),
    ]
    for letter in letters:
        queue(letter, account_id=account_id, now=now)


def address_of(user: User, token: str) -> str:
    """The new address that the link is about. Raises `Void`."""
    try:
        said = signing.loads(token, salt=SALT, max_age=VALID)
    except signing.BadSignature:
        raise Void from None
    if (said["user"], said["old"], said["trace"]) != (user.pk, user.email, _trace(user)):
        raise Void
    return str(said["new"])


def confirm(user: User, token: str, *, account_id: int, now: datetime) -> str:
    """The address that is now theirs. Rules stay, since they point to the member, and those of an external address like it join them.

    Raises `Void`; then nothing has changed.
    """
    old = user.email
    try:
        with transaction.atomic():
            locked = User.objects.select_for_update().get(pk=user.pk)
            new = address_of(locked, token)
            locked.email = new
            locked.save(update_fields=["email"])
            record_for_person(locked, "member.email", now=now, before={"address": old}, after={"address": new})
            for member in Member.objects.select_related("account", "user").filter(user=locked, is_active=True):
                adopt_external(member, now=now, actor=Actor(member))
            queue(account_letters.compose("email.changed", locked, to=old, now=now, new=new), account_id=account_id, now=now)
    except IntegrityError:  # somebody else took it meanwhile
        raise Void from None
    return new


def _token(user: User, email: str) -> str:
    return signing.dumps({"user": user.pk, "old": user.email, "new": email, "trace": _trace(user)}, salt=SALT, compress=True)


def _trace(user: User) -> str:
    return salted_hmac(SALT, user.password).hexdigest()[:16]
