"""Masks secrets in free text before it is stored, shown or sent.

Time grows with the length of the text, whatever is in it: a repeat either keeps all it has taken (`++`, `{n,}+`) or has a small
upper bound. A rule is compiled and tried only when one of its words is in the text, so that the command line pays for what it meets.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from runbell.core.runs import MAX_LOG_END, MAX_MESSAGE, MAX_NAME, MAX_TEXT, NodeReport, RunReport, StepReport, last_bytes

HIDDEN = "hidden"
LONG_USER = 20  # as long as this, the user in a URL is a token: https://<token>@host
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*+[ -/]*+[@-~]|\][^\x07\x1b\n]*+(?:\x07|\x1b\\)|[@-Z\\^_])?")
Match = re.Match[str]


@dataclass(frozen=True, slots=True)
class _Rule:
    """`words`: one of them, in lower case, is in every text that the pattern fits."""

    words: tuple[str, ...]
    pattern: str
    mask: str | Callable[[Match], str] = HIDDEN
    flags: int = re.IGNORECASE


def _hide_userinfo(match: Match) -> str:
    """`://user:password@host/…`. Passwords are often written raw, with `@`, `/` or `#` in them."""
    rest = match[0][len("://") :]
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    is_raw = "@" not in authority and ":" in authority and not authority.rpartition(":")[2].isdecimal()  # digits are a port
    found = re.match("[^@]*(?:@[^@/?#]*)*(?=@)" if is_raw else "[^@/?#]*(?:@[^@/?#]*)*(?=@)", rest)
    userinfo = found[0] if found else ""
    user, colon, _ = userinfo.partition(":")
    if not colon and len(user) < LONG_USER:
        return match[0]
    return f"://{user + colon if colon else ''}{HIDDEN}{rest[len(userinfo) :]}"


def _hide_value(match: Match) -> str:
    """The value alone: its quotes stay, and so do brackets and commas behind it."""
    if quoted := match["quoted"]:
        mark = quoted[: 2 if quoted[0] == "\\" else 1]
        return f"{match['name']}{mark}{HIDDEN}{mark}"
    bare: str = match["bare"]
    value = bare.rstrip(",.:)]}")
    return f"{match['name']}{match['open']}{HIDDEN}{bare[len(value) :]}" if value else match[0]


_QUOTED = r"""(?P<quoted>\\"[^"\\\n]++\\"|"(?:[^"\\\n]|\\.)++"|'(?:[^'\\\n]|\\.|'')++')"""
_BARE = r"""(?P<open>\\?["']?)(?P<bare>[^\s;&"'<>]++)"""
_KEY_END = r"""\\?["']?"""
_STRONG = r"(?:pass(?:word|wd|phrase|code)|secret[\w-]{0,60}+|(?:api|access|account|private)[_-]?key)"
"""Names of what is always secret, whatever stands before: PGPASSWORD, DBT_ENV_SECRET_GIT, Snowflake's private_key."""
_WEAK = r"(?:token|credentials?|(?<![a-z])(?:pwd|pass(?!\W{1,4}\d)|auth|jwt|sig(?:nature)?)|[?&](?:key|code|state))"
"""Names that also stand in ordinary SQL and errors (`on a.token = b.token`, `unexpected token: select`, `PASS=9`): only `token=…` or in quotes."""
_STRONG_WORDS = ("passw", "passp", "passc", "secret", "key")
_WEAK_WORDS = ("token", "credential", "pwd", "pass", "auth", "jwt", "sig", "key=", "code=", "state=")

_SHAPES = (
    r"xox[a-z](?:\.xox[a-z])?-[\w-]{8,}+|xapp-[\w-]{8,}+"  # Slack
    r"|gh[pousr]_[A-Za-z0-9]{16,}+|github_pat_\w{16,}+|gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent)-[\w.-]{16,}+"
    r"|dapi[0-9a-f]{16,}+(?:-\d)?|dbt[cu]_[\w.-]{16,}+|rb_[A-Za-z0-9]{8}_[A-Za-z0-9]{32,}+"  # Databricks, dbt platform, Runbell
    r"|A(?:KIA|SIA)[A-Z0-9]{16}(?![A-Za-z0-9])|AIza[\w-]{30,}+|ya29\.[\w-]{16,}+|GOCSPX-[\w-]{16,}+"  # AWS, Google
    r"|eyJ[\w-]{16,}+(?:\.[\w-]++)*+"  # JSON Web Tokens
    r"|sk-[\w-]{20,}+|[sr]k_(?:live|test)_\w{10,}+|SG\.[\w.-]{20,}+|npm_\w{20,}+|pypi-[\w-]{16,}+|hf_[A-Za-z0-9]{20,}+|npg_\w{10,}+|dop_v1_\w{16,}+"
)
_SHAPE_WORDS = (
    *("xox", "xapp-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-"),
    *("glsoat-", "glimt-", "glagent-", "dapi", "dbtc_", "dbtu_", "rb_", "akia", "asia", "aiza", "ya29.", "gocspx-", "eyj", "sk-", "sk_"),
    *("rk_", "sg.", "npm_", "pypi-", "hf_", "npg_", "dop_v1_"),
)
_KEY_BLOCK = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"

_RULES = (
    _Rule(("private key",), rf"-----BEGIN {_KEY_BLOCK}.*?(?:-----END {_KEY_BLOCK}|\Z)", flags=re.DOTALL),
    _Rule(("://",), r"""://(?:(?!://)[^\s'"<>@])*+@(?:(?!://)[^\s'"<>])*+""", _hide_userinfo),
    _Rule(("hooks.slack",), r"(hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/)[\w/-]++", rf"\1{HIDDEN}"),
    _Rule(("webhook",), r"((?:\.webhook\.office\.com|discord(?:app)?\.com/api/webhooks)/)[\w@/-]++", rf"\1{HIDDEN}"),
    _Rule(_SHAPE_WORDS, rf"(?<![A-Za-z0-9])(?:{_SHAPES})", flags=0),
    _Rule(
        ("authorization",),
        rf"(?P<name>authorization{_KEY_END}\s{{0,3}}[:=]\s{{0,3}}(?:(?:bearer|basic|token|digest|apikey)\s{{1,3}})?+)(?:{_QUOTED}|{_BARE})",
        _hide_value,
    ),
    _Rule(("cookie",), r"(cookie\s?:\s?)[^\r\n]++", rf"\1{HIDDEN}"),
    _Rule(("bearer", "basic"), r"((?<![a-z])(?:bearer|basic)[ \t]{1,3})[\w.~+/=-]{24,}+", rf"\1{HIDDEN}"),
    _Rule(_STRONG_WORDS, rf"(?P<name>{_STRONG}{_KEY_END}\s{{0,3}}(?:=>?|:)\s{{0,3}})(?:{_QUOTED}|{_BARE})", _hide_value),
    _Rule(_WEAK_WORDS, rf"(?P<name>{_WEAK}{_KEY_END}\s{{0,3}}(?:=>?|:)\s{{0,3}})(?:{_QUOTED}|(?<==){_BARE})", _hide_value),
    _Rule(
        ("--",),
        r"(?P<name>(?<![\w-])--[a-z-]{1,60}+(?:(?<=password)|(?<=passphrase)|(?<=token)|(?<=secret)|(?<=api-key)|(?<=access-key)|(?<=private-key))[ \t]{1,3})"
        rf"(?:{_QUOTED}|{_BARE})",
        _hide_value,
    ),
    _Rule(("password", "identified"), r"((?:password|identified by)\s{1,3})'(?:[^'\\\n]|\\.|'')++'", rf"\1'{HIDDEN}'"),  # SQL
    _Rule(("private key",), rf"\A(?:[\w+/=\s\\]*+-----END {_KEY_BLOCK})++", flags=0),  # the rest of one whose beginning was cut off
)


@cache
def _compiled(pattern: str, flags: int) -> re.Pattern[str]:
    return re.compile(pattern, flags)


def redact(text: str) -> str:
    """The same text with every secret we can recognise replaced by the word `hidden`. Twice is once."""
    if not text:
        return text
    lowered = text.lower()
    for rule in _RULES:
        if any(map(lowered.__contains__, rule.words)):
            text = _compiled(rule.pattern, rule.flags).sub(rule.mask, text)
    return text


def without_colours(text: str) -> str:
    """The same text without the escape sequences of a terminal (ECMA-48: colours, links, cursor). They could also split a secret in two."""
    return ESCAPES.sub("", text) if "\x1b" in text else text


def redact_report(report: RunReport) -> RunReport:
    """The report with all its free text masked and without colours; names of jobs and nodes stay, they are how people find them."""
    cause, url = redact(report.trigger.cause)[:MAX_NAME], redact(report.trigger.url)[:MAX_TEXT]
    trigger = replace(report.trigger, cause=cause, url=url)
    steps = tuple(_redact_step(step) for step in report.steps)
    return replace(report, trigger=trigger, log_end=last_bytes(redact(without_colours(report.log_end)), MAX_LOG_END), steps=steps)


def _redact_step(step: StepReport) -> StepReport:
    return replace(step, command=redact(step.command)[:MAX_TEXT], nodes=tuple(map(_redact_node, step.nodes)))


def _redact_node(node: NodeReport) -> NodeReport:
    return replace(node, message=redact(without_colours(node.message))[:MAX_MESSAGE])
