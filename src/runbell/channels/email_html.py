"""The HTML of a mail: tables and inlined styles, 600 px wide and narrower, dark by media query; no image, no tracking.

Everything that is not markup goes through `esc` or `multiline`. Mail clients know little CSS (https://www.caniemail.com), so
what counts is inline and the style sheet holds only what they may do without.
"""

import re
from collections.abc import Iterable
from html import escape

from runbell.channels.email_text import closing
from runbell.channels.mime import slot
from runbell.messages.message import Entry, Fact, Line, Message, Reader, StepLine, Strong, Tone, Trouble
from runbell.messages.wording import piece_text, plain, span
from runbell.messages.words import words_in

SANS = "-apple-system,BlinkMacSystemFont,'Segoe UI',Inter,Roboto,'Helvetica Neue',Arial,sans-serif"
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
NOTES, FOOT, STYLE, BARS = slot("htmlnotes"), slot("htmlfoot"), slot("style"), slot("bars")

_SPECIAL = re.compile("[&<>\"'\0]")

INK = {
    Tone.SUCCEEDED: ("c-ok", "#136842", "✓"),
    Tone.WARNED: ("c-warn", "#865403", "!"),
    Tone.FAILED: ("c-fail", "#B32322", "×"),
    Tone.CANCELLED: ("c-stop", "#5A5966", "–"),
    Tone.NOTICE: ("c-note", "#304CB5", "i"),
}


def html_body(message: Message, reader: Reader) -> str:
    subject = esc(message.subject)
    edge = INK[message.tone][1]
    rows = "\n".join(filter(None, (_head(message, reader), _button(message, reader), *_body(message, reader), _history(message, reader))))
    return f"""<!doctype html>
<html lang="{esc(message.language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<meta name="format-detection" content="telephone=no,date=no,address=no,email=no">
<title>{subject}</title>
<style>
{STYLE}</style>
</head>
<body style="margin:0;padding:0;background:#FAF9F6;-webkit-text-size-adjust:100%">
<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">{esc(plain(message.preheader or message.summary, reader))}</div>
<div role="article" aria-roledescription="email" aria-label="{subject}" lang="{esc(message.language)}">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tr>
<td class="outer" align="center" style="padding:28px 12px;background:#FAF9F6">
<table role="presentation" class="card ink" width="600" cellpadding="0" cellspacing="0" border="0" style="width:100%;max-width:600px;background:#FFFFFF;border:1px solid #E5E3DE;border-top:4px solid {edge};border-radius:10px;border-collapse:separate;font-family:{SANS};color:#181A24">
{rows}
</table>
<table role="presentation" class="foot" width="600" cellpadding="0" cellspacing="0" border="0" style="width:100%;max-width:600px;font-family:{SANS}">
<tr><td class="pad t3" style="padding:18px 32px 28px;font-size:13px;line-height:20px;color:#666871">
{FOOT}{esc(closing(message, reader))}
</td></tr>
</table>
</td>
</tr></table>
</div>
</body>
</html>
"""


def foot(sentence: str, links: Iterable[tuple[str, str]]) -> str:
    """One recipient's own lines: why, and the ways from here."""
    anchors = " &nbsp; ".join(f'<a href="{esc(url)}" style="color:#50525B;white-space:nowrap">{esc(label)}</a>' for label, url in links)
    return f"{esc(sentence)}<br>\n{anchors}{'<br>' if anchors else ''}"


def note_line(sentence: str) -> str:
    return f'<p class="t2" style="margin:14px 0 0;font-size:15px;line-height:22px;color:#50525B">{esc(sentence)}</p>'


def _head(message: Message, reader: Reader) -> str:
    _, colour, mark = INK[message.tone]
    return f"""<tr><td class="pad" style="padding:26px 32px 0">
<span style="display:inline-block;padding:3px 10px 3px 8px;background:{colour};border-radius:4px;color:#FFFFFF;font-size:13px;line-height:18px;font-weight:700;letter-spacing:.04em">{mark}&nbsp; {esc(message.word)}</span>
<h1 style="margin:12px 0 0;font-size:24px;line-height:30px;font-weight:600;letter-spacing:-.02em;word-break:break-word">{esc(message.title)}</h1>
<p class="t2" style="margin:2px 0 0;font-size:15px;line-height:22px;color:#50525B;word-break:break-word">{esc(message.place)}</p>
{NOTES}<p style="margin:14px 0 0;font-size:16px;line-height:24px;word-break:break-word">{_rich(message.summary, reader)}</p>
</td></tr>"""


def _button(message: Message, reader: Reader) -> str:
    if not (message.open_label and reader.links.run):
        return ""
    anchor = f'<a href="{esc(reader.links.run)}" style="display:inline-block;padding:9px 18px;color:#FFFFFF;font-size:15px;line-height:20px;font-weight:600;text-decoration:none">{esc(message.open_label)}</a>'
    return f"""<tr><td class="pad" style="padding:18px 32px 0">
<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr><td style="background:#304CB5;border-radius:7px">{anchor}</td></tr></table>
</td></tr>"""


def _body(message: Message, reader: Reader) -> Iterable[str]:
    facts = [fact for fact in message.facts if not fact.is_place]
    if facts:
        yield _facts(facts, reader)
    if message.troubles_title:
        yield f'<tr><td class="pad" style="padding:22px 32px 0">{_h2(message.troubles_title, 0)}</td></tr>'
    yield from (_trouble(node, reader) for node in message.troubles)
    for remark in message.remarks:
        yield f'<tr><td class="pad t2" style="padding:12px 32px 0;font-size:14px;line-height:20px;color:#50525B">{esc(remark)}</td></tr>'
    if message.steps:
        yield _steps(message)
    if message.entries:
        yield _entries(message, reader)


def _h2(title: str, below: int) -> str:
    return f'<h2 style="margin:0 0 {below}px;font-size:15px;line-height:22px;font-weight:600">{esc(title)}</h2>'


def _facts(facts: list[Fact], reader: Reader) -> str:
    cells = [
        f'<td width="50%" valign="top" style="padding:0 12px 10px 0;font-size:14px;line-height:20px;word-break:break-word">'
        f'<span class="t3" style="color:#666871;font-size:13px">{esc(fact.label)}</span><br>{_rich(fact.value, reader)}</td>'
        for fact in facts
    ]
    cells += ['<td width="50%">&nbsp;</td>'] * (len(cells) % 2)
    rows = "\n".join(f"<tr>{left}{right}</tr>" for left, right in zip(cells[::2], cells[1::2], strict=True))
    return f"""<tr><td class="pad" style="padding:22px 32px 0">
<table role="presentation" class="rule ink" width="100%" cellpadding="0" cellspacing="0" border="0" style="border-top:1px solid #E5E3DE"><tr><td colspan="2" style="height:14px;line-height:14px;font-size:1px">&nbsp;</td></tr>
{rows}
</table>
</td></tr>"""


def _trouble(node: Trouble, reader: Reader) -> str:
    name, colour, _ = INK[node.tone]
    box = (
        f'<div class="box" dir="auto" style="padding:10px 12px;background:#F6F4F1;border:1px solid #E5E3DE;border-left:3px solid {colour};border-radius:4px;'
        f'font-family:{MONO};font-size:12.5px;line-height:19px;white-space:pre-wrap;word-break:break-word">{multiline(plain(node.text, reader))}</div>'
    )
    return f"""<tr><td class="pad" style="padding:14px 32px 0">
<p style="margin:0 0 6px;font-size:14px;line-height:20px"><strong class="{name}" style="color:{colour}">{esc(node.word)}</strong> <strong style="font-family:{MONO};font-size:13px;word-break:break-word">{esc(node.name)}</strong> <span class="t3" style="color:#666871">{esc(node.kind)}</span></p>
{box if node.text else ""}
</td></tr>"""


def _steps(message: Message) -> str:
    words = words_in(message.language)
    rows = "\n".join(_step(step, span(step.took, words) if step.took else "") for step in message.steps)
    more = (
        f'<p class="t2" style="margin:0;font-size:14px;line-height:20px;color:#50525B">{esc(message.steps_more)}</p>'
        if message.steps_more
        else ""
    )
    return f"""<tr><td class="pad" style="padding:22px 32px 0">
{_h2(message.steps_title, 8)}
<table role="presentation" class="ink" width="100%" cellpadding="0" cellspacing="0" border="0">
{rows}
</table>{more}
</td></tr>"""


def _step(step: StepLine, took: str) -> str:
    name, colour, _ = INK[step.tone]
    detail = f'<br><span class="t3" style="color:#666871;font-size:13px">{esc(step.detail)}</span>' if step.detail else ""
    return (
        f'<tr class="step"><td width="1%" valign="top" style="padding:0 14px 8px 0;font-size:14px;line-height:20px;white-space:nowrap">'
        f'<strong class="{name}" style="color:{colour};font-weight:600">{esc(step.word)}</strong></td>'
        f'<td style="padding:0 14px 8px 0;font-size:14px;line-height:20px"><span style="font-family:{MONO};font-size:13px;word-break:break-word">{esc(step.command)}</span>{detail}</td>'
        f'<td class="t2 last" align="right" valign="top" style="padding:0 0 8px;font-size:14px;line-height:20px;color:#50525B;white-space:nowrap">{esc(took)}</td></tr>'
    )


def _entries(message: Message, reader: Reader) -> str:
    rows = "\n".join(_entry(entry, reader) for entry in message.entries)
    return f"""<tr><td class="pad" style="padding:22px 32px 0">
<table role="presentation" class="ink" width="100%" cellpadding="0" cellspacing="0" border="0">
{rows}
</table>
</td></tr>"""


def _entry(entry: Entry, reader: Reader) -> str:
    """Short: a list of a hundred stays below the 102 KB at which Gmail cuts."""
    name, colour, mark = INK[entry.tone]
    return (
        f'<tr><td width="1%" valign="top" style="padding:0 14px 8px 0;font-size:14px;line-height:20px;white-space:nowrap">'
        f'<strong class="{name}" style="color:{colour}">{mark}&nbsp;{esc(entry.word)}</strong></td>'
        f'<td style="padding:0 0 8px;font-size:14px;line-height:20px;word-break:break-word"><a href="{esc(reader.links.runs + entry.run_id)}">{esc(entry.title)}</a>'
        f' <span class="t3" style="color:#666871">{esc(entry.place)}</span></td></tr>'
    )


def _history(message: Message, reader: Reader) -> str:
    if not message.history:
        return '<tr><td style="height:26px;line-height:26px;font-size:1px">&nbsp;</td></tr>'
    said = f'<p class="t3" style="margin:8px 0 0;font-size:13px;line-height:18px;color:#666871">{_rich(message.history, reader)}</p>'
    return f'<tr><td class="pad bars" style="padding:16px 32px 26px">\n{BARS if len(message.bars) > 1 else ""}{said}\n</td></tr>'


def _rich(line: Line, reader: Reader) -> str:
    return "".join(
        f"<strong>{_rich(piece.line, reader)}</strong>" if isinstance(piece, Strong) else esc(piece_text(piece, reader)) for piece in line
    )


def esc(text: str) -> str:
    """NUL marks our own slots; from elsewhere it never passes. Most texts hold nothing special."""
    return escape(text.replace("\0", ""), quote=True) if _SPECIAL.search(text) else text


def multiline(text: str) -> str:
    """Lines and the spaces they begin with survive also where `pre-wrap` is not known (Outlook)."""
    return "<br>".join(_indented(esc(line)) for line in text.split("\n"))


def _indented(line: str) -> str:
    begin = len(line) - len(line.lstrip(" "))
    return "&nbsp;" * begin + line[begin:]
