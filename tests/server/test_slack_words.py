"""Each of Slack's error words for a message: what becomes of the delivery, of the Slack channel and the link, and what the pages and
the owner's mail say. The words are those of Slack's documentation, not those of our table.

https://docs.slack.dev/reference/methods/chat.postMessage#errors
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

import pytest
from pytest_django import Settings

from runbell.core.because import Because
from runbell.messages.reasons import reason
from runbell.server.db.models import Attempt, Delivery, Destination, SlackWorkspace
from tests.fakes.slack import FakeSlack
from tests.server.people import Acme, acme
from tests.server.test_bounces import work
from tests.server.test_pages import make_run, sign_in
from tests.server.test_slack_delivery import JUST_NOW, fails, told

CHANNEL = """channel_not_found is_archived not_in_channel channel_is_limited_access restricted_action restricted_action_read_only_channel
 restricted_action_thread_only_channel restricted_action_non_threadable_channel restricted_action_thread_locked ekm_access_denied
 team_not_found messages_tab_disabled"""
INSTALLATION = """account_inactive invalid_auth not_authed token_revoked token_expired missing_scope not_allowed_token_type no_permission
 app_access_restricted two_factor_setup_required enterprise_is_restricted access_denied accesslimited"""
REFUSED = """no_text msg_too_long msg_blocks_too_long invalid_blocks invalid_blocks_format invalid_attachments too_many_attachments
 attachment_payload_limit_exceeded invalid_metadata_format invalid_metadata_schema metadata_too_large invalid_arguments invalid_arg_name
 markdown_text_conflict cannot_reply_to_message"""
BUSY = "ratelimited rate_limited message_limit_exceeded"
TRANSIENT = """internal_error fatal_error request_timeout service_unavailable
 team_added_to_org org_login_required external_channel_migrating a_word_of_tomorrow"""


@dataclass(frozen=True)
class Seen:
    """`delivery`: state and reason of the last try. Pages and mail: whether they tell that reason."""

    delivery: tuple[str, str]
    is_off: bool  # the Slack channel
    is_broken: bool  # its workspace, and so every link to it
    slack_page: bool
    integrations: bool
    mail: int


@pytest.fixture
def shop(transactional_db: None) -> Acme:
    return acme()


@pytest.fixture
def slack(settings: Settings) -> Iterator[FakeSlack]:
    settings.RUNBELL_TIME_SCALE = 0.001
    with FakeSlack(scale=0.001) as slack:
        settings.RUNBELL_SLACK_API_URL = slack.api_url
        yield slack


def seen(shop: Acme, destination: Destination, code: str) -> Seen:
    [delivery] = fails(shop)
    client, says = sign_in(shop), reason(Because(code), "en")
    destination.refresh_from_db()
    pages = f"/a/{shop.account.pk}/settings"
    slack_page = client.get(f"{pages}/notifications/slack", {"channel": destination.address_key}).content.decode()
    mails = Delivery.objects.filter(purpose="notice", destination__member=shop.admin)
    return Seen(
        delivery=delivery,
        is_off=destination.disabled_because is not None,
        is_broken=SlackWorkspace.objects.get().broken_because is not None,
        slack_page=says in unescape(slack_page),
        integrations=says in unescape(client.get(f"{pages}/integrations").content.decode()),
        mail=mails.count(),
    )


@pytest.mark.parametrize("word", CHANNEL.split())
def test_a_word_about_the_slack_channel_stops_it_alone(shop: Acme, slack: FakeSlack, word: str) -> None:
    destination, code = told(shop, slack), f"slack_{word}"
    slack.refuse(word, slack.acme.channel("data-alerts"), times=None)
    assert seen(shop, destination, code) == Seen(("dead", code), True, False, slack_page=True, integrations=False, mail=1)
    assert fails(shop) == []


@pytest.mark.parametrize("word", INSTALLATION.split())
def test_a_word_about_the_installation_stops_the_links(shop: Acme, slack: FakeSlack, word: str) -> None:
    """Asked by itself, the token gets the same word."""
    destination, code = told(shop, slack), f"slack_{word}"
    slack.refuse(word, method="", times=None)
    state = "suppressed" if word == "token_expired" else "dead"  # tried again once it is renewed, which it is not here
    assert seen(shop, destination, code) == Seen((state, code), False, True, slack_page=True, integrations=True, mail=1)
    assert fails(shop) == []


@pytest.mark.parametrize("word", REFUSED.split())
def test_a_word_about_the_message_ends_that_one(shop: Acme, slack: FakeSlack, word: str) -> None:
    destination, code = told(shop, slack), f"slack_{word}"
    slack.refuse(word, slack.acme.channel("data-alerts"), times=1)
    assert seen(shop, destination, code) == Seen(("dead", code), False, False, slack_page=False, integrations=False, mail=1)
    assert fails(shop) == [("sent", "")]


@pytest.mark.parametrize("word", BUSY.split())
def test_a_word_about_too_much_is_waited_for(shop: Acme, slack: FakeSlack, word: str) -> None:
    """For half a minute or an hour, which no test waits."""
    told(shop, slack)
    slack.refuse(word, slack.acme.channel("data-alerts"), times=1)
    make_run(shop, ago=JUST_NOW)
    work(until=lambda: Delivery.objects.filter(state="waiting").exists())
    [delivery] = Delivery.objects.all()
    assert delivery.last_because == {"code": f"slack_{word}", "params": {}}
    assert (Destination.objects.get().disabled_because, SlackWorkspace.objects.get().broken_because) == (None, None)


@pytest.mark.parametrize("word", TRANSIENT.split())
def test_a_word_of_the_moment_is_tried_again(shop: Acme, slack: FakeSlack, word: str) -> None:
    destination, code = told(shop, slack), "slack_unknown_word" if word == "a_word_of_tomorrow" else f"slack_{word}"
    slack.refuse(word, slack.acme.channel("data-alerts"), times=1)
    assert seen(shop, destination, code) == Seen(("sent", ""), False, False, slack_page=False, integrations=False, mail=0)
    tries = Attempt.objects.order_by("pk").values_list("because__code", flat=True)
    is_lane = word in ("team_added_to_org", "org_login_required")  # the whole workspace pauses, which costs no attempt
    assert tries[0] == (None if is_lane else code)
    assert len(slack.posts_in(slack.acme.channel("data-alerts"))) == 1
