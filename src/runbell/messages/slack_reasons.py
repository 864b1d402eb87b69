"""Sentences for what Slack says, or does not say. Each tells the way out; several of Slack's words share one."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from babel.dates import format_date

from runbell.messages.safe import isolated, one_line
from runbell.messages.wording import say
from runbell.messages.words import Words

_GROUPS = {
    # one Slack channel
    say("This Slack channel is not there any more, or is private now. Choose another."): ("channel_not_found",),
    say("Somebody archived this Slack channel. Unarchive it or choose another."): ("is_archived", "channel_is_archived"),
    say("The app has to be invited to this Slack channel before it may post there. Invite it, or choose a public one."): (
        "not_in_channel",
    ),
    say("Only some people may post in this Slack channel. Let the app post there, in the channel's settings, or choose another."): (
        *("restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel", "channel_is_limited_access"),
        *("restricted_action_non_threadable_channel", "restricted_action_thread_locked"),
    ),
    say("Admins of Slack have stopped posting in this workspace. Ask them to allow it again."): ("ekm_access_denied",),
    say("Slack does not know this workspace. Link it again."): ("team_not_found",),
    say("No messages can be sent there. Choose a public Slack channel."): (
        "messages_tab_disabled",
        "method_not_supported_for_channel_type",
    ),
    # one webhook
    say("This webhook URL is not valid any more. Make a new one in Slack and save it here."): (
        *("no_service", "no_service_id", "no_active_hooks", "invalid_token"),
    ),
    say("The Slack workspace of this webhook is gone or disabled. Use a webhook of another."): ("no_team", "team_disabled"),
    say("Admins of Slack do not let this webhook post there. Ask them, or make a webhook for another Slack channel."): (
        *("action_prohibited", "posting_to_general_channel_denied"),
    ),
    # one workspace
    say("The app was removed from this Slack workspace, or its access was taken back. Link the workspace again."): (
        *("account_inactive", "token_revoked"),
    ),
    say("Slack does not accept our token. Link the workspace again."): ("invalid_auth", "not_authed", "not_allowed_token_type"),
    say("Our token for this Slack workspace has expired. Link the workspace again if it is not renewed soon."): ("token_expired",),
    say("Our token for this Slack workspace cannot be renewed. Link the workspace again."): ("invalid_refresh_token",),
    say("The app lacks a permission in Slack. Link the workspace again to grant it."): ("missing_scope", "no_permission"),
    say("Admins of Slack do not allow this app in the workspace. Ask them to approve it."): (
        *("app_access_restricted", "team_access_not_granted", "access_denied"),
    ),
    say("This Slack workspace demands two-factor sign-in first. Whoever linked it must set that up in Slack."): (
        "two_factor_setup_required",
    ),
    say("Slack does not let this app act in an organization. Ask an admin of it."): ("enterprise_is_restricted",),
    say("Slack takes no requests from the address of this server. Add it to the allow-list of the workspace or the app."): (
        "accesslimited",
    ),
    # linking
    say("What Slack allowed was used already, or more than ten minutes ago. Link again."): ("invalid_code", "code_already_used"),
    say("The redirect URL of this server is not among those of the Slack app. Add it there."): ("bad_redirect_uri",),
    say("Slack does not know this client id. Copy it anew from the Slack app."): ("invalid_client_id",),
    say("The client secret is not that of the Slack app. Copy it anew."): ("bad_client_secret",),
    say("The Slack app asks for other permissions than it has. Give it the manifest shown here."): (
        *("no_scopes", "invalid_scope", "invalid_scope_requested"),
    ),
    say("This Slack app works only in the workspace that made it. Turn on its public distribution, or link that workspace."): (
        "invalid_team_for_non_distributed_app",
    ),
    say("Apps of a whole organization cannot be linked. Install the app in one workspace."): ("cannot_install_an_org_installed_app",),
    say("This workspace is at another address of Slack than the one that is set here. Set that of the workspace."): (
        "oauth_authorization_url_mismatch",
    ),
    say("Slack gave no token of a bot. Give the Slack app the manifest shown here."): ("no_bot_token",),
    # later
    say("Slack asked to slow down."): ("ratelimited", "rate_limited"),
    say("This Slack workspace takes no more messages for now."): ("message_limit_exceeded",),
    say("Slack has trouble of its own just now."): (
        *("internal_error", "fatal_error", "request_timeout", "service_unavailable", "rollup_error"),
    ),
    say("Slack is moving this workspace into an organization."): ("team_added_to_org", "org_login_required"),
    say("Slack is moving this Slack channel."): ("external_channel_migrating",),
    say("Slack did not say whether it took the message, so it may arrive twice."): ("no_answer",),
}
_OUR_MISTAKES = (
    *("no_text", "msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format", "invalid_attachments"),
    *("too_many_attachments", "attachment_payload_limit_exceeded", "metadata_too_large", "metadata_must_be_sent_from_app"),
    *("invalid_metadata_format", "invalid_metadata_schema", "invalid_arguments", "invalid_arg_name", "invalid_array_arg"),
    *("markdown_text_conflict", "cannot_reply_to_message", "duplicate_channel_not_found", "duplicate_message_not_found"),
    *("as_user_not_supported", "invalid_payload", "invalid_charset", "invalid_form_data", "invalid_post_type", "missing_post_type"),
    *("invalid_json", "json_not_object", "unknown_method", "method_deprecated", "deprecated_endpoint", "invalid_cursor", "invalid_limit"),
    *("user_not_found", "user_not_visible", "missing_argument", "invalid_grant_type", "pkce_not_allowed", "invalid_code_verifier"),
)


def _always(template: str) -> Callable[[Words, Mapping[str, Any]], str]:
    return lambda words, _: words.say(template)


def _our_mistake(word: str) -> Callable[[Words, Mapping[str, Any]], str]:
    spelled = word.replace("_", " ")
    return lambda words, _: words.say("Slack did not take this: “{answer}”. That is a mistake of Runbell. Report it.", answer=spelled)


def _text(params: Mapping[str, Any], name: str) -> str:
    return isolated(one_line(str(params.get(name) or ""), 200))


def _missing_scope(words: Words, params: Mapping[str, Any]) -> str:
    if needed := _text(params, "needed"):
        return words.say("The app lacks the permission {scope} in Slack. Link the workspace again to grant it.", scope=needed)
    return words.say("The app lacks a permission in Slack. Link the workspace again to grant it.")


def _unknown_word(words: Words, params: Mapping[str, Any]) -> str:
    if answer := _text(params, "word"):
        return words.say("Slack answered “{answer}”, which Runbell does not know.", answer=answer)
    return words.say("Slack answered something that Runbell does not know.")


def _http(words: Words, params: Mapping[str, Any]) -> str:
    if code := _text(params, "code"):
        return words.say("Slack, or something in its place, answered with a page and HTTP {code}.", code=code)
    return words.say("Slack, or something in its place, answered with a page.")


def _unreachable(words: Words, params: Mapping[str, Any]) -> str:
    return _by_way(words, params, words.say("Slack cannot be reached from this server"))


def _tls(words: Words, params: Mapping[str, Any]) -> str:
    return _by_way(words, params, words.say("No secure connection to Slack"))


def _silent(words: Words, params: Mapping[str, Any]) -> str:
    return _by_way(words, params, words.say("Slack did not answer in time"))


def _by_way(words: Words, params: Mapping[str, Any], said: str) -> str:
    """With the proxy that stood between, and what the system said."""
    if proxy := _text(params, "proxy"):
        said = words.say("{said}, through the proxy {proxy}", said=said, proxy=proxy)
    text = _text(params, "text")
    return words.say("{said}: {answer}.", said=said, answer=words.say("“{answer}”", answer=text)) if text else said + "."


TAKE_OVER = say("Another admin can take over by saving this Slack channel's settings.")


def _ended(words: Words, params: Mapping[str, Any], said: str) -> str:
    """With its date, in no reader's zone: to the hour nobody needs it here."""
    at = str(params.get("at") or "")
    day = str(format_date(datetime.fromisoformat(at), "long", locale=words.locale)) if at else ""
    return f"{said} ({day}). {words.say(TAKE_OVER)}" if day else f"{said}. {words.say(TAKE_OVER)}"


def _who(words: Words, params: Mapping[str, Any]) -> str:
    return _text(params, "who") or words.say("Whoever linked it")


def _unlinked(words: Words, params: Mapping[str, Any]) -> str:
    return _ended(words, params, words.say("{who} removed the Slack link that it was sent through", who=_who(words, params)))


def _not_owner(words: Words, params: Mapping[str, Any]) -> str:
    """`need` is what RUNBELL_SLACK_REQUIRE asked for."""
    who = _who(words, params)
    match params.get("need"):
        case "admin":
            said = words.say("{who} is not an admin of the Slack workspace any more", who=who)
        case "any":
            said = words.say("{who} is not a member of the Slack workspace any more", who=who)
        case _:
            said = words.say("{who} is not an owner of the Slack workspace any more", who=who)
    return _ended(words, params, said)


def _no_admin(words: Words, params: Mapping[str, Any]) -> str:
    return _ended(words, params, words.say("{who} is not an admin here any more, and so has no link to Slack", who=_who(words, params)))


def _owner_needed(words: Words, params: Mapping[str, Any]) -> str:
    workspace = _text(params, "workspace") or words.say("this workspace")
    match params.get("need"):
        case "admin":
            return words.say("Slack says that you are not an admin of {workspace}.", workspace=workspace)
        case "any":
            return words.say("Slack says that you are a guest in {workspace}.", workspace=workspace)
        case _:
            return words.say("Slack says that you are not an owner of {workspace}.", workspace=workspace)


SLACK_SENTENCES: dict[str, Callable[[Words, Mapping[str, Any]], str]] = {
    **{f"slack_{word}": _always(template) for template, group in _GROUPS.items() for word in group},
    **{f"slack_{word}": _our_mistake(word) for word in _OUR_MISTAKES},
    "slack_unlinked": _unlinked,
    "slack_waiting": _always(say("It waits until an admin links its Slack workspace under Account settings › Integrations.")),
    "slack_not_owner": _not_owner,
    "slack_no_admin": _no_admin,
    "slack_owner_needed": _owner_needed,
    "slack_cancelled": _always(say("You did not allow the app in Slack.")),
    "slack_not_ready": _always(say("The Slack app or the public https address of this server is not set yet.")),
    "slack_missing_scope": _missing_scope,
    "slack_unknown_word": _unknown_word,
    "slack_http": _http,
    "slack_unreachable": _unreachable,
    "slack_tls": _tls,
    "slack_silent": _silent,
}
