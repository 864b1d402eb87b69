"""Slack's own markup as HTML: https://docs.slack.dev/messaging/formatting-message-text."""

import re
from datetime import datetime
from html import escape, unescape

TOKEN = re.compile(
    r"```(?P<block>.+?)```|`(?P<code>[^`\n]+)`|<(?P<tag>[^<>\n]+)>"
    r"|(?<!\w)\*(?P<strong>[^*\n]+)\*(?!\w)|(?<!\w)_(?P<em>[^_\n]+)_(?!\w)|(?<!\w)~(?P<s>[^~\n]+)~(?!\w)",
    re.DOTALL,
)
DATES = {
    "{date_num}": "%Y-%m-%d", "{date}": "%B %-d, %Y", "{date_short}": "%b %-d, %Y", "{date_long}": "%A, %B %-d, %Y",
    "{date_pretty}": "%B %-d", "{date_short_pretty}": "%b %-d", "{date_long_pretty}": "%A, %B %-d", "{time}": "%-I:%M %p", "{time_secs}": "%-I:%M:%S %p",
}  # fmt: skip


def mrkdwn(text: str) -> str:
    drawn, at = [], 0
    for token in TOKEN.finditer(text):
        drawn += [plain(text[at : token.start()]), _token(token)]
        at = token.end()
    return "".join([*drawn, plain(text[at:])])


def plain(text: str) -> str:
    """Of escapes Slack knows three, and takes them back before it shows the text."""
    for written, meant in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(written, meant)
    return escape(text)


def _token(token: "re.Match[str]") -> str:
    kind, inner = str(token.lastgroup), token[str(token.lastgroup)]
    match kind:
        case "block":
            return f'<pre class="s-pre">{plain(inner.strip(chr(10)))}</pre>'
        case "code":
            return f"<code>{plain(inner)}</code>"
        case "tag":
            return _tag(inner)
        case _:
            return f"<{kind}>{mrkdwn(inner)}</{kind}>"


def _tag(inner: str) -> str:
    target, _, label = inner.partition("|")
    if target.startswith("!date^"):
        _, unix, form, *_ = target.split("^")
        return escape(date(int(unix), form))
    if target.startswith(("@", "#", "!")):
        return f"<strong>{escape(label or target.replace('!', '@'))}</strong>"
    return link(unescape(target), label)


def link(url: str, label: str = "") -> str:
    said = plain(label) or escape(url)
    return f'<a href="{escape(url)}">{said}</a>' if url.startswith(("https://", "http://", "mailto:")) else said


def date(unix: int, form: str) -> str:
    moment = datetime.fromtimestamp(unix).astimezone()
    for name, pattern in DATES.items():
        form = form.replace(name, moment.strftime(pattern))
    return form
