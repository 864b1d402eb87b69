"""Sentences for what the dbt platform says, or does not say. Each tells the way out."""

from collections.abc import Callable, Mapping
from typing import Any

from runbell.messages.safe import isolated, one_line
from runbell.messages.words import Words


def _text(params: Mapping[str, Any], name: str) -> str:
    return isolated(one_line(str(params.get(name) or ""), 200))


def _way(words: Words, params: Mapping[str, Any], said: str) -> str:
    if proxy := _text(params, "proxy"):
        said = words.say("{said}, through the proxy {proxy}", said=said, proxy=proxy)
    text = _text(params, "text")
    return words.say("{said}: {answer}.", said=said, answer=words.say("“{answer}”", answer=text)) if text else said + "."


def _thing(words: Words, params: Mapping[str, Any]) -> str:
    what = str(params.get("what") or "")
    return {
        "account": words.say("the account"),
        "projects": words.say("projects"),
        "environments": words.say("environments"),
        "jobs": words.say("jobs"),
        "runs": words.say("runs"),
        "artifacts": words.say("artifacts of runs"),
    }.get(what, what)


DBT_SENTENCES: dict[str, Callable[[Words, Mapping[str, Any]], str]] = {
    "dbt_unreachable": lambda words, params: _way(words, params, words.say("The dbt platform cannot be reached from this server")),
    "dbt_tls": lambda words, params: _way(words, params, words.say("No secure connection to the dbt platform")),
    "dbt_silent": lambda words, params: _way(words, params, words.say("The dbt platform did not answer in time")),
    "dbt_private": lambda words, _: words.say(
        "This host is in a private network, where Runbell asks nothing. Whoever runs the server may allow it in its settings."
    ),
    "dbt_no_answer": lambda words, _: words.say("The dbt platform broke the connection off, or did not answer in time."),
    "dbt_http": lambda words, params: words.say(
        "The dbt platform answered with HTTP {code}. It is asked again by itself.", code=_text(params, "code")
    ),
    "dbt_not_api": lambda words, _: words.say(
        "What answers at this host is not the dbt platform's Admin API. Look at the access URL in the account settings of dbt."
    ),
    "dbt_limited": lambda words, _: words.say("The dbt platform asks for fewer questions. It is asked again when it says so."),
    "dbt_endless": lambda words, _: words.say("The dbt platform's list does not end, so it was given up."),
    "dbt_token": lambda words, _: words.say(
        "The dbt platform does not accept this token. Make a new service token there and save it in Runbell."
    ),
    "dbt_rights": lambda words, params: words.say(
        "The token may not read {what}. Give it the permission set Job Viewer, or a higher one, for all projects.",
        what=_thing(words, params),
    ),
    "dbt_missing": lambda words, params: words.say(
        "The dbt platform knows nothing like that here: {what}. Look at the account id and the host.", what=_thing(words, params)
    ),
    "dbt_refused": lambda words, params: words.say(
        "The dbt platform refused it with HTTP {code}: {answer}",
        code=_text(params, "code"),
        answer=words.say("“{answer}”", answer=_text(params, "said")) if params.get("said") else words.say("it gave no reason."),
    ),
    "dbt_other_account": lambda words, params: words.say(
        "The last webhook was about the account {account}, which is another. It was passed over.", account=_text(params, "account")
    ),
    "dbt_other_event": lambda words, params: words.say(
        "The last webhook was about {event}, of which Runbell makes nothing.", event=_text(params, "event")
    ),
    "connected_dbt": lambda words, _: words.say("Whoever connected the dbt platform is told."),
}
