"""New keys take over what old ones encrypted."""

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import InvalidToken
from pytest_django import Settings

from runbell.server.db.models import Delivery, SlackApp
from runbell.server.services.key_rotation import Rotated, new_key, rotate
from tests.e2e.seed import SECRETS, external, keep_secrets, read_secrets
from tests.server.people import Acme

OLD, NEW = new_key(), new_key()


@pytest.fixture
def secrets(shop: Acme, settings: Settings) -> int:
    """So many, by the old key. The new one is the first from now on."""
    settings.RUNBELL_ENCRYPTION_KEYS = [OLD]
    keep_secrets(shop, external(shop, 1))
    settings.RUNBELL_ENCRYPTION_KEYS = [NEW, OLD]
    return len(SECRETS)


def test_afterwards_the_new_key_is_enough(secrets: int, settings: Settings) -> None:
    assert rotate() == Rotated(changed=secrets)
    settings.RUNBELL_ENCRYPTION_KEYS = [NEW]
    assert read_secrets() == list(SECRETS)
    data = Authenticator.objects.get(type="recovery_codes").data
    assert data["used_mask"] == 3


def test_killed_half_way_it_goes_on_where_it_was(secrets: int) -> None:
    SlackApp.objects.get().save()  # two secrets are through
    assert rotate() == Rotated(changed=secrets - 2, kept=2)
    assert rotate() == Rotated(kept=secrets)


def test_what_no_key_fits_is_named_and_left_as_it_is(secrets: int, settings: Settings) -> None:
    settings.RUNBELL_ENCRYPTION_KEYS = [NEW]
    found = rotate()
    assert (found.changed, found.kept, len(found.unreadable)) == (0, 0, secrets)
    assert f"runbell_slackapp.client_secret of {app_id()}" in found.unreadable
    with pytest.raises(InvalidToken):
        read_secrets()
    settings.RUNBELL_ENCRYPTION_KEYS = [NEW, OLD]
    assert read_secrets() == list(SECRETS)


def app_id() -> int:
    return int(SlackApp.objects.values_list("pk", flat=True).get())


def test_more_secrets_than_fit_a_batch(secrets: int, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbell.server.services.key_rotation.BATCH", 2)
    settings.RUNBELL_ENCRYPTION_KEYS = [OLD]
    held = Delivery.objects.get(purpose="account")
    Delivery.objects.bulk_create(
        Delivery(account_id=held.account_id, lane="email", payload=b"x", state="dead", due_at=held.due_at, created_at=held.due_at)
        for _ in range(5)
    )
    settings.RUNBELL_ENCRYPTION_KEYS = [NEW, OLD]
    assert rotate().changed == secrets + 5
