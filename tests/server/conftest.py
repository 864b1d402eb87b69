import pytest
from pytest_django import Settings

from runbell.server.services.failures import BAD_LINKS, BAD_TOKENS
from runbell.server.web import health
from tests.server.people import HASHERS, Acme, acme


@pytest.fixture(autouse=True)
def cheap_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = HASHERS


@pytest.fixture(autouse=True)
def mail_goes_to_the_outbox(settings: Settings) -> None:
    """Django's test runner puts a backend of its own there."""
    settings.EMAIL_BACKEND = "runbell.server.services.account_mail.OutboxBackend"


@pytest.fixture(autouse=True)
def nobody_has_guessed() -> None:
    """It is counted in memory, which tests share."""
    BAD_TOKENS.forget()
    BAD_LINKS.forget()


@pytest.fixture(autouse=True)
def just_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker runs beside these tests, which a server that has just started forgives."""
    monkeypatch.setattr(health, "WATCH", health.Watch())


@pytest.fixture(autouse=True)
def no_real_slack(settings: Settings) -> None:
    """Nobody listens there."""
    settings.RUNBELL_SLACK_API_URL = "http://127.0.0.1:9/api/"


@pytest.fixture(autouse=True)
def the_dbt_platform_is_on_this_machine(settings: Settings) -> None:
    settings.RUNBELL_PRIVATE_HOSTS = True


@pytest.fixture(autouse=True)
def static_files_are_looked_up_when_asked_for(settings: Settings) -> None:
    """Every client makes its own middleware; a list of all static files for each costs more than most requests."""
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(autouse=True)
def answers_are_listened_to(settings: Settings) -> None:
    settings.MIDDLEWARE = ["tests.quiet.Listener", *settings.MIDDLEWARE]


@pytest.fixture
def shop(db: None) -> Acme:
    return acme()
