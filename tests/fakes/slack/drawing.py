"""A message as Slack shows it, near enough to judge it."""

import re
from collections.abc import Callable
from datetime import datetime
from html import escape
from typing import Any

from tests.fakes.slack.mrkdwn import date, link, mrkdwn, plain
from tests.fakes.slack.state import Post

COLOR = re.compile(r"#?[0-9A-Fa-f]{6}")
COLORS = {"good": "#2EB67D", "warning": "#DAA038", "danger": "#A30200"}
STYLES = {"code": "code", "bold": "strong", "italic": "em", "strike": "s"}


def message(post: Post) -> str:
    said, moment = post.message, datetime.fromtimestamp(float(post.ts)).astimezone()
    name = post.installation.app.name if post.installation else "incoming-webhook"
    edited = ' <span class="soft">(edited)</span>' if "edited" in said else ""
    return (
        f'<article class="s-message" id="p{post.ts.replace(".", "")}"><span class="s-avatar" aria-hidden="true">{escape(name[:1].upper())}</span>'
        f'<div class="s-body"><p class="s-who"><strong>{escape(name)}</strong><span class="s-app">APP</span>'
        f'<time datetime="{moment.isoformat()}">{moment:%H:%M}</time></p>'
        f"{_top(said)}{''.join(map(_attachment, said.get('attachments') or []))}{edited}</div></article>"
    )


def _top(said: dict[str, Any]) -> str:
    """The text is shown where there are no blocks; with them it is for notifications and screen readers."""
    if said.get("blocks"):
        return _blocks(said["blocks"])
    text = said.get("text") or said.get("markdown_text") or ""
    return f'<div class="s-section">{mrkdwn(text)}</div>' if text else ""


def _attachment(attachment: dict[str, Any]) -> str:
    color = COLORS.get(attachment.get("color", ""), attachment.get("color") or "")
    bar = f' style="--bar: #{color.removeprefix("#")}"' if COLOR.fullmatch(color) else ""
    title = f"<p><strong>{plain(attachment['title'])}</strong></p>" if attachment.get("title") else ""
    text = attachment.get("text") or ("" if attachment.get("blocks") else attachment.get("fallback", ""))
    shown = f'<div class="s-section">{mrkdwn(text)}</div>' if text else ""
    return f'<div class="s-attachment"{bar}>{title}{shown}{_blocks(attachment.get("blocks") or [])}</div>'


def _blocks(blocks: list[dict[str, Any]]) -> str:
    return "".join(DRAWN[block["type"]](block) for block in blocks)


def _text(text: dict[str, Any]) -> str:
    return mrkdwn(text["text"]) if text["type"] == "mrkdwn" else escape(text["text"])


def _header(block: dict[str, Any]) -> str:
    return f'<h2 class="s-header">{escape(block["text"]["text"])}</h2>'


def _section(block: dict[str, Any]) -> str:
    text = f'<div class="s-section">{_text(block["text"])}</div>' if "text" in block else ""
    fields = "".join(f"<p>{_text(one)}</p>" for one in block.get("fields", []))
    return text + (f'<div class="s-fields">{fields}</div>' if fields else "")


def _context(block: dict[str, Any]) -> str:
    return f'<p class="s-context">{" ".join(_text(one) for one in block["elements"] if one["type"] != "image")}</p>'


def _actions(block: dict[str, Any]) -> str:
    buttons = (f'<a class="s-button" href="{escape(one.get("url", "#"))}">{escape(one["text"]["text"])}</a>' for one in block["elements"])
    return f'<div class="s-actions">{"".join(buttons)}</div>'


def _divider(block: dict[str, Any]) -> str:
    return '<hr class="s-divider">'


def _markdown(block: dict[str, Any]) -> str:
    return f'<div class="s-section">{escape(block["text"])}</div>'


def _rich_text(block: dict[str, Any]) -> str:
    return "".join(map(_rich_part, block["elements"]))


def _rich_part(part: dict[str, Any]) -> str:
    if part["type"] == "rich_text_list":
        return f'<ul class="s-list">{"".join(f"<li>{_rich_part(one)}</li>" for one in part["elements"])}</ul>'
    inner = "".join(map(_rich_element, part["elements"]))
    match part["type"]:
        case "rich_text_preformatted":
            return f'<pre class="s-pre">{inner}</pre>'
        case "rich_text_quote":
            return f'<div class="s-rich s-quote">{inner}</div>'
        case _:
            return f'<div class="s-rich">{inner}</div>'


def _rich_element(one: dict[str, Any]) -> str:
    match one["type"]:
        case "text":
            return _styled(escape(one["text"]), one.get("style") or {})
        case "link":
            return _styled(link(one["url"], one.get("text", "")), one.get("style") or {})
        case "date":
            return escape(date(one["timestamp"], one["format"]))
        case "emoji":
            return escape(f":{one['name']}:")
        case _:
            return f"<strong>@{escape(str(one.get('range') or one.get('user_id') or one.get('channel_id') or ''))}</strong>"


def _styled(drawn: str, style: dict[str, bool]) -> str:
    for name, tag in STYLES.items():
        if style.get(name):
            drawn = f"<{tag}>{drawn}</{tag}>"
    return drawn


DRAWN: dict[str, Callable[[dict[str, Any]], str]] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "actions": _actions,
    "divider": _divider,
    "markdown": _markdown,
    "rich_text": _rich_text,
}
