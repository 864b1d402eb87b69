"""The table of Slack's error words, as written in Slack's own documentation, not as in our table."""

from datetime import timedelta

import pytest

from runbell.channels.slack_errors import CODES, KINDS, TroubleKind, because_of, kind_of, of_answer
from runbell.messages.reasons import reason

CHANNEL = """channel_not_found is_archived not_in_channel channel_is_limited_access restricted_action restricted_action_read_only_channel
 restricted_action_thread_only_channel restricted_action_non_threadable_channel restricted_action_thread_locked ekm_access_denied
 team_not_found messages_tab_disabled no_service channel_is_archived action_prohibited"""
INSTALLATION = """account_inactive invalid_auth not_authed token_revoked token_expired missing_scope not_allowed_token_type no_permission
 app_access_restricted two_factor_setup_required enterprise_is_restricted access_denied accesslimited invalid_refresh_token"""
REFUSED = """no_text msg_too_long msg_blocks_too_long invalid_blocks invalid_blocks_format invalid_attachments too_many_attachments
 attachment_payload_limit_exceeded invalid_metadata_format invalid_metadata_schema metadata_too_large invalid_arguments invalid_arg_name
 markdown_text_conflict cannot_reply_to_message invalid_payload invalid_code bad_redirect_uri bad_client_secret invalid_client_id
 invalid_grant_type no_scopes oauth_authorization_url_mismatch cannot_install_an_org_installed_app pkce_not_allowed
 invalid_code_verifier invalid_team_for_non_distributed_app"""
TRANSIENT = """ratelimited rate_limited message_limit_exceeded internal_error fatal_error request_timeout service_unavailable
 team_added_to_org org_login_required external_channel_migrating a_word_of_tomorrow"""
WORDS = [
    (word, kind)
    for kind, words in (
        (TroubleKind.CHANNEL, CHANNEL),
        (TroubleKind.INSTALLATION, INSTALLATION),
        (TroubleKind.REFUSED, REFUSED),
        (TroubleKind.TRANSIENT, TRANSIENT),
    )
    for word in words.split()
]


@pytest.mark.parametrize(("word", "kind"), WORDS)
def test_a_word_means(word: str, kind: TroubleKind) -> None:
    trouble = of_answer(200, {}, {"ok": False, "error": word})
    assert (trouble.kind, kind_of(word)) == (kind, kind)
    assert trouble.because.code == (f"slack_{word}" if word in KINDS else "slack_unknown_word")
    assert trouble.because.code in CODES
    assert reason(trouble.because, "en") != reason(trouble.because, "ru")


@pytest.mark.parametrize(
    ("status", "headers", "data", "after"),
    [
        (429, {"Retry-After": "7"}, {"ok": False, "error": "ratelimited"}, 7),
        (429, {"retry-after": "7"}, {}, 7),
        (429, {}, {}, 30),
        (429, {"Retry-After": "soon"}, {}, 30),
        (429, {"Retry-After": "-1"}, {}, 30),
        (429, {"Retry-After": "999999999999"}, {}, 86_400),
        (200, {"Retry-After": "2"}, {"ok": False, "error": "rate_limited"}, 2),
        (200, {}, {"ok": False, "error": "rate_limited"}, 30),
        (200, {}, {"ok": False, "error": "message_limit_exceeded"}, 3_600),
        (503, {}, {}, None),
        (500, {}, {"ok": False, "error": "internal_error"}, None),
    ],
)
def test_how_long_to_wait(status: int, headers: dict[str, str], data: dict[str, object], after: int | None) -> None:
    trouble = of_answer(status, headers, data)
    assert trouble.kind is TroubleKind.TRANSIENT
    assert trouble.retry_after == (None if after is None else timedelta(seconds=after))


def test_the_scope_that_is_missing_is_named() -> None:
    because = because_of("missing_scope", {"needed": "channels:read", "provided": "chat:write"})
    assert "channels:read" in reason(because, "en")


def test_an_unknown_word_is_masked_and_cut() -> None:
    because = because_of("xoxb-123456789012-abcdefghijkl " + "x" * 5_000)
    assert "abcdefghijkl" not in str(because.params)
    assert len(str(because.params)) < 300
