# SPDX-License-Identifier: Apache-2.0
"""peer_report.py: what bench-peers measured, as a table for a terminal or a README and as a page with plots."""

import html
import json
import math
import shlex
import statistics

import compare
from peers import ELSEWHERE

FLOOR = "floor"


class Column:
    """A figure of a unit: as a ratio to the floor's in the same lap, or as it is, in `scale`d units."""

    def __init__(self, unit, metric, title, *, ratio=True, scale=1.0, higher=False, elsewhere=None):
        self.unit, self.metric, self.title = unit, metric, title
        self.ratio, self.scale, self.higher, self.elsewhere = ratio, scale, higher, elsewhere


# The README's table.
COLUMNS = [
    Column("pingpong-64x64", "cpu_ns", "CPU per message, 64 × 64 B", elsewhere="cpu_64x64x1_over_floor"),
    Column("pingpong-1000x64", "cpu_ns", "CPU per message, 1,000 × 64 B"),
    Column("pingpong-64x512", "messages_per_second", "messages/s, 64 × 512 B", higher=True),
    Column("stream-4x512", "messages_per_second", "messages/s, streaming 4 × 512 B", higher=True),
    Column("rate-64x512", "p99_us", "p99 at half the floor's rate, µs", ratio=False),
    Column("connect", "connections_per_second", "connections/s", higher=True),
    Column("idle", "bytes_per_connection", "bytes per idle connection", ratio=False, elsewhere="idle_bytes"),
    Column("storm", "worst_echo_us", "worst echo while 8,000 close, ms", ratio=False, scale=1e-3),
]
NAMES = {
    "messages_per_second": "messages/s", "cpu_ns": "CPU per message", "p99_us": "p99", "kept_up_share": "of the rate",
    "connections_per_second": "connections/s", "bytes_per_connection": "bytes per idle connection",
    "held_after_closing": "bytes held after closing", "reused_share": "reused", "worst_echo_us": "worst echo",
    "client_share": "client busy",
}
# Metrics whose ratio to the floor says something.
RATIOS = "messages_per_second", "cpu_ns", "p99_us", "connections_per_second", "worst_echo_us"
HIGHER = "messages_per_second", "connections_per_second"


def values(state, unit, peer, metric):
    return state["units"].get(unit, {}).get("values", {}).get(peer, {}).get(metric, [])


def ratio(state, unit, peer, metric):
    """Median over the laps of peer/floor, with its 95 % interval; None where one of them was not measured."""
    pairs = zip(values(state, unit, FLOOR, metric), values(state, unit, peer, metric))
    ratios = [mine / floor for floor, mine in pairs if floor > 0]
    if not ratios:
        return None
    low, high = compare.bootstrap_interval(ratios)
    return statistics.median(ratios), low, high


def absolute(state, unit, peer, metric):
    taken = values(state, unit, peer, metric)
    return statistics.median(taken) if taken else None


def short(number):
    if number is None:
        return "–"
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.2f}" if abs(number) < 10 else f"{number:.1f}"


def spread(found):
    """A ratio and how far it is known: the half of its interval, unless that is within the rounding."""
    if found is None:
        return "–"
    middle, low, high = found
    half = (high - low) / 2
    return short(middle) + (f" ± {short(half)}" if half >= 0.01 else "")


def cell(state, column, peer):
    if not column.ratio:
        taken = [value * column.scale for value in values(state, column.unit, peer, column.metric)]
        return spread((statistics.median(taken), *compare.bootstrap_interval(taken)) if taken else None)
    return spread(ratio(state, column.unit, peer, column.metric))


def rows(state):
    """The header, a row for each peer from the cheapest on, and those that were measured elsewhere."""
    columns = [column for column in COLUMNS if column.unit in state["units"]]
    body = [[peer["title"]] + [cell(state, column, peer["name"]) for column in columns] for peer in ordered(state)]
    for other in ELSEWHERE:
        known = [short(other.get(column.elsewhere)) if column.elsewhere else "–" for column in columns]
        if any(text != "–" for text in known):
            body.append([f"{other['title']} (measured {other['measured']})"] + known)
    return [[""] + [column.title for column in columns]] + body


def ordered(state):
    def cost(peer):
        for column in COLUMNS:
            if column.ratio and (found := ratio(state, column.unit, peer["name"], column.metric)):
                return (1 / found[0] if column.higher else found[0], peer["title"])
        return (float("inf"), peer["title"])

    return sorted(state["peers"], key=lambda peer: (peer["name"] != FLOOR, *cost(peer)))


def notes(state):
    """What a reader has to know beside the figures."""
    lines = [
        f"{state['date']}, {state['machine']}; revision {state['revision']}"
        + (", a quick run" if state["quick"] else ""),
        "Ratios to raw C with epoll in the same laps, medians ± half of the 95 % interval; one core each.",
    ]
    lines += [
        f"{unit}: measured in a run of its own, {measured['date']}, revision {measured['revision']}"
        for unit, measured in state["units"].items()
        if "revision" in measured
    ]
    lines += [f"Skipped: {name}: {reason}" for name, reason in state["skipped"].items()]
    for unit, measured in state["units"].items():
        lines += [f"Failed at {unit}: {text.splitlines()[0]}" for text in measured["errors"].values()]
    busy = sorted(unit for unit in state["units"] if client_was_limit(state, unit))
    if busy:
        lines.append(
            f"In {len(busy)} of {len(state['units'])} units the client was more than 95 % busy with the floor: rates there "
            "are lower bounds, CPU per message is what to compare."
        )
    return lines


def client_was_limit(state, unit):
    shares = values(state, unit, FLOOR, "client_share")
    return bool(shares) and statistics.median(shares) > 0.95


def table(state):
    lines = rows(state)
    # Titles of columns are long: each gets a letter, explained below.
    letters = [chr(ord("A") + index) for index in range(len(lines[0]) - 1)]
    shown = [[""] + letters] + lines[1:]
    widths = [max(len(line[index]) for line in shown) for index in range(len(lines[0]))]
    text = ["  ".join([line[0].ljust(widths[0])] + [part.rjust(w) for part, w in zip(line[1:], widths[1:])]) for line in shown]
    text += [f"{letter}  {title}" for letter, title in zip(letters, lines[0][1:])]
    return "\n".join(text + notes(state))


def markdown(state):
    head, *body = rows(state)
    lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    for title, *cells in body:
        strong = title == "Spindle"
        lines.append("| " + " | ".join(f"**{part}**" if strong else part for part in (title, *cells)) + " |")
    return "\n".join(lines) + "\n\n" + "\n".join(f"{line}  " for line in notes(state)) + "\n"


def unit_lines(unit, state):
    """A unit's figures, as soon as they are there."""
    lines = []
    for peer in ordered(state):
        parts = []
        for metric, taken in state["units"][unit]["values"].get(peer["name"], {}).items():
            over = f" ({spread(ratio(state, unit, peer['name'], metric))} of floor)" if metric in RATIOS else ""
            parts.append(f"{NAMES.get(metric, metric)} {short(statistics.median(taken))}{over}")
        if parts:
            lines.append(f"  {peer['name']:<10} " + ", ".join(parts))
    return "\n".join(lines)


# The page


LEFT, WIDTH, RIGHT, HEIGHT, TOP = 60, 620, 180, 360, 40
LABEL_GAP = 15
COLORS = ["#3b82c4", "#7a9e3b", "#b5651d", "#8e5ea8", "#2a9d8f", "#c0567b", "#6b7a8f", "#a38b00", "#5a6fd6", "#7b5544"]
TICKS = [0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 30, 50]


def color(state, name):
    others = [peer["name"] for peer in state["peers"] if peer["name"] not in (FLOOR, "spindle")]
    if name in others:
        return f"style='--c:{COLORS[others.index(name) % len(COLORS)]}'"
    return "style='--c:var(--ink)'" if name == FLOOR else "style='--c:var(--us)'"


def lines_plot(state, units, metric, title):
    """Every peer's ratio to the floor over the workloads, on a logarithmic axis, each line with its name."""
    found = {
        peer["name"]: [(index, over[0]) for index, unit in enumerate(units) if (over := ratio(state, unit, peer["name"], metric))]
        for peer in state["peers"]
    }
    found = {name: points for name, points in found.items() if points}
    if len(found) < 2:
        return ""
    every = [value for points in found.values() for _, value in points]
    low, high = min(every) / 1.08, max(every) * 1.08

    def x(index):
        return LEFT + WIDTH * (index + 0.5) / len(units)

    def y(value):
        return TOP + HEIGHT * (1 - math.log(value / low) / math.log(high / low))

    parts = [f"<text x='0' y='18' class='title'>{html.escape(title)}</text>"]
    for tick in (tick for tick in TICKS if low <= tick <= high):
        kind = "one" if tick == 1 else "grid"
        parts.append(f"<line x1='{LEFT}' x2='{LEFT + WIDTH}' y1='{y(tick):.1f}' y2='{y(tick):.1f}' class='{kind}'/>")
        parts.append(f"<text x='{LEFT - 8}' y='{y(tick) + 4:.1f}' class='end'>{tick:g}</text>")
    for index, unit in enumerate(units):
        # In two rows, or they would run into each other.
        row = TOP + HEIGHT + 20 + 16 * (index % 2)
        parts.append(f"<text x='{x(index):.1f}' y='{row}' class='mid'>{shape(unit)}</text>")
    for name, points in found.items():
        strong = " strong" if name == "spindle" else ""
        path = " ".join(f"{x(index):.1f},{y(value):.1f}" for index, value in points)
        tip = ", ".join(f"{shape(units[index])}: {value:.2f}" for index, value in points)
        parts.append(f"<g {color(state, name)}><title>{name} {tip}</title><polyline points='{path}' class='line{strong}'/>")
        parts += [f"<circle cx='{x(index):.1f}' cy='{y(value):.1f}' r='3.5' class='dot'/>" for index, value in points]
        parts.append("</g>")
    at = TOP
    for last, name in sorted((y(points[-1][1]), name) for name, points in found.items()):
        at = max(at + LABEL_GAP, last) if at > TOP else max(at, last)
        parts.append(f"<text x='{LEFT + WIDTH + 10}' y='{at + 4:.1f}' {color(state, name)} class='name'>{name}</text>")
    return svg(parts, max(TOP + HEIGHT + 50, at + 12), title)


def bars_plot(state, unit, metric, title, scale=1.0):
    """One figure of every peer, the best first."""
    found = [(absolute(state, unit, peer["name"], metric), peer["name"]) for peer in state["peers"]]
    found = sorted(((value * scale, name) for value, name in found if value is not None), reverse=metric in HIGHER)
    if len(found) < 2:
        return ""
    most = max(value for value, _ in found) or 1
    parts = [f"<text x='0' y='18' class='title'>{html.escape(title)}</text>"]
    for index, (value, name) in enumerate(found):
        y = TOP + index * 24
        parts += [
            f"<text x='110' y='{y + 13}' class='end'>{name}</text>",
            f"<rect x='120' y='{y}' width='{max(2, 560 * value / most):.1f}' height='17' rx='2' {color(state, name)} class='bar'/>",
            f"<text x='{128 + 560 * value / most:.1f}' y='{y + 13}'>{short(value)}</text>",
        ]
    return svg(parts, TOP + 24 * len(found) + 4, title)


def svg(parts, height, title):
    box = f"0 0 {LEFT + WIDTH + RIGHT} {height:.0f}"
    inner = "\n".join(parts)
    return f"<figure><svg viewBox='{box}' role='img' aria-label='{html.escape(title)}'>{inner}</svg></figure>"


def shape(unit):
    """pingpong-10000x512 as 10k×512."""
    connections, _, size = unit.partition("-")[2].partition("x")
    thousands = f"{connections[:-3]}k" if connections.endswith("000") else connections
    return thousands + "×" + size.replace("16384", "16Ki")


STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1b1f24; --soft: #667; --grid: #e4e6ec; --us: #d81b60; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14171c; --ink: #e6e8eb; --soft: #99a; --grid: #2c323c; --us: #ff6f9f; } }
body { font: 15px/1.5 system-ui, sans-serif; background: var(--back); color: var(--ink); margin: 0 auto;
  max-width: 62rem; padding: 1rem; }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem } p { margin: .3rem 0 }
.scroll { overflow-x: auto } table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
th { color: var(--soft); font-weight: 500; vertical-align: bottom } thead th { white-space: normal; min-width: 5rem }
th:first-child { text-align: left } tr.us th, tr.us td { color: var(--us); font-weight: 600 }
pre { overflow-x: auto; padding: .6rem; border: 1px solid var(--grid); border-radius: .3rem }
figure { margin: 1.4rem 0 } svg { width: 100%; height: auto; display: block }
svg text { font-size: 12px; fill: var(--soft) } svg .title { font-size: 14px; font-weight: 600; fill: var(--ink) }
svg .end { text-anchor: end } svg .mid { text-anchor: middle } svg .name { fill: var(--c); font-weight: 600 }
svg .grid { stroke: var(--grid) } svg .one { stroke: var(--ink); stroke-dasharray: 2 3 }
svg .line { fill: none; stroke: var(--c); stroke-width: 1.5; opacity: .8 } svg .line.strong { stroke-width: 3.5; opacity: 1 }
svg .dot, svg .bar { fill: var(--c) }
@media (max-width: 600px) { svg text { font-size: 19px } svg .title { font-size: 21px } }
"""


def html_table(lines):
    head, *body = lines
    parts = ["<div class='scroll'><table><thead><tr>", *(f"<th>{html.escape(text)}</th>" for text in head), "</tr></thead>"]
    for title, *cells in body:
        mark = " class='us'" if title == "Spindle" else ""
        inner = "".join(f"<td>{html.escape(text)}</td>" for text in cells)
        parts.append(f"<tr{mark}><th>{html.escape(title)}</th>{inner}</tr>")
    return "\n".join([*parts, "</table></div>"])


def full_table(state, units, metric):
    """Every unit's ratio to the floor, a row for each peer."""
    lines = [[""] + [shape(unit) for unit in units]]
    for peer in ordered(state):
        lines.append([peer["title"]] + [spread(ratio(state, unit, peer["name"], metric)) for unit in units])
    return html_table(lines)


def page(state, command):
    groups = {}
    for unit, measured in state["units"].items():
        groups.setdefault(measured["group"], []).append(unit)
    ping, stream = groups.get("pingpong", []), groups.get("stream", [])
    sections = [
        lines_plot(state, ping, "cpu_ns", "Ping-pong: CPU per message over raw C's, by connections × bytes (less is better)"),
        lines_plot(state, ping, "messages_per_second", "Ping-pong: messages/s over raw C's (more is better)"),
        lines_plot(state, stream, "messages_per_second", "Streaming: messages/s over raw C's (more is better)"),
    ]
    for unit in groups.get("rate", []):
        what = f"p99 at half of the floor's rate, {shape(unit)}, µs from when each message was due (less is better)"
        sections.append(bars_plot(state, unit, "p99_us", what))
    sections += [
        bars_plot(state, "connect", "connections_per_second", "Connections a second: open, one message, close (more is better)"),
        bars_plot(state, "idle", "bytes_per_connection", "Resident bytes per idle connection (less is better)"),
        bars_plot(state, "storm", "worst_echo_us", "Worst echo while 8,000 connections close, ms (less is better)", 1e-3),
    ]
    for name, units, metric in (
        ("Ping-pong, CPU per message over raw C's", ping, "cpu_ns"),
        ("Ping-pong, messages/s over raw C's", ping, "messages_per_second"),
        ("Streaming, CPU per message over raw C's", stream, "cpu_ns"),
        ("Streaming, messages/s over raw C's", stream, "messages_per_second"),
    ):
        if units:
            sections.append(f"<h2>{html.escape(name)}</h2>{full_table(state, units, metric)}")
    said = "\n".join(f"<p>{html.escape(line)}</p>" for line in notes(state))
    body = "\n".join(section for section in sections if section)
    # In a script element nothing is escaped by the page's rules; JSON has its own.
    data = json.dumps(state).replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Echo servers side by side</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Echo servers side by side</h1>
{said}
{html_table(rows(state))}
{body}
<h2>Again</h2>
<pre>{html.escape(shlex.join(command))}</pre>
<script type="application/json" id="result">{data}</script>
</body>
</html>
"""
