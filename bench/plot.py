"""Draws the rates that stand in bench/results/latest.md: `python -m bench.plot` writes bench/results/latest.svg.

A bar for each "…/s", as long as it is of its section's largest. Where a section has rows of "Runbell", the others are its references; so is
everywhere what is done "by" somebody else.
"""

import re
import sys
from collections.abc import Iterator
from html import escape

from bench.processes import ROOT

RESULTS = ROOT / "bench/results/latest.md"
PLOT = RESULTS.with_suffix(".svg")
WIDTH, LINE, BAR = 900, 22, 14  # pixels
NAMES, MARGIN, VALUES = 424, 16, 76  # the width of the names, of the margin and of what stands behind the longest bar
STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .value { font-variant-numeric: tabular-nums }
  .paper { fill: #ffffff } .ours { fill: #0b7a75 } .theirs { fill: #b3bac2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .paper { fill: #0d1117 } .ours { fill: #3fb6ae } .theirs { fill: #59636e }
  }
"""
_RATE = re.compile(r"\| (?P<what>.+?) *\| (?P<rate>\d+)/s *\|.*")
Rates = dict[str, int]


def rates(text: str) -> dict[str, Rates]:
    """What is done so many times a second, by section; sections with less than two of them are left out."""
    found: dict[str, Rates] = {}
    for part in text.split("\n## ")[1:]:
        title, _, lines = part.partition("\n")
        found[title] = {match["what"]: int(match["rate"]) for line in lines.splitlines() if (match := _RATE.fullmatch(line))}
    return {title: some for title, some in found.items() if len(some) > 1}


def svg(sections: dict[str, Rates]) -> str:
    drawn, y = [], MARGIN
    for title, found in sections.items():
        drawn.append(f'<text class="title" x="{MARGIN}" y="{y + 14}">{escape(title)}, a second</text>')
        y += LINE + 4
        drawn += _bars(found, y)
        y += LINE * len(found) + MARGIN
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" role="img">'
    label = "<title>What Runbell does in a second, beside what else does it</title>"
    paper = f'<rect class="paper" width="{WIDTH}" height="{y}"/>'
    return "\n".join([frame, label, f"<style>{STYLE}</style>", paper, *drawn, "</svg>", ""])


def _bars(found: Rates, y: int) -> Iterator[str]:
    longest, is_compared = max(found.values()), any(what.startswith("Runbell") for what in found)
    room = WIDTH - 2 * MARGIN - NAMES - VALUES
    for number, (what, rate) in enumerate(found.items()):
        top, length = y + number * LINE, max(rate / longest * room, 1)
        is_theirs = ", by a " in what or (is_compared and not what.startswith("Runbell"))
        kind = "theirs" if is_theirs else "ours"
        yield f'<text x="{MARGIN}" y="{top + 12}">{escape(what)}</text>'
        yield f'<rect class="{kind}" x="{MARGIN + NAMES}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2"/>'
        yield f'<text class="value" x="{MARGIN + NAMES + length + 6:.1f}" y="{top + 12}">{rate:,}</text>'


def main() -> int:
    PLOT.write_text(svg(rates(RESULTS.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
