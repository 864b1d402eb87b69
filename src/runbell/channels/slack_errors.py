"""What Slack's error words mean: one table for messages, links, checks and webhooks, with a comment for each oddity.

https://docs.slack.dev/reference/methods/chat.postMessage#errors and the pages of the other methods.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from runbell.channels.http import Unreached
from runbell.channels.smtp_verdicts import masked
from runbell.core.because import Because
from runbell.core.deliveries import Dead, Ends, Retry, Verdict


class TroubleKind(StrEnum):
    """Whom a word concerns."""

    TRANSIENT = "transient"  # the same again later may do; also every word that nobody knows
    INSTALLATION = "installation"  # whatever is sent with this token
    CHANNEL = "channel"  # whatever is sent to this Slack channel
    REFUSED = "refused"  # this request alone: our mistake, or that of somebody's settings


class SlackTrouble(Exception):
    """A call that did not end well. Holds no token, code or secret, nor anything that does."""

    def __init__(self, because: Because, kind: TroubleKind, retry_after: timedelta | None = None, *, is_lost: bool = False) -> None:
        super().__init__(because.code)
        self.because, self.kind, self.retry_after, self.is_lost = because, kind, retry_after, is_lost


CHANNEL_WORDS = (
    *("channel_not_found", "is_archived", "not_in_channel", "channel_is_limited_access"),
    *("restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel"),
    *("restricted_action_non_threadable_channel", "restricted_action_thread_locked"),
    *("ekm_access_denied", "team_not_found", "messages_tab_disabled", "method_not_supported_for_channel_type"),
    # incoming webhooks (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors)
    *("no_service", "no_service_id", "no_team", "team_disabled", "invalid_token", "no_active_hooks"),
    *("channel_is_archived", "action_prohibited", "posting_to_general_channel_denied"),
)
INSTALLATION_WORDS = (
    *("account_inactive", "invalid_auth", "not_authed", "token_revoked", "token_expired", "missing_scope", "not_allowed_token_type"),
    *("no_permission", "app_access_restricted", "two_factor_setup_required", "enterprise_is_restricted", "access_denied"),
    *("accesslimited", "team_access_not_granted", "invalid_refresh_token"),
)
REFUSED_WORDS = (
    *("no_text", "msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format", "invalid_attachments"),
    *("too_many_attachments", "attachment_payload_limit_exceeded", "metadata_too_large", "metadata_must_be_sent_from_app"),
    *("invalid_metadata_format", "invalid_metadata_schema", "invalid_arguments", "invalid_arg_name", "invalid_array_arg"),
    *(
        "markdown_text_conflict",
        "cannot_reply_to_message",
        "duplicate_channel_not_found",
        "duplicate_message_not_found",
        "as_user_not_supported",
    ),
    *(
        "invalid_payload",
        "invalid_charset",
        "invalid_form_data",
        "invalid_post_type",
        "missing_post_type",
        "invalid_json",
        "json_not_object",
    ),
    *(
        "unknown_method",
        "method_deprecated",
        "deprecated_endpoint",
        "invalid_cursor",
        "invalid_limit",
        "user_not_found",
        "user_not_visible",
        "missing_argument",
    ),
    # oauth.v2.access
    *("invalid_code", "code_already_used", "bad_redirect_uri", "bad_client_secret", "invalid_client_id", "invalid_grant_type", "no_scopes"),
    *("oauth_authorization_url_mismatch", "cannot_install_an_org_installed_app", "pkce_not_allowed", "invalid_code_verifier"),
    *("invalid_team_for_non_distributed_app", "invalid_scope", "invalid_scope_requested"),
)
TRANSIENT_WORDS = (
    *("ratelimited", "rate_limited", "message_limit_exceeded", "internal_error", "fatal_error", "request_timeout", "service_unavailable"),
    *("team_added_to_org", "org_login_required", "external_channel_migrating", "rollup_error"),
)
KINDS: Mapping[str, TroubleKind] = {
    word: kind
    for kind, words in (
        (TroubleKind.CHANNEL, CHANNEL_WORDS),
        (TroubleKind.INSTALLATION, INSTALLATION_WORDS),
        (TroubleKind.REFUSED, REFUSED_WORDS),
        (TroubleKind.TRANSIENT, TRANSIENT_WORDS),
    )
    for word in words
}
WORKSPACE_WORDS = ("message_limit_exceeded", "team_added_to_org", "org_login_required")
"""For now nothing at all can be posted there."""
BUSY_WORDS = ("ratelimited", "rate_limited", "message_limit_exceeded")
LONG_PAUSE = timedelta(hours=1)  # message_limit_exceeded: the workspace is over its limit of the month or day, not of the second
SHORT_PAUSE = timedelta(seconds=30)  # a 429 without Retry-After
MAX_PAUSE = timedelta(hours=24)
OTHER_CODES = (
    "slack_unknown_word",
    "slack_unreachable",
    "slack_tls",
    "slack_silent",
    "slack_no_answer",
    "slack_http",
    "slack_no_bot_token",
)
CODES = (*(f"slack_{word}" for word in KINDS), *OTHER_CODES)


def kind_of(word: str) -> TroubleKind:
    """A word that nobody knows may mean anything, so it is tried again until the ladder ends."""
    return KINDS.get(word, TroubleKind.TRANSIENT)


def because_of(word: str, details: Mapping[str, Any] | None = None) -> Because:
    """`details` is the rest of the answer; of it only what a scope is called may be shown."""
    if word not in KINDS:
        return Because("slack_unknown_word", {"word": masked(word)})
    needed = masked(str((details or {}).get("needed") or "")) if word == "missing_scope" else ""
    return Because(f"slack_{word}", {"needed": needed} if needed else {})


def of_answer(status: int, headers: Mapping[str, str], data: Mapping[str, Any]) -> SlackTrouble:
    """An answer that is no success. `data` is empty when it was no JSON: a proxy's page, or Slack's own when it is down."""
    word = str(data.get("error") or "")
    if status == 429:
        return SlackTrouble(because_of("ratelimited"), TroubleKind.TRANSIENT, retry_after(headers) or SHORT_PAUSE)
    if not word:
        return SlackTrouble(Because("slack_http", {"code": status}), TroubleKind.TRANSIENT, retry_after(headers))
    pause = LONG_PAUSE if word == "message_limit_exceeded" else SHORT_PAUSE if word in BUSY_WORDS else None
    return SlackTrouble(because_of(word, data), kind_of(word), retry_after(headers) or pause)


def of_webhook(status: int, headers: Mapping[str, str], said: str) -> SlackTrouble:
    """A webhook answers with a bare word. 404 and 410 mean that it is gone, whatever word they come with; a page is nobody's word."""
    is_word = re.fullmatch("[a-z_]{1,80}", said) is not None
    if is_word and said not in KINDS and status in (404, 410):
        return SlackTrouble(because_of("no_service"), TroubleKind.CHANNEL)
    return of_answer(status, headers, {"error": said} if is_word else {})


def of_unreached(error: Unreached) -> SlackTrouble:
    params = {name: value for name, value in (("text", error.text), ("proxy", error.proxy)) if value}
    return SlackTrouble(Because(f"slack_{error.word}", params), TroubleKind.TRANSIENT)


def of_lost() -> SlackTrouble:
    return SlackTrouble(Because("slack_no_answer"), TroubleKind.TRANSIENT, is_lost=True)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Slack sends whole seconds (https://docs.slack.dev/apis/web-api/rate-limits)."""
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(timedelta(seconds=int(said[:9])), MAX_PAUSE) if said.isascii() and said.isdecimal() else None


_AT_THE_WAY = {f"slack_{word}" for word in ("unreachable", "tls", "silent", "http", *WORKSPACE_WORDS)}


def verdict_of(trouble: SlackTrouble) -> Verdict:
    """What becomes of a message that met this trouble."""
    because, after = trouble.because, trouble.retry_after
    match trouble.kind:
        case TroubleKind.CHANNEL:
            return Dead(because, is_refusal=True, ends=Ends.DESTINATION)
        case TroubleKind.INSTALLATION if because.code == "slack_token_expired":
            return Retry(because, ends=Ends.INSTALLATION)  # with token rotation it is renewed
        case TroubleKind.INSTALLATION:
            return Dead(because, ends=Ends.INSTALLATION)
        case TroubleKind.REFUSED:
            return Dead(because)
        case TroubleKind.TRANSIENT:
            is_transport = because.code in _AT_THE_WAY
            is_lost = trouble.is_lost or because.code == "slack_fatal_error"  # some of it may have been done, says Slack
            is_busy = because.code in ("slack_ratelimited", "slack_rate_limited")
            return Retry(because, after, is_transport=is_transport, is_busy=is_busy, is_lost=is_lost)
