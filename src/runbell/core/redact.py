"""Masks secrets in free text before it is stored, shown or sent. Every pattern is linear: no nested repeats over the same characters."""

import re
from dataclasses import replace

from runbell.core.runs import NodeReport, RunReport, StepReport

HIDDEN = "hidden"
_KEYS = r"password|passwd|pwd|passphrase|secret|token|api_?key|access_?key|private_?key|\b(?:sig|signature|auth)"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, flags), mask)
    for pattern, flags, mask in (
        (r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?", 0, HIDDEN),
        (r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@'\"]{0,200}):(?!hidden@)[^\s/@'\"]{1,500}@", re.I, r"\1:hidden@"),
        (r"(https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/)[\w/-]{1,200}", 0, r"\1hidden"),
        (r"\b((?:authorization|proxy-authorization)\s{0,5}[:=]\s{0,5}(?:bearer|basic|token)?\s{0,5})[^\s'\",;]{1,4000}", re.I, r"\1hidden"),
        (r"\b((?:bearer|basic)\s{1,5})[\w.~+/=-]{16,4000}", re.I, r"\1hidden"),
        (
            rf"((?:{_KEYS})[\"']?\s{{0,5}}[=:]\s{{0,5}})(\"[^\"\n]{{1,2000}}\"|'[^'\n]{{1,2000}}'|[^\s'\"&,;)\]}}]{{1,2000}})",
            re.I,
            r"\1hidden",
        ),
        (r"\b(DBT_ENV_SECRET_\w{0,100}\s{0,5}[=:]\s{0,5})\S{1,2000}", 0, r"\1hidden"),
        (r"\beyJ[\w-]{10,4000}\.[\w-]{2,8000}\.[\w-]{0,4000}", 0, HIDDEN),
        (r"\b(?:xox[a-z]|xapp|xoxe\.xox[bp])-[\w.-]{8,500}", 0, HIDDEN),
        (r"\b(?:gh[pousr]_|github_pat_|glpat-|dapi|dbt[cu]_|dop_v1_|npg_|sk-)[\w-]{16,300}", 0, HIDDEN),
        (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", 0, HIDDEN),
        (r"\bAIza[\w-]{35}\b", 0, HIDDEN),
        (r"\brb_[A-Za-z0-9]{8}_[A-Za-z0-9]{32}\b", 0, HIDDEN),
    )
)


def redact(text: str) -> str:
    """The same text with every secret we can recognise replaced by the word `hidden`. Twice is once."""
    for pattern, mask in _PATTERNS:
        text = pattern.sub(mask, text)
    return text


def redact_report(report: RunReport) -> RunReport:
    """The report with all its free text masked; names of jobs stay, they are how people find them."""
    trigger = replace(report.trigger, cause=redact(report.trigger.cause), url=redact(report.trigger.url))
    return replace(report, trigger=trigger, log_end=redact(report.log_end), steps=tuple(map(_redact_step, report.steps)))


def _redact_step(step: StepReport) -> StepReport:
    return replace(step, command=redact(step.command), nodes=tuple(map(_redact_node, step.nodes)))


def _redact_node(node: NodeReport) -> NodeReport:
    return replace(node, message=redact(node.message))
