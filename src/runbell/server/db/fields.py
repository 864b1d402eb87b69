"""Fields that are encrypted at rest with the first of RUNBELL_ENCRYPTION_KEYS; every key decrypts."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import models


@lru_cache(maxsize=8)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(plain: bytes) -> bytes:
    return _cipher(tuple(settings.RUNBELL_ENCRYPTION_KEYS)).encrypt(plain)


def decrypt(stored: bytes, *, keys: Sequence[str] | None = None) -> bytes:
    """Raises `cryptography.fernet.InvalidToken` when no key fits: a wrong key must never read as an empty secret."""
    return _cipher(tuple(keys or settings.RUNBELL_ENCRYPTION_KEYS)).decrypt(stored)


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # Django's fields take no parameters at run time
    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return decrypt(value.encode()).decode() if value else value

    def get_prep_value(self, value: Any) -> Any:
        return encrypt(value.encode()).decode() if value else value


class EncryptedBinaryField(models.BinaryField):  # type: ignore[type-arg]
    def from_db_value(self, value: Any, expression: Any, connection: Any) -> bytes | None:
        return decrypt(bytes(value)) if value else None

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return super().get_db_prep_value(encrypt(bytes(value)) if value else value, connection, prepared)
