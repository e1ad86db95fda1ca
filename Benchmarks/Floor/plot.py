# SPDX-License-Identifier: Apache-2.0
"""plot.py: figures against their limits, as one SVG that needs nothing else and reads in light and dark.

Each row is a figure as a share of its limit (its inverse where more is better), so that everything left of
the line at 1 holds; the bar is the 95 % interval, the dot the median.
"""

import html
import math

ROW, LEFT, WIDTH, RIGHT, TOP = 26, 340, 420, 180, 44
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #222 } .dim { fill: #777 } .title { font-weight: 600 }
.grid { stroke: #ddd } .limit { stroke: #c33; stroke-width: 1.5 } .bar { stroke-width: 6; stroke-linecap: round }
.reached { stroke: #2a7; fill: #2a7 } .missed { stroke: #c33; fill: #c33 } .undecided { stroke: #c90; fill: #c90 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .dim { fill: #999 } .grid { stroke: #444 } }
"""


def shares(figure):
    """Low, median and high as shares of the limit: at most 1 is within it."""
    values = (figure.low, figure.median, figure.high)
    if figure.higher:
        return sorted(figure.limit / value for value in values if value > 0)
    return [value / figure.limit for value in values]


def over_limits(figures, title):
    rows = [figure for figure in figures if figure.limit]
    if not rows:
        return "<svg xmlns='http://www.w3.org/2000/svg'/>\n"
    least, most = 0.05, max(1.6, *(share for figure in rows for share in shares(figure)))
    span = math.log(most / least)

    def x(share):
        return LEFT + WIDTH * math.log(min(max(share, least), most) / least) / span

    height = TOP + ROW * len(rows) + 40
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {LEFT + WIDTH + RIGHT} {height}' role='img'>",
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
        f"<text x='10' y='20' class='title'>Each figure over its limit: left of the red line it holds</text>",
    ]
    bottom = TOP + ROW * len(rows)
    for tick in (0.1, 0.25, 0.5, 1, 1.5):
        if tick <= most:
            name = "limit" if tick == 1 else "grid"
            parts.append(f"<line x1='{x(tick):.1f}' y1='{TOP - 8}' x2='{x(tick):.1f}' y2='{bottom}' class='{name}'/>")
            parts.append(f"<text x='{x(tick):.1f}' y='{bottom + 16}' text-anchor='middle' class='dim'>{tick:g}</text>")
    for index, figure in enumerate(rows):
        y = TOP + ROW * index + 10
        low, middle, high = shares(figure)
        name = figure.verdict.split(":")[0]
        parts += [
            f"<text x='{LEFT - 12}' y='{y + 4}' text-anchor='end'>{html.escape(figure.name)}</text>",
            f"<line x1='{x(low):.1f}' y1='{y}' x2='{x(high):.1f}' y2='{y}' class='bar {name}' opacity='0.45'/>",
            f"<circle cx='{x(middle):.1f}' cy='{y}' r='4.5' class='{name}'/>",
            f"<text x='{LEFT + WIDTH + 12}' y='{y + 4}' class='dim'>{figure.median:.3g} {figure.unit} "
            f"({'≥' if figure.higher else '≤'} {figure.limit:g})</text>",
        ]
    parts.append(f"<text x='10' y='{height - 6}' class='dim'>{html.escape(title)}</text></svg>")
    return "\n".join(parts) + "\n"
