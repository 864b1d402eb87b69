"""`runbell doctor` about the addresses of Slack."""

import pytest
from pytest_django import Settings

from runbell.server.checks import slack_addresses

GOOD = (
    "https://slack.com",
    "https://slack-gov.com/api/",
    "http://127.0.0.1:8485/api/",
    "http://localhost:8485",
    "https://proxy:8443/slack/",
)
BAD = (
    *("slack.com", "/api/", "http://slack.com/api/", "ftp://slack.com", "https://", "https://:443", "https://slack.com:port/"),
    *(
        "https://slack.com:99999/",
        "https://u:p@slack.com/",
        "https://slack.com/?x=1",
        "https://slack.com/#x",
        "https://slack .com/",
        "https://[",
    ),
)
NAMES = {"RUNBELL_SLACK_URL": "runbell.E006", "RUNBELL_SLACK_API_URL": "runbell.E007"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("url", GOOD)
def test_is_content(settings: Settings, name: str, url: str) -> None:
    setattr(settings, name, url)
    assert slack_addresses() == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("url", BAD)
def test_names_what_is_wrong_and_repeats_no_password(settings: Settings, name: str, url: str) -> None:
    setattr(settings, name, url)
    [found] = slack_addresses()
    assert found.id == NAMES[name]
    assert found.msg.startswith(f"{name} is no https address")
    assert "u:p" not in f"{found.msg}{found.hint}"
