"""What is alike in many mails is encoded once: the style sheet, and each shape that a bar of the last runs can have."""

from functools import lru_cache

from runbell.channels.mime import quoted
from runbell.messages.message import Bar, Message, Tone

BARS, BAR_HEIGHT = 30, 32

STYLE = """\
  :root { color-scheme: light dark; supported-color-schemes: light dark; }
  a { color: #304CB5; }
  @media (max-width: 520px) {
    .pad { padding-left: 20px !important; padding-right: 20px !important; }
    .outer { padding: 0 !important; }
    .card { border-radius: 0 !important; border-left: 0 !important; border-right: 0 !important; }
    .bars td { padding-right: 1px !important; }
  }
  @media (max-width: 380px) {
    .step { display: block !important; position: relative !important; padding-bottom: 10px !important; }
    .step td { display: block !important; width: auto !important; padding: 0 !important; }
    .step .last { position: absolute !important; top: 0 !important; right: 0 !important; }
    .bar { width: 7px !important; }
    .bar-stop { width: 5px !important; }
  }
  @media (prefers-color-scheme: dark) {
    body, .outer { background: #101117 !important; }
    .card { background: #181A21 !important; border-right-color: #2B2D36 !important; border-bottom-color: #2B2D36 !important; border-left-color: #2B2D36 !important; }
    .ink, .ink strong { color: #ECEBE8 !important; }
    .t2 { color: #B6B4AF !important; }
    .t3 { color: #989AA2 !important; }
    .box { background: #101117 !important; border-top-color: #2B2D36 !important; border-right-color: #2B2D36 !important; border-bottom-color: #2B2D36 !important; color: #ECEBE8 !important; }
    .rule { border-color: #2B2D36 !important; }
    .ink .c-fail { color: #FB8D85 !important; } .ink .c-warn { color: #F0BE67 !important; } .ink .c-ok { color: #7DD3A3 !important; } .ink .c-stop { color: #B4B2C0 !important; }
    .r-none { background: #3D404A !important; } .r-track { background: #552826 !important; } .r-fail { background: #F05751 !important; } .r-warn { background: #E8A63D !important; }
    a { color: #9AB5FB; } .foot a { color: #B6B4AF !important; }
  }
"""


def html_blocks(message: Message) -> dict[str, bytes]:
    """What fills those slots of the HTML that are no recipient's own, by name."""
    return {"style": _style(), "bars": _bars(message.bars)}


@lru_cache(maxsize=1)
def _style() -> bytes:
    return quoted(STYLE)


def _bars(bars: tuple[Bar, ...]) -> bytes:
    """Thirty cells; the newest run stands at the right. The sentence below says the same, so readers aloud skip them."""
    begin, end, none = _frame()
    drawn = [_cell(bar) for bar in bars[-BARS:]]
    return b"".join((begin, none * (BARS - len(drawn)), *drawn, end))


@lru_cache(maxsize=1)
def _frame() -> tuple[bytes, bytes, bytes]:
    """Before the cells, behind them, and a cell without a run."""
    table = '<table role="presentation" cellpadding="0" cellspacing="0" border="0" aria-hidden="true"><tr>\n'
    return quoted(table), quoted("</tr></table>\n"), quoted(_stood(_block("r-none", 2, "#D0CDC8")))


@lru_cache(maxsize=4096)
def _cell(bar: Bar) -> bytes:
    return quoted(_stood(_bar(bar.tone, max(round(bar.height * BAR_HEIGHT), 2))))


def _stood(bar: str) -> str:
    return f'<td width="10" height="{BAR_HEIGHT}" valign="bottom" style="padding:0 2px 0 0">{bar}</td>\n'


def _bar(tone: Tone, height: int) -> str:
    """Solid, capped, on a full-height ground, or hollow: the shape tells the outcome without its colour."""
    match tone:
        case Tone.WARNED:
            gap = '<div style="height:2px;line-height:2px;font-size:1px">&nbsp;</div>'
            return _block("r-warn", 3, "#C07600") + gap + _block("r-warn", max(height - 5, 1), "#C07600")
        case Tone.FAILED:
            ground = _block("r-track", BAR_HEIGHT - height, "#FFD5D0") if height < BAR_HEIGHT else ""
            return ground + _block("r-fail", height, "#D9302E")
        case Tone.CANCELLED:
            inner = max(height - 2, 2)
            return f'<div class="bar-stop" style="width:6px;height:{inner}px;line-height:{inner}px;font-size:1px;border:1px solid #7C7A8B">&nbsp;</div>'
        case _:
            return _block("r-ok", height, "#569471")


def _block(name: str, height: int, colour: str) -> str:
    style = f"width:8px;height:{height}px;line-height:{height}px;font-size:1px;mso-line-height-rule:exactly;background:{colour}"
    return f'<div class="bar {name}" style="{style}">&nbsp;</div>'
