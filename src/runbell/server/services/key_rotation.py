"""Every secret at rest, encrypted with the first of RUNBELL_ENCRYPTION_KEYS. Killed half way, one simply begins again.

What sessions hold encrypted is over within a day, and is not looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.db.models import ExpressionWrapper, F

from runbell.server.db.fields import EncryptedBinaryField, EncryptedTextField, decrypt, encrypt

BATCH = 500
SECOND_STEP = ("secret", "seed", "migrated_codes")  # where allauth keeps what our adapter encrypts
Model = type[models.Model]
Secret = EncryptedTextField | EncryptedBinaryField


@dataclass
class Rotated:
    changed: int = 0
    kept: int = 0
    unreadable: list[str] = field(default_factory=list)


def new_key() -> str:
    return Fernet.generate_key().decode()


def rotate() -> Rotated:
    """In batches that block nobody for long. Safe beside servers that know the first key."""
    found = Rotated()
    for model, secret in _secrets():
        last: int | None = 0
        while last is not None:
            last = _rotate_batch(model, secret, found, after=last)
    for authenticator in Authenticator.objects.order_by("pk").values_list("pk", flat=True):
        _rotate_second_step(authenticator, found)
    return found


def _secrets() -> Iterator[tuple[Model, Secret]]:
    for model in apps.get_app_config("runbell").get_models():
        for secret in model._meta.concrete_fields:
            if isinstance(secret, Secret):
                yield model, secret


@transaction.atomic
def _rotate_batch(model: Model, secret: Secret, found: Rotated, *, after: int) -> int | None:
    """The last id it looked at; None at the end."""
    plain_field = models.BinaryField() if isinstance(secret, EncryptedBinaryField) else models.TextField()
    stored = ExpressionWrapper(F(secret.name), output_field=plain_field)  # past the field, which would decrypt it
    rows = model._base_manager.select_for_update().filter(pk__gt=after).exclude(**{f"{secret.name}__isnull": True}).order_by("pk")
    batch = list(rows.annotate(stored=stored).values_list("pk", "stored")[:BATCH])
    for key, value in batch:
        token = value.encode() if isinstance(value, str) else bytes(value)
        plain = _to_encrypt_anew(token, found, f"{model._meta.db_table}.{secret.column} of {key}") if token else None
        if plain is not None:
            anew: Any = plain if isinstance(secret, EncryptedBinaryField) else plain.decode()
            model._base_manager.filter(pk=key).update(**{secret.name: anew})
    return batch[-1][0] if batch else None


@transaction.atomic
def _rotate_second_step(key: int, found: Rotated) -> None:
    authenticator = Authenticator.objects.select_for_update().filter(pk=key).first()
    if authenticator is None:
        return
    place = f"mfa_authenticator of {key}"
    data = {name: _anew(value, found, place) if name in SECOND_STEP else value for name, value in authenticator.data.items()}
    if data != authenticator.data:
        Authenticator.objects.filter(pk=key).update(data=data)


def _anew(value: Any, found: Rotated, place: str) -> Any:
    if isinstance(value, list):
        return [_anew(each, found, place) for each in value]
    plain = _to_encrypt_anew(value.encode(), found, place)
    return value if plain is None else encrypt(plain).decode()


def _to_encrypt_anew(token: bytes, found: Rotated, place: str) -> bytes | None:
    """What the token holds, when it is not by the first key."""
    try:
        decrypt(token, keys=settings.RUNBELL_ENCRYPTION_KEYS[:1])
        found.kept += 1
    except InvalidToken:
        try:
            plain = decrypt(token)
        except InvalidToken:
            found.unreadable.append(place)
        else:
            found.changed += 1
            return plain
    return None
